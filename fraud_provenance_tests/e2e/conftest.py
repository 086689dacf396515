"""The one real home of this test session, with a promoted model and scores of the newest day."""

import pytest

from fraud_provenance_tests.attacks.arena import Arena
from fraud_provenance_tests.product import Product


@pytest.fixture(scope="session")
def product(arena: Arena) -> Product:
    """The running home itself. The tournament's copies were saved before any test changes it."""
    return arena.product
