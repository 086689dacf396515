"""The file that an auditor is given: its form, written in one way and read in no other.

A ZIP archive without compression, so that any tool opens it and nothing in it can swell. Its first
member, `proof.json`, lists every other one by name, SHA-256 and kind, and says what the file is
about. The same evidence gives the same bytes; a reader writes the archive anew and compares.
"""

import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, VerificationError, reason

LISTING, FORMAT = "proof.json", "urn:fraud-provenance:proof:v1"
MAX_FILE_BYTES = 256 * 1024 * 1024
_MAX_MEMBERS = 50_000
_MAX_MEMBER_BYTES = 32 * 1024 * 1024
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP archive can say
_HEX = "[0-9a-f]{64}"
_NAMES = {
    "bundle": re.compile(rf"evidence/bundles/(?P<digest>{_HEX})\.sigstore\.json"),
    "manifest": re.compile(rf"evidence/manifests/(?P<digest>{_HEX})\.json"),
    "object": re.compile(rf"trust/objects/(?P<digest>{_HEX})"),
    "checkpoint": re.compile(
        r"trust/checkpoints/[a-z0-9.-]{1,253}/[0-9]{16}\.checkpoint"
    ),
    "tile": re.compile(
        r"trust/checkpoints/[a-z0-9.-]{1,253}/tile/[0-9]{1,2}/(x[0-9]{3}/){0,4}[0-9]{3}"
        r"(\.p/[0-9]{1,3})?"
    ),
    "document": re.compile(r"documents/[a-z][a-z0-9-]{0,40}\.(md|json)"),
}  # fmt: skip
"""What a member of each kind may be called: nothing that leads out of a folder."""
Kind = Literal["score", "partition", "model", "statement"]


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Listed(_Closed):
    """One member of the file."""

    name: str
    sha256: str
    size: int = Field(ge=0)
    kind: Literal["bundle", "manifest", "object", "checkpoint", "tile", "document"]


class Row(_Closed):
    """One row of scores and its way to the root that was signed: no other row is shown."""

    transaction_id: int
    day: str
    leaf: str
    index: int = Field(ge=0)
    rows: int = Field(ge=1)
    path: tuple[str, ...]


_FILLED: dict[Kind, set[str]] = {
    "partition": {"asset", "partition", "files"},
    "score": {"row"},
    "model": {"model", "alias"},
    "statement": {"statement"},
}


class Subject(_Closed):
    """What the file is about; which fields are filled depends on the kind.

    Attributes:
        kind: Which of the following says what it is.
        asset: Of a partition: whose it is.
        partition: Its name.
        files: Path → SHA-256 of its files.
        model: The digest of a model's manifest.
        alias: The alias that was asked for, such as `champion`.
        statement: A statement.
        row: One score.
    """

    kind: Kind
    asset: str = ""
    partition: str = ""
    files: dict[str, str] = {}
    model: str = ""
    alias: str = ""
    statement: str = ""
    row: Row | None = None

    @model_validator(mode="after")
    def _has_one_kind(self) -> Self:
        """What another kind of subject would fill says nothing here, and nobody checks it."""
        others = set(type(self).model_fields) - {"kind"} - _FILLED[self.kind]
        if any(getattr(self, name) for name in others):
            raise ValueError("a subject of two kinds")
        return self

    @property
    def name(self) -> str:
        """In words."""
        if self.row is not None:
            return f"score of {self.row.transaction_id}"
        if self.kind == "partition":
            return f"{self.asset}/{self.partition}"
        if self.kind == "model":
            return f"model {self.model[:12]}{' as ' if self.alias else ''}{self.alias}"
        return f"statement {self.statement[:12]}"


class Newest(_Closed):
    """The newest link of a chain of statements."""

    sequence: int = Field(ge=1)
    statement: str


class Standing(_Closed):
    """What was in force when the file was made; its digest can be told beside the file.

    Attributes:
        environment: Where.
        trusted_root: SHA-256 of Sigstore's trusted root.
        first_release: Digest of the first release of policy and trust root.
        release: Digest of the one in force.
        version: Its number.
        chains: The newest link of each chain that the file holds: of the assets concerned, of
            the revocations and, for a champion, of the deployments.
    """

    environment: str
    trusted_root: str
    first_release: str
    release: str
    version: int = Field(ge=1)
    chains: dict[str, Newest]

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form."""
        return encoding.digest_json(self.model_dump(mode="json"))


class Listing(_Closed):
    """`proof.json`. Where the walk begins follows from the subject; nobody may choose it."""

    format: Literal["urn:fraud-provenance:proof:v1"] = FORMAT  # type: ignore[assignment]  # that
    standing: Standing
    subject: Subject
    members: tuple[Listed, ...]


@dataclass(frozen=True)
class ProofFile:
    """A file that was read: the listing, and the members by name, each as listed."""

    listing: Listing
    members: Mapping[str, bytes] = field(repr=False)


def content_of(standing: Standing, subject: Subject, members: Mapping[str, bytes]) -> bytes:
    """The bytes of a file; the same parts give the same bytes.

    Raises:
        EvidenceError: SIZE_LIMIT. ValueError: a member's name says no kind.
    """
    listed = tuple(
        Listed(name=name, sha256=encoding.digest_bytes(data), size=len(data), kind=_kind(name))
        for name, data in sorted(members.items())
    )
    listing = Listing(standing=standing, subject=subject, members=listed)
    first = encoding.canonical_json(listing.model_dump(mode="json"))
    return _packed({LISTING: first} | {item.name: members[item.name] for item in listed})


def _kind(name: str) -> Any:  # noqa: ANN401 - one of `Listed.kind`
    return next(kind for kind, form in _NAMES.items() if form.fullmatch(name))


def _packed(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name, data in members.items():
            item = zipfile.ZipInfo(name, _FIRST_DAY)
            item.create_system = 3
            item.external_attr = 0o644 << 16
            archive.writestr(item, data)
    content = stream.getvalue()
    if len(content) > MAX_FILE_BYTES:
        raise _limit(f"the file would have {len(content)} bytes, limit {MAX_FILE_BYTES}")
    return content


def read_proof(path: Path) -> ProofFile:
    """Read a file; see `parse_proof`."""
    return parse_proof(files.read_once(path, limit_bytes=MAX_FILE_BYTES))


def parse_proof(content: bytes) -> ProofFile:
    """The parts of a file, each member as its listing says and none besides.

    Raises:
        EvidenceError: EVIDENCE_MALFORMED, SIZE_LIMIT or a strict-JSON code.
        VerificationError: DIGEST_MISMATCH, a member is not what the listing says.
    """
    members = _unpacked(content)
    first = members.pop(LISTING, b"")
    document = encoding.strict_json(first)
    try:
        listing = Listing.model_validate_json(first)
        is_canonical = encoding.canonical_json(document) == first
    except (ValidationError, ValueError) as error:
        raise _malformed(f"{LISTING}: {str(error)[:300]}") from error
    if not is_canonical or listing.model_dump(mode="json") != document:
        raise _malformed(f"{LISTING} is not in its one form")
    names = [item.name for item in listing.members]
    if names != sorted(set(names)) or names != list(members):
        raise _malformed("the listing and the members differ, or are in another order")
    for item in listing.members:
        _check_member(item, members[item.name])
    return ProofFile(listing, members)


def _check_member(item: Listed, data: bytes) -> None:
    form = _NAMES[item.kind].fullmatch(item.name)
    if form is None:
        raise _malformed(f"{item.name[:120]!r} is no name of a {item.kind}")
    found = encoding.digest_bytes(data)
    named = form.groupdict().get("digest") or item.sha256
    if (item.sha256, item.size) != (found, len(data)) or named != found:
        why = f"{item.name[:120]} has sha256 {found[:12]}, and is listed or named as another"
        raise VerificationError(reason(RootCause.DIGEST_MISMATCH, why, artifact=item.kind))


def _unpacked(content: bytes) -> dict[str, bytes]:
    """The members in order. What an archive of these members would not be is refused."""
    if len(content) > MAX_FILE_BYTES:
        raise _limit(f"the file has {len(content)} bytes, limit {MAX_FILE_BYTES}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = archive.infolist()
            if len(found) > _MAX_MEMBERS:
                raise _limit(f"{len(found)} members, limit {_MAX_MEMBERS}")
            for item in found:  # before a byte of them is read
                _check_header(item)
            members = {item.filename: archive.read(item) for item in found}
    except EvidenceError:
        raise
    except Exception as error:  # the library raises what it likes on strange bytes
        raise _malformed(f"no archive: {type(error).__name__}") from error
    if len(members) != len(found) or next(iter(members), "") != LISTING:
        raise _malformed(f"a name appears twice, or {LISTING} is not the first")
    if _packed(members) != content:
        raise _malformed("the archive has bytes that belong to no member, or another form")
    return members


def _check_header(item: zipfile.ZipInfo) -> None:
    if item.compress_type != zipfile.ZIP_STORED or item.file_size != item.compress_size:
        raise _malformed("a member is compressed")
    if item.file_size > _MAX_MEMBER_BYTES:
        raise _limit(f"a member of {item.file_size} bytes, limit {_MAX_MEMBER_BYTES}")
    if not item.filename.isascii():
        raise _malformed("a member's name is not ASCII")


def _malformed(why: str) -> EvidenceError:
    return EvidenceError(reason(RootCause.EVIDENCE_MALFORMED, why, artifact="proof file"))


def _limit(why: str) -> EvidenceError:
    return EvidenceError(reason(RootCause.SIZE_LIMIT, why, artifact="proof file"))
