"""Keys and tokens are found wherever they lie, and never shown."""

import pytest

from fraud_provenance.evidence.errors import VerificationError
from fraud_provenance.evidence.secrets import has_secret, refuse_secrets

KIND = b"PRIVATE KEY"  # in one piece it would be found in this file, too
KEY = (
    b"-----BEGIN EC " + KIND + b"-----\nMHcCAQEEIGQ5bGFzdCBvbmUg\n-----END EC " + KIND + b"-----\n"
)


def test_files_without_secrets_pass() -> None:
    refuse_secrets({})
    refuse_secrets({"a.py": b"print()", "b.md": b"A line -----BEGIN " + KIND + b"----- alone\n"})


def test_first_file_with_a_secret_is_named_and_nothing_of_it_shown() -> None:
    assert has_secret(KEY)
    with pytest.raises(VerificationError, match="SECRET_IN_TREE") as caught:
        refuse_secrets({"a.py": b"print()", "key.pem": KEY, "c.py": KEY})
    assert caught.value.reasons[0].artifact == "key.pem"
    assert "MHcC" not in str(caught.value)
