"""Sigstore's Python library, loaded where it is used: half a second that most commands do not need.

By one thread at a time: statements are signed and verified on several, and two that load modules
which need each other may find one of them half made.
"""

import importlib
import threading

_GUARD = threading.Lock()
_MODULES = ("dsse", "errors", "models", "oidc", "sign", "verify")


def load() -> None:
    """Load all of it that we use; whoever calls this imports its names afterwards.

    >>> import sys
    >>> load()
    >>> "sigstore.sign" in sys.modules
    True
    """
    with _GUARD:
        for name in _MODULES:
            importlib.import_module(f"sigstore.{name}")
