"""The examples in the trust library's docstrings run, and its public ground has one each."""

import doctest
import inspect
import pkgutil
from importlib import import_module
from types import ModuleType

import pytest

from fraud_provenance import attested

_GROUND = (
    "core.encoding", "core.verdict", "ports.blobs", "ports.clock", "ports.memory",
    "statements.manifest", "tlog.merkle",
)  # fmt: skip
"""What another project builds on first: every public name has an example."""


def _modules() -> list[str]:
    found = pkgutil.walk_packages(attested.__path__, f"{attested.__name__}.")
    return [attested.__name__, *(item.name for item in found)]


def _public(module: ModuleType) -> list[str]:
    """Classes and functions that are defined there, without protocols: they only say what is."""
    return [
        name
        for name, item in vars(module).items()
        if not name.startswith("_")
        and getattr(item, "__module__", "") == module.__name__
        and (inspect.isclass(item) or inspect.isfunction(item))
        and not getattr(item, "_is_protocol", False)
    ]


@pytest.mark.parametrize("name", _modules())
def test_examples_are_true(name: str) -> None:
    done = doctest.testmod(
        import_module(name), optionflags=doctest.IGNORE_EXCEPTION_DETAIL, raise_on_error=False
    )
    assert done.failed == 0


@pytest.mark.parametrize("name", _GROUND)
def test_public_names_of_the_ground_have_an_example(name: str) -> None:
    module = import_module(f"{attested.__name__}.{name}")
    lacking = [item for item in _public(module) if ">>>" not in (vars(module)[item].__doc__ or "")]
    assert lacking == []
