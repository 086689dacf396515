"""Reading a transparency log from its files, and believing only what adds up to a signed root.

In: a folder or a base address with Rekor v2's files (C2SP tlog-tiles: `checkpoint`,
`tile/<level>/<index>`, `tile/entries/<index>`). Out: leaf hashes, roots of earlier sizes and
consistency proofs, each checked against one root, and the entries behind the leaves.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    EvidenceError,
    ProvenanceError,
    VerificationError,
    reason,
)
from fraud_provenance.attested.tlog import merkle
from fraud_provenance.attested.tlog.notes import MAX_NOTE_BYTES

ENTRY_KIND = ("hashedrekord", "0.0.2")
"""The one kind of entry that Rekor v2 makes, of a DSSE envelope too (rekor-v2-spec, 6.1.4)."""
ALGORITHM = "SHA2_256"
"""What our own signers sign a digest by."""

WIDTH = 256  # hashes in a full tile, entries in a full entry bundle
_HASH_BYTES = 32
_HEIGHT = 8  # levels of the tree that one tile spans
_MAX_ENTRY_BYTES = 1 << 16
_DEADLINE_S = 10.0
_LENGTH_BYTES = 2


# --- where the files are -----------------------------------------------------------------------


class LogSource(Protocol):
    """Where a log's files are read from."""

    def read(self, path: str, limit_bytes: int) -> bytes | None:
        """A file's bytes, or None if there is no such file.

        Raises:
            BackendError: LOG_UNAVAILABLE, it could not be asked.
        """


class FolderSource:
    """A log's files in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, path: str, limit_bytes: int) -> bytes | None:
        """See `LogSource.read`."""
        if not self.folder.is_dir():
            raise _unavailable(f"there is no folder {self.folder.name}/ with the log's files")
        if not (self.folder / path).exists():
            return None
        return files.read_once(self.folder / path, limit_bytes=limit_bytes)


class HttpSource:
    """A log's files behind an http(s) address."""

    def __init__(self, base: str, deadline_s: float = _DEADLINE_S) -> None:
        self._base = base.rstrip("/")
        self._deadline_s = deadline_s

    def read(self, path: str, limit_bytes: int) -> bytes | None:
        """See `LogSource.read`."""
        import requests

        try:
            with requests.get(
                f"{self._base}/{path}", timeout=self._deadline_s, stream=True, allow_redirects=False
            ) as answer:
                if answer.status_code in (404, 410):
                    return None
                if answer.status_code != 200:
                    raise _unavailable(f"the log answered {answer.status_code} for {path}")
                return _bounded(answer.raw.read(limit_bytes + 1, decode_content=True), limit_bytes)
        except requests.RequestException as error:
            raise _unavailable(f"{path}: {type(error).__name__}") from error


class FileSystemSource:
    """A log's files in any file system that fsspec knows, e.g. `s3://bucket/log`."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")

    def read(self, path: str, limit_bytes: int) -> bytes | None:
        """See `LogSource.read`."""
        import fsspec

        try:
            with fsspec.open(f"{self._base}/{path}", "rb") as stream:
                content = stream.read(limit_bytes + 1)
        except FileNotFoundError:
            return None
        except Exception as error:  # each file system has errors of its own
            raise _unavailable(f"{path}: {error!r}") from error
        return _bounded(content, limit_bytes)


def open_source(location: str, home: Path) -> LogSource:
    """The source that a configured location names: an address, or a folder below `home`."""
    if location.startswith(("http://", "https://")):
        return HttpSource(location)
    if "://" in location:
        return FileSystemSource(location)
    return FolderSource(home / location)


def _bounded(content: bytes, limit_bytes: int) -> bytes:
    if len(content) > limit_bytes:
        raise EvidenceError(
            reason(RootCause.SIZE_LIMIT, f"a file of the log exceeds {limit_bytes} bytes")
        )
    return bytes(content)


def _unavailable(message: str) -> BackendError:
    return BackendError(reason(RootCause.LOG_UNAVAILABLE, message, artifact="log"))


def _corrupt(path: str, message: str) -> VerificationError:
    return VerificationError(
        reason(RootCause.LOG_CORRUPT, f"{path}: {message}", artifact=f"log {path}")
    )


# --- tiles -------------------------------------------------------------------------------------


def tile_path(kind: int | str, index: int, width: int = WIDTH) -> str:
    """Path of a tile (C2SP tlog-tiles): `kind` is its level, or `entries`."""
    groups = []
    rest = index
    while True:
        groups.append(f"{rest % 1000:03d}")
        rest //= 1000
        if rest == 0:
            break
    groups = [*(f"x{group}" for group in groups[:0:-1]), groups[0]]
    partial = f".p/{width}" if width < WIDTH else ""
    return f"tile/{kind}/{'/'.join(groups)}{partial}"


class LogFiles:
    """The files of one log, by what they are. Nothing here is verified."""

    def __init__(self, source: LogSource) -> None:
        self._source = source

    def checkpoint(self) -> bytes:
        """The log's newest head.

        Raises:
            BackendError: LOG_UNAVAILABLE, there is none.
        """
        content = self._source.read("checkpoint", MAX_NOTE_BYTES)
        if content is None:
            raise _unavailable("the log shows no checkpoint")
        return content

    def tile(self, level: int, index: int, width: int) -> bytes:
        """`width` hashes of a tile.

        Raises:
            VerificationError: LOG_CORRUPT, it is not there or too short.
        """
        content = self._read(level, index, width, WIDTH * _HASH_BYTES)
        if len(content) < width * _HASH_BYTES or len(content) % _HASH_BYTES:
            raise _corrupt(tile_path(level, index, width), f"{len(content)} bytes")
        return content[: width * _HASH_BYTES]

    def entries(self, index: int, width: int) -> list[bytes]:
        """`width` entries of an entry bundle: two bytes of length, then the entry, repeated.

        Raises:
            VerificationError: LOG_CORRUPT, it is not there, too short or cut within an entry.
        """
        content = self._read("entries", index, width, WIDTH * (_MAX_ENTRY_BYTES + _LENGTH_BYTES))
        found: list[bytes] = []
        at = 0
        while at < len(content) and len(found) < width:
            end = at + _LENGTH_BYTES + int.from_bytes(content[at : at + _LENGTH_BYTES], "big")
            found.append(content[at + _LENGTH_BYTES : end])
            at = end
        if len(found) < width or at > len(content):
            raise _corrupt(tile_path("entries", index, width), f"{len(found)} of {width} entries")
        return found

    def _read(self, kind: int | str, index: int, width: int, limit_bytes: int) -> bytes:
        """A partial tile may be gone once its full one is there (C2SP tlog-tiles)."""
        for wanted in dict.fromkeys((width, WIDTH)):
            content = self._source.read(tile_path(kind, index, wanted), limit_bytes)
            if content is not None:
                return content
        raise _corrupt(tile_path(kind, index, width), "is missing")


Tile = tuple[bytes, ...]


class Tree:
    """A log's tree of `size` leaves under `root`. Every hash handed out is checked against it."""

    def __init__(self, read: Callable[[int, int, int], bytes], size: int, root: bytes) -> None:
        """`read(level, index, width)` brings tiles; the right edge is read and checked now.

        Raises:
            VerificationError: LOG_CORRUPT, the tiles do not add up to the root.
        """
        self._read_tile = read
        self.size = size
        self.root = root
        self._tiles: dict[tuple[int, int], Tile] = {}
        level = 0
        while count := size >> (_HEIGHT * level):
            if count % WIDTH:
                self._tiles[level, count // WIDTH] = self._read(
                    level, count // WIDTH, count % WIDTH
                )
            level += 1
        if self.root_at(size) != root:
            raise _corrupt("tile/", f"the tiles do not add up to the signed root at size {size}")

    def known_tiles(self) -> Iterator[tuple[int, int, Tile]]:
        """(level, index, hashes) of every tile read so far."""
        for (level, index), tile in self._tiles.items():
            yield level, index, tile

    def _read(self, level: int, index: int, width: int) -> Tile:
        content = self._read_tile(level, index, width)
        return tuple(
            content[at : at + _HASH_BYTES] for at in range(0, width * _HASH_BYTES, _HASH_BYTES)
        )

    def tile(self, level: int, index: int) -> Tile:
        """A tile's hashes, checked.

        Raises:
            VerificationError: LOG_CORRUPT.
        """
        if (level, index) not in self._tiles:
            tile = self._read(level, index, WIDTH)
            above = self.tile(level + 1, index // WIDTH)
            if merkle.root_of_hashes(tile) != above[index % WIDTH]:
                raise _corrupt(tile_path(level, index), "its hashes do not lead to the signed root")
            self._tiles[level, index] = tile
        return self._tiles[level, index]

    def leaf(self, index: int) -> bytes:
        """The hash of one leaf.

        Raises:
            IndexError: the tree has no such leaf.
            VerificationError: LOG_CORRUPT.
        """
        if not 0 <= index < self.size:
            raise IndexError(f"leaf {index} of {self.size}")
        return self.tile(0, index // WIDTH)[index % WIDTH]

    def _node(self, height: int, index: int) -> bytes:
        """Root of the complete subtree over 2**height leaves from `index << height`."""
        level, inside = divmod(height, _HEIGHT)
        first = index << inside
        hashes = self.tile(level, first // WIDTH)
        return merkle.root_of_hashes(hashes[first % WIDTH : first % WIDTH + (1 << inside)])

    def _range(self, low: int, high: int) -> bytes:
        """Merkle tree hash over leaves low … high; `low` must be aligned as RFC 6962 splits."""
        parts = []
        while low < high:
            height = (high - low).bit_length() - 1
            parts.append(self._node(height, low >> height))
            low += 1 << height
        found = parts.pop()
        while parts:
            found = merkle.node_hash(parts.pop(), found)
        return found

    def root_at(self, size: int) -> bytes:
        """The root that this tree had when it had `size` leaves.

        Raises:
            VerificationError: LOG_CORRUPT.
        """
        return self._range(0, size) if size else merkle.EMPTY_ROOT

    def consistency_proof(self, old_size: int) -> list[bytes]:
        """Proof that this tree begins with its first `old_size` leaves (RFC 6962, 2.1.2)."""
        if old_size in (0, self.size):
            return []
        proof: list[bytes] = []
        low, high, is_whole = 0, self.size, True
        while old_size != high:
            middle = low + merkle.split(high - low)
            if old_size <= middle:
                proof.append(self._range(middle, high))
                high = middle
            else:
                proof.append(self._range(low, middle))
                low, is_whole = middle, False
        if not is_whole:
            proof.append(self._range(low, high))
        return proof[::-1]


# --- entries -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class LogEntry:
    """What one leaf says: the digest that was signed, the signature, and with which certificate.

    `digest` is over the signed bytes (for a DSSE envelope, its pre-authentication encoding), by
    `algorithm`: ours is SHA-256. `certificate` is DER, or empty where a bare key signed.
    """

    index: int
    leaf: bytes
    algorithm: str
    digest: str
    signature: bytes
    certificate: bytes


def read_entries(log: LogFiles, tree: Tree, start: int) -> Iterator[LogEntry]:
    """Every entry from leaf `start` on, each equal to its leaf in the verified tree.

    Raises:
        VerificationError: LOG_CORRUPT, an entry is not what the tree says, or cannot be read.
            LOG_ENTRY_KIND, this log makes no such entries.
    """
    for bundle in range(start // WIDTH, -(-tree.size // WIDTH)):
        first = bundle * WIDTH
        bodies = log.entries(bundle, min(WIDTH, tree.size - first))
        for index, body in enumerate(bodies, first):
            if index < start:
                continue
            leaf = merkle.leaf_hash(body)
            if leaf != tree.leaf(index):
                raise _corrupt(
                    tile_path("entries", bundle), f"entry {index} is not what the tree says"
                )
            yield parse_entry(index, leaf, body)


def parse_entry(index: int, leaf: bytes, body: bytes) -> LogEntry:
    """Read the canonical body of an entry of the one kind that our log makes.

    Raises:
        VerificationError: LOG_ENTRY_KIND, it is of another kind. LOG_CORRUPT, it cannot be read.
            Either could hide anything.
    """
    try:
        document = encoding.strict_json(body, _MAX_ENTRY_BYTES)
        said = (document["kind"], document["apiVersion"])
    except (ProvenanceError, LookupError, TypeError) as error:
        raise _corrupt(f"entry {index}", f"cannot be read: {error!r}") from error
    if said != ENTRY_KIND:
        shown = f"an entry of kind {str(said[0])[:40]}/{str(said[1])[:20]}"
        place = f"log entry {index}"
        raise VerificationError(reason(RootCause.LOG_ENTRY_KIND, shown, artifact=place))
    try:
        spec = document["spec"]["hashedRekordV002"]
        data, signature = spec["data"], spec["signature"]
        algorithm = str(data["algorithm"])
        digest = base64.b64decode(data["digest"], validate=True).hex()
        content = base64.b64decode(signature["content"], validate=True)
        certificate = _certificate(signature["verifier"])
    except (LookupError, TypeError, ValueError, binascii.Error) as error:
        raise _corrupt(f"entry {index}", f"cannot be read: {error!r}") from error
    return LogEntry(index, leaf, algorithm, digest, content, certificate)


def _certificate(verifier: dict[str, Any]) -> bytes:
    """The certificate that a signature is verified with; nothing where it is a bare key."""
    if ("x509Certificate" in verifier) == ("publicKey" in verifier):
        raise ValueError("an entry is signed with a certificate or with a key")
    if "publicKey" in verifier:
        return b""
    return base64.b64decode(verifier["x509Certificate"]["rawBytes"], validate=True)


def signed_digest(payload: bytes, payload_type: str) -> str:
    """The digest under which the log knows a DSSE envelope: SHA-256 of its PAE."""
    return hashlib.sha256(pre_authentication(payload, payload_type)).hexdigest()


def pre_authentication(payload: bytes, payload_type: str) -> bytes:
    """What a DSSE envelope's signature is over (DSSE v1, PAE)."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
