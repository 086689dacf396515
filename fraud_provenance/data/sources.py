"""Which files a call names, and their bytes: unpacked, hashed while they are read, bounded."""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.transactions import check_expansion, too_large

MAX_FILE_BYTES: Final = 4 * 2**30
_FORMS: Final = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet", ".parq": "parquet"}
_PACKED: Final = {".gz": "gz", ".gzip": "gz", ".zst": "zst", ".zstd": "zst"}
# Beside data lie notes, checksums and marks of other tools. Anything else may be data.
_NO_DATA: Final = frozenset((
    ".asc", ".crc", ".done", ".log", ".md", ".md5", ".ok", ".sha1", ".sha256", ".sig", ".toml",
    ".yaml", ".yml",
))  # fmt: skip
_CHUNK_BYTES: Final = 2**20
_MAX_NAMED: Final = 5


@dataclass(frozen=True)
class Source:
    """One file of transactions. `name` is how messages and landed days call it."""

    path: Path
    name: str
    form: str
    packed: str = ""


def find_sources(paths: Iterable[Path]) -> list[Source]:
    """The files of transactions that `paths` (files or folders, nested ones too) name, in order.

    Suffixes count in any case. Links are followed. Hidden files and folders, names that begin with
    an underscore, checksums and notes are left out, as the tools that write them mean it.

    Raises:
        DataError: FILE_NOT_FOUND, a path is not there or a folder holds no transactions;
            FILE_FORMAT, something that may be data would not be read: nothing is left out silently.
    """
    found: list[Source] = []
    for path in paths:
        found += _in_folder(path) if path.is_dir() else [_named(path)]
    unique = {os.path.realpath(source.path): source for source in reversed(found)}
    return [source for source in found if unique[os.path.realpath(source.path)] is source]


def _named(path: Path) -> Source:
    if not path.is_file():
        gone = "the link leads nowhere" if path.is_symlink() else "there is no such file"
        raise DataError("FILE_NOT_FOUND", gone, file=path.name, remedy="check the path")
    source = _source(path, path.name)
    if source is None:
        raise DataError(
            "FILE_FORMAT",
            f"expected .csv or .parquet (also .pq; packed as .gz or .zst), found {path.suffix!r}",
            file=path.name,
            remedy="convert the file to Parquet or CSV",
        )
    return source


def _source(path: Path, name: str) -> Source | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = _PACKED.get(suffixes[-1], "") if suffixes else ""
    inner = suffixes[:-1] if packed else suffixes
    form = _FORMS.get(inner[-1]) if inner else None
    return Source(path, name, form, packed) if form else None


def _in_folder(folder: Path) -> list[Source]:
    found, strangers = [], []
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        source = _source(path, name)
        if source is not None and path.is_file():
            found.append(source)
        elif source is not None or not _is_no_data(path):
            strangers.append(name)
    if strangers:
        raise DataError(
            "FILE_FORMAT",
            f"{len(strangers)} file(s) may be data and cannot be read: {named(strangers)}",
            file=folder.name,
            remedy="convert them to Parquet or CSV, or take them out of the folder",
        )
    if not found:
        raise DataError(
            "FILE_NOT_FOUND",
            "the folder holds no .csv or .parquet file",
            file=folder.name,
            remedy="name the folder with the transaction files",
        )
    return found


def named(names: Sequence[str]) -> str:
    """The first of many names, for messages."""
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more


def _walk(folder: Path) -> Iterator[Path]:
    seen = set()
    for place, names, files in os.walk(folder, onerror=_refuse_closed, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link that leads back
            names.clear()
            continue
        seen.add(real)
        names[:] = sorted(name for name in names if not name.startswith((".", "_")))
        yield from (Path(place) / name for name in sorted(files) if not name.startswith((".", "_")))


def _refuse_closed(error: OSError) -> None:
    raise _closed(Path(error.filename).name, error)


def _closed(name: str, error: OSError) -> DataError:
    return DataError(
        "FILE_NOT_FOUND", f"it cannot be opened: {error.strerror}", file=name,
        remedy="let this user read it",
    )  # fmt: skip


def _is_no_data(path: Path) -> bool:
    is_mark = not path.suffix and path.is_file() and path.stat().st_size == 0
    return is_mark or path.suffix.lower() in _NO_DATA


# --- bytes -------------------------------------------------------------------------------------


@dataclass
class Opened:
    """A source's unpacked bytes; after the last of them, `digest` is the file's own SHA-256."""

    stream: IO[bytes]
    _hashing: "_Hashing" = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the file as it lies there, packed if it is; reads what is left."""
        while self._hashing.read(_CHUNK_BYTES):
            pass
        return self._hashing.sha256.hexdigest()


class _Hashing(io.RawIOBase):
    """A file that is hashed while it is read."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.sha256 = hashlib.sha256()
        self.read_bytes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self._raw.read(size)
        self.sha256.update(content)
        self.read_bytes += len(content)
        return content

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


class _Bounded(io.RawIOBase):
    """Unpacked bytes, as long as they are in proportion to the packed ones."""

    def __init__(self, stream: IO[bytes], packed: _Hashing, name: str) -> None:
        self._stream, self._packed, self._name, self._given = stream, packed, name, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            content = self._stream.read(size)
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(
                "FILE_FORMAT",
                "the packed file is cut short or damaged",
                file=self._name,
                remedy="deliver the file again",
            ) from error
        self._given += len(content)
        check_expansion(self._name, self._packed.read_bytes, self._given)
        return content


@contextmanager
def opened(source: Source) -> Iterator[Opened]:
    """A source's bytes, unpacked.

    Raises:
        DataError: RESOURCE_LIMIT, or FILE_FORMAT where they cannot be unpacked.
    """
    try:
        raw = source.path.open("rb")
    except OSError as error:
        raise _closed(source.name, error) from error
    with raw:
        size = os.fstat(raw.fileno()).st_size
        if size > MAX_FILE_BYTES:
            raise too_large(source.name, f"{size} bytes, at most {MAX_FILE_BYTES} are read")
        hashing = _Hashing(raw)
        if not source.packed:
            yield Opened(hashing, hashing)  # type: ignore[arg-type]  # only read
            return
        stream = _unpacking(source, hashing)
        yield Opened(_Bounded(stream, hashing, source.name), hashing)  # type: ignore[arg-type]


def _unpacking(source: Source, hashing: _Hashing) -> IO[bytes]:
    if source.packed == "gz":
        return gzip.GzipFile(fileobj=hashing)  # type: ignore[return-value]
    import pyarrow as pa  # slow import, only where a file is packed so

    return pa.CompressedInputStream(pa.PythonFile(hashing), "zstd")  # type: ignore[no-any-return]
