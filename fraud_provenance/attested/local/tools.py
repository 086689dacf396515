"""Where the pinned Go tools are, and which bytes they are.

`tools/build.sh` builds them; `tools_dir` follows the same rule, so that a changed pin is a
different folder and an old binary is never used for a new pin.
"""

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, reason

PINS = (
    "tools/go.mod",
    "tools/go.sum",
    "tools/ctlog/go.mod",
    "tools/ctlog/go.sum",
    "tools/edits.txt",
)
"""What decides the binaries, in the order in which `tools/build.sh` hashes them."""

_PROJECT = Path(__file__).resolve().parents[3]


@lru_cache(maxsize=1)
def _key() -> str:
    """First 16 hex digits of the SHA-256 over all pins."""
    digest = hashlib.sha256()
    for name in PINS:
        try:
            digest.update((_PROJECT / name).read_bytes())
        except OSError as error:
            raise _unavailable(f"{name} cannot be read: {error.strerror}") from error
    return digest.hexdigest()[:16]


def _unavailable(message: str) -> ConfigError:
    return ConfigError(reason(RootCause.TOOL_UNAVAILABLE, message))


def cache_folder() -> Path:
    """Where this user's caches of the product lie: what can be made again at any time."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "fraud_provenance"


def tools_dir() -> Path:
    """The folder that holds the binaries built from this checkout's pins.

    `FRAUD_PROVENANCE_TOOLS` names it outright; else it lies in the user's cache.

    Raises:
        ConfigError: TOOL_UNAVAILABLE, the project's `tools/` folder is not there.
    """
    named = os.environ.get("FRAUD_PROVENANCE_TOOLS")
    if named:
        return Path(named)
    return cache_folder() / "tools" / _key() / "bin"


def tool(name: str) -> Path:
    """The path of one tool: opa, cosign, fulcio, timestamp-server, rekor-server, ct-test-srv.

    Raises:
        ConfigError: TOOL_UNAVAILABLE, it has not been built; the remedy is `make tools`.
    """
    path = tools_dir() / name
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise _unavailable(f"{name} is not in {path.parent}; `make tools` builds it")
    return path


@lru_cache(maxsize=64)
def _file_digest(path: Path, size_bytes: int, modified_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tool_digest(name: str) -> str:
    """SHA-256 (hex) of a tool's binary, read again only when its size or mtime has changed.

    Raises:
        ConfigError: TOOL_UNAVAILABLE, see `tool`.
    """
    path = tool(name)
    facts = path.stat()
    return _file_digest(path, facts.st_size, facts.st_mtime_ns)
