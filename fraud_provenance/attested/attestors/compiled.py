"""Compiled files of Python: each must be what its source compiles to, wherever Python would use it.

Python itself goes by a time and a size, or by nothing, so a compiled file can hold any other code.
Here the source is compiled again. The two are compared in one form (marshal's version 2), since the
usual one depends on what else the process holds. The file's code is read for that, and never run.
"""

import importlib.util
import marshal
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.errors import EvidenceError

_HEADER_BYTES, _FORM = 16, 2
_REMEMBERED = 10_000  # pairs: other checkouts, whose compiled files name other places, use it, too
_OPTIMISATIONS = {"": 0, "1": 1, "2": 2}


def compiled_files(source: Path) -> Iterator[tuple[Path, int]]:
    """Where this Python may find `source` compiled, with the optimisation it would be for."""
    for name, optimise in _OPTIMISATIONS.items():
        used = Path(importlib.util.cache_from_source(str(source), optimization=name))
        beside = source.parent / "__pycache__" / used.name  # the other: in a folder of its own
        yield from ((path, optimise) for path in {used, beside})


def lying(sources: Iterable[Path], cache: Path | None = None) -> list[Path]:
    """The compiled files of `sources` that Python would run and that hold other code.

    `cache`: remembers by their bytes which pairs were compared, one file.
    """
    known = _remembered(cache)
    found, same = [], set()
    for source in sources:
        for path, optimise in compiled_files(source):
            if not os.path.lexists(path):
                continue
            text, content = _read(source), _read(path)
            pair = encoding.digest_json([optimise, *map(encoding.digest_bytes, (text, content))])
            if not _is_used(content, source, text):
                continue
            if pair in known or _holds(content, text, optimise):
                same.add(pair)
            else:
                found.append(path)
    if cache is not None and not same <= known:
        kept = same | known if len(known) < _REMEMBERED else same
        files.write_atomic(cache, encoding.canonical_json(sorted(kept)), durable=False)
    return found


def _read(path: Path) -> bytes:
    """Bytes as Python would see them: through a link, too; none where there are none."""
    try:
        return files.read_once(path.resolve())
    except EvidenceError:
        return b""


def _is_used(content: bytes, source: Path, text: bytes) -> bool:
    """Whether Python takes the compiled file for current (PEP 552); by a hash it always might."""
    if len(content) < _HEADER_BYTES or content[:4] != importlib.util.MAGIC_NUMBER:
        return False
    flags, modified, size = struct.unpack("<4xIII", content[:_HEADER_BYTES])
    if flags:
        return True
    return (modified, size) == (int(source.stat().st_mtime) & 0xFFFFFFFF, len(text) & 0xFFFFFFFF)


def _holds(content: bytes, text: bytes, optimise: int) -> bool:
    """Whether a compiled file holds exactly the code of this source."""
    try:
        code = marshal.loads(content[_HEADER_BYTES:])  # noqa: S302 - Python would read it likewise
        if not isinstance(code, CodeType):
            return False
        own = compile(text, code.co_filename, "exec", dont_inherit=True, optimize=optimise)
        return marshal.dumps(code, _FORM) == marshal.dumps(own, _FORM)
    except (ValueError, EOFError, TypeError, SyntaxError):
        return False


def _remembered(cache: Path | None) -> set[str]:
    if cache is None:
        return set()
    try:
        stored = encoding.strict_json(files.read_once(cache, limit_bytes=1 << 24))
    except EvidenceError:
        return set()
    return {str(item) for item in stored} if isinstance(stored, list) else set()
