"""Memory that several machines share: each document is a chain of blobs, one for each change.

A create-only PUT of the next link is the compare-and-swap. Each link names the one before by its
digest, and each machine keeps the newest link that it saw: a store that goes back behind it, or
shows another history, is refused, as is one that lost what it took. So is a link, whoever may have
put it there, that says less than was seen here, of what only grows. Who has seen nothing yet
believes what is there: what signatures and the log say is verified all the same.
"""

import secrets
from dataclasses import dataclass

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, EvidenceError, reason
from fraud_provenance.attested.ports.blobs import Blobs
from fraud_provenance.attested.ports.memory import (
    MAX_MEMORY_BYTES,
    Change,
    Follows,
    Memory,
    anything,
)

_KEPT, _GONE = b"kept", b"gone"
_FIRST = b"0" * 64  # what the first link names as the one before
_HEADER_BYTES = len(_FIRST) + 1 + 32 + 1 + 4 + 1
_NUMBER_BYTES = 16
_MAX_LINK_BYTES = MAX_MEMORY_BYTES - _NUMBER_BYTES - 1
_ATTEMPTS = 100


@dataclass(frozen=True)
class _Link:
    """One link: `previous nonce kept|gone`, a line's end, the document."""

    sequence: int
    content: bytes

    @property
    def digest(self) -> str:
        return encoding.digest_bytes(self.content)

    @property
    def previous(self) -> str:
        return self._words[0].decode()

    @property
    def document(self) -> bytes | None:
        return self.content[_HEADER_BYTES:] if self._words[2] == _KEPT else None

    @property
    def _words(self) -> list[bytes]:
        return self.content[: _HEADER_BYTES - 1].split(b" ")

    @property
    def is_whole(self) -> bool:
        header = self.content[:_HEADER_BYTES]
        *names, kind = self._words
        shape = [len(word) for word in names]
        is_known = header.isascii() and kind in (_KEPT, _GONE)
        return is_known and header.endswith(b"\n") and shape == [64, 32]


class ChainMemory:
    """Documents in links `NAME/SEQUENCE` below one place that machines share.

    >>> from fraud_provenance.attested.ports.blobs import MemoryBlobs
    >>> from fraud_provenance.attested.ports.memory import ProcessMemory
    >>> blobs = MemoryBlobs()
    >>> here, there = (ChainMemory(blobs, ProcessMemory()) for _ in range(2))
    >>> here.change("heads.json", lambda before: b"1")
    >>> there.change("heads.json", lambda before: before + b"2")
    >>> here.read("heads.json"), blobs.names("heads.json")
    (b'12', ['0000000000000001', '0000000000000002'])
    """

    def __init__(self, blobs: Blobs, own: Memory) -> None:
        """`own`: what this machine keeps for itself, the newest links that it saw.

        A document that is there under its own name is what this home remembered before it shared
        its memory: it becomes the first link.
        """
        self._blobs = blobs
        self._own = own

    def read(self, name: str, follows: Follows = anything) -> bytes | None:
        """See `Memory.read`.

        Raises:
            EvidenceError: EVIDENCE_ROLLBACK, this machine saw what is not there now, or more than
                is said there; EVIDENCE_MALFORMED, a link that is none.
            BackendError: STORAGE_UNAVAILABLE.
        """
        newest = self._begun(name, follows)
        return None if newest is None else newest.document

    def change(self, name: str, change: Change, follows: Follows = anything) -> None:
        """See `Memory.change`; raises as `read`, too."""
        for _ in range(_ATTEMPTS):
            newest = self._begun(name, follows)
            before = None if newest is None else newest.document
            after = change(before)
            if after == before or self._add(name, newest, after):
                return
        raise BackendError(
            reason(
                RootCause.STORAGE_UNAVAILABLE,
                f"others changed it {_ATTEMPTS} times while it was to be changed here",
                artifact=name,
            )
        )

    def _begun(self, name: str, follows: Follows) -> _Link | None:
        """The last link, after what this home remembered alone has become the first."""
        newest = self._newest(name, follows)
        if newest is None and (before := self._own.read(name)) is not None:
            self._add(name, None, before)  # if somebody was quicker, theirs is looked at
            newest = self._newest(name, follows)
        return newest

    def _add(self, name: str, newest: _Link | None, document: bytes | None) -> bool:
        """Put the next link; False where another one is there."""
        words = (
            newest.digest.encode() if newest else _FIRST,
            secrets.token_hex(16).encode(),  # so that of two equal changes each knows its own
            _GONE if document is None else _KEPT,
        )
        content = b" ".join(words) + b"\n" + (document or b"")
        if len(content) > _MAX_LINK_BYTES:
            why = f"{name} would have more than {_MAX_LINK_BYTES} bytes"
            raise EvidenceError(reason(RootCause.SIZE_LIMIT, why))
        link = _Link(newest.sequence + 1 if newest else 1, content)
        if not self._blobs.put(_place(name, link.sequence), content):
            there = self._link(name, link.sequence)  # an answer may have been lost on its way
            if there is None or there.content != content:
                return False
        self._see(name, link)
        return True

    def _newest(self, name: str, follows: Follows) -> _Link | None:
        """The last link, never older than what was seen here, and led to by it."""
        seen = self._seen(name)
        if seen is not None:
            newest = self._link(name, seen.sequence)
            if newest != seen:
                raise _gone_back(name, seen.sequence)
        else:
            newest = self._first_look(name)
        if newest is None:
            return None
        while (following := self._link(name, newest.sequence + 1)) is not None:
            if following.previous != newest.digest:
                raise _gone_back(name, newest.sequence)
            newest = following
        if seen is not None and not follows(seen.document, newest.document):
            raise _says_less(name, newest.sequence)
        if newest != seen:
            self._see(name, newest)
        return newest

    def _first_look(self, name: str) -> _Link | None:
        numbers = [int(item) for item in self._blobs.names(name) if item.isdecimal()]
        if not numbers:
            return None
        before = self._own.read(name)
        if before is not None:
            first = self._link(name, 1)
            if first is None or first.document != before:
                raise _of_another(name)
        newest = self._link(name, max(numbers))
        if newest is None:
            raise _gone_back(name, max(numbers))
        return newest

    def _link(self, name: str, sequence: int) -> _Link | None:
        content = self._blobs.read(_place(name, sequence), MAX_MEMORY_BYTES)
        if content is None:
            return None
        link = _Link(sequence, content)
        if not link.is_whole:
            why = f"link {sequence} of {name} cannot be read"
            raise EvidenceError(reason(RootCause.EVIDENCE_MALFORMED, why, artifact=name))
        return link

    def _seen(self, name: str) -> _Link | None:
        document = self._own.read(_seen_name(name))
        return None if document is None else _read_seen(name, document)

    def _see(self, name: str, link: _Link) -> None:
        def grown(before: bytes | None) -> bytes | None:
            if before is not None and _read_seen(name, before).sequence >= link.sequence:
                return before
            return b"%0*d\n%s" % (_NUMBER_BYTES, link.sequence, link.content)

        self._own.change(_seen_name(name), grown)


def _read_seen(name: str, document: bytes) -> _Link:
    number, _, content = document.partition(b"\n")
    link = _Link(int(number) if number.isdigit() and len(number) == _NUMBER_BYTES else 0, content)
    if not link.sequence or not link.is_whole:
        why = f"{_seen_name(name)} cannot be read"
        raise EvidenceError(reason(RootCause.EVIDENCE_MALFORMED, why, artifact=_seen_name(name)))
    return link


def _seen_name(name: str) -> str:
    return f"{name}.seen"


def _place(name: str, sequence: int) -> str:
    return f"{name}/{sequence:016d}"


def _gone_back(name: str, sequence: int) -> EvidenceError:
    return _refusal(
        name,
        f"link {sequence} of what machines remember together was seen here and is not there",
        "Put the store of the settings' [memory] back to its newest state, or point the settings "
        "at the right one; then run again.",
    )


def _says_less(name: str, sequence: int) -> EvidenceError:
    return _refusal(
        name,
        f"link {sequence} of what machines remember together says less than was seen here",
        "Find out who wrote that link; treat their credentials for the store as stolen. What this "
        f"machine saw is in {_seen_name(name)} of its home; how the home goes on with that stands "
        "in docs/production.md, Several machines, one home.",
    )


def _of_another(name: str) -> EvidenceError:
    return _refusal(
        name,
        "this home remembers something that the shared memory does not begin with",
        "Point [memory] of the settings at this home's own place. If this home is a new one for "
        f"that place, move {name} of the home away, then run again.",
    )


def _refusal(name: str, why: str, remedy: str) -> EvidenceError:
    return EvidenceError(reason(RootCause.EVIDENCE_ROLLBACK, why, artifact=name, remedy=remedy))
