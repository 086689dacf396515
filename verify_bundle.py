#!/usr/bin/env python3
"""Verify a file of `fraud-provenance export`, without that product, its network or its home.

    python3 verify_bundle.py FILE --trust-root trusted_root.json
    python3 verify_bundle.py FILE --root-digest SHA256

One file, to be read before it is believed. It needs Python 3.11 and `cryptography` 42 or newer, and
shares no code with the product. Exit 0: proven. 1: not proven; one sentence names the broken link.
2: could not decide, for nobody said which root they know.

What is checked, in this order:

1. The archive is in its one form; each member is what the listing says (part 1).
2. The reader knows the root that it rests on: by file, or by digest (part 8).
3. Each bundle: certificate to Fulcio's root at the time of signing, certificate transparency, RFC
   3161 timestamp, DSSE signature, inclusion in Rekor's log, signed head, witnesses (parts 2 to 4).
4. The releases of policy and trust root: two different authors signed each, judged by the one
   before (part 5). The one in force says who may sign what.
5. The statements: signer, environment, parameters, and everything that each rests on, by digest;
   contracts passed on these very bytes; one version of each day, the newest; chains have no gap;
   what people revoked (part 6).
6. What the subject demands: of a score its row, its way to the signed root, model, decision and
   approval (part 7).

What is not: the rules in Rego are not evaluated again (the gates' signed decisions stand for them),
and files themselves are not in the archive: compare their SHA-256 with the manifests.
"""

import argparse
import base64
import contextlib
import hashlib
import io
import itertools
import json
import re
import struct
import sys
import zipfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

UTC = timezone.utc
MAX_FILE, MAX_MEMBER, MAX_MEMBERS = 256 * 1024 * 1024, 32 * 1024 * 1024, 50_000
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SUMMARY = "https://slsa.dev/verification_summary/v1"
MODEL_SIGNATURE = "https://model_signing/signature/v1.0"
ML_BOM = "https://cyclonedx.org/bom"
OURS = "urn:fraud-provenance:"
APPROVAL, SUPERSEDE, REVOCATION = (OURS + name for name in ("approval:v1", "supersede:v1", "revocation:v1"))
WAIVER, ACCEPTANCE, REQUEST = (OURS + name for name in ("waiver:v1", "acceptance:v1", "promotion-request:v1"))
RELEASE, BATCH, BATCH_V1 = (
    OURS + name for name in ("policy-release:v1", "prediction-batch:v2", "prediction-batch:v1")
)
HEX = re.compile(r"[0-9a-f]{64}\Z")


class Refused(Exception):
    """Why the file does not prove its subject; `where` is the broken link."""

    def __init__(self, why, where=""):
        self.why, self.where = why, where
        super().__init__(f"{why} ({where})" if where else why)


class Undecided(Exception):
    """The reader has to say something first."""


def demand(condition, why, where=""):
    """Refuse unless a condition holds."""
    if not condition:
        raise Refused(why, where)


def sha256(content):
    """Lower-case hex SHA-256."""
    return hashlib.sha256(content).hexdigest()


# --- 1. the archive ------------------------------------------------------------------------------

NAMES = {
    "bundle": re.compile(r"evidence/bundles/([0-9a-f]{64})\.sigstore\.json"),
    "manifest": re.compile(r"evidence/manifests/([0-9a-f]{64})\.json"),
    "object": re.compile(r"trust/objects/([0-9a-f]{64})"),
    "checkpoint": re.compile(r"trust/checkpoints/[a-z0-9.-]{1,253}/[0-9]{16}\.checkpoint"),
    "tile": re.compile(
        r"trust/checkpoints/[a-z0-9.-]{1,253}/tile/[0-9]{1,2}/(?:x[0-9]{3}/){0,4}[0-9]{3}(?:\.p/[0-9]{1,3})?"
    ),
    "document": re.compile(r"documents/[a-z][a-z0-9-]{0,40}\.(?:md|json)"),
}


def strict_json(content):
    """JSON without duplicate keys, NaN or infinity."""

    def pairs(items):
        found = dict(items)
        demand(len(found) == len(items), "a JSON key appears twice")
        return found

    def constant(name):
        raise Refused(f"{name} is no JSON number")

    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise Refused(f"no JSON: {error}") from error


def canonical(document):
    """The one form of JSON without fractions (RFC 8785)."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def closed(document, **types):
    """Demand exactly these fields, of these types."""
    demand(isinstance(document, dict) and set(document) == set(types), f"other fields than {sorted(types)}")
    for name, kind in types.items():
        demand(type(document[name]) is kind, f"{name} is no {kind.__name__}")


def pack(members):
    """An archive of these members: not compressed, no times, names in order."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name, data in members.items():
            item = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            item.create_system, item.external_attr = 3, 0o644 << 16
            archive.writestr(item, data)
    return stream.getvalue()


def unpack(content):
    """The listing and the members by name, each as it is listed."""
    demand(len(content) <= MAX_FILE, "the file is too large")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = archive.infolist()
            demand(len(found) <= MAX_MEMBERS, "too many members")
            for item in found:
                demand(
                    item.compress_type == zipfile.ZIP_STORED
                    and item.file_size == item.compress_size <= MAX_MEMBER
                    and item.filename.isascii(),
                    "a member is compressed, too large or strangely named",
                )
            members = {item.filename: archive.read(item) for item in found}
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"no archive: {type(error).__name__}") from error
    demand(len(members) == len(found) and pack(members) == content, "the archive is not in its one form")
    demand(next(iter(members), "") == "proof.json", "the first member is not proof.json")
    first = members.pop("proof.json")
    listing = strict_json(first)
    demand(canonical(listing) == first, "proof.json is not in its one form")
    closed(listing, format=str, standing=dict, subject=dict, members=list)
    demand(listing["format"] == OURS + "proof:v1", "another format")
    for item in listing["members"]:
        closed(item, name=str, sha256=str, size=int, kind=str)
        data, form = members.get(item["name"]), NAMES.get(item["kind"])
        demand(data is not None and form is not None, "a member is listed and not there", item["name"])
        name = form.fullmatch(item["name"])
        demand(name, "a member's name is none of its kind", item["name"])
        digest = sha256(data)
        demand((item["sha256"], item["size"]) == (digest, len(data)), "a member is not as listed", item["name"])
        demand(not name.groups() or name[1] == digest, "a member has another digest than its name", item["name"])
    names = [item["name"] for item in listing["members"]]
    demand(names == sorted(set(names)) == list(members), "the listing and the members differ")
    return listing, members


# --- 2. DER, certificates and timestamps ---------------------------------------------------------

SEQUENCE, SET, INTEGER, OCTETS, OID, ZERO, TIME = 0x30, 0x31, 0x02, 0x04, 0x06, 0xA0, 0x18
TST_INFO = bytes.fromhex("2a864886f70d0109100104")
SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
CONTENT_TYPE, MESSAGE_DIGEST = (bytes.fromhex("2a864886f70d010903"), bytes.fromhex("2a864886f70d010904"))
SIGNING_CERTIFICATE = bytes.fromhex("2a864886f70d010910022f")
DIGESTS = {  # OID of a digest → (its name, its function, the OID of ECDSA with it)
    bytes.fromhex("608648016503040201"): ("sha256", hashes.SHA256, bytes.fromhex("2a8648ce3d040302")),
    bytes.fromhex("608648016503040202"): ("sha384", hashes.SHA384, bytes.fromhex("2a8648ce3d040303")),
    bytes.fromhex("608648016503040203"): ("sha512", hashes.SHA512, bytes.fromhex("2a8648ce3d040304")),
}


def tlv(tag, content):
    """One element in DER."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 + len(length))) + length + content


def elements(content):
    """(tag, content) of each element; anything but DER is refused."""
    found, at = [], 0
    while at < len(content):
        tag, size, start = content[at], int.from_bytes(content[at + 1 : at + 2], "big"), at + 2
        if size > 0x80:
            start += size - 0x80
            size = int.from_bytes(content[at + 2 : start], "big")
        end = start + size
        demand(end <= len(content) and content[at:end] == tlv(tag, content[start:end]), "the timestamp is no DER")
        found.append((tag, content[start:end]))
        at = end
    return found


def exactly(content, *tags):
    """The contents of exactly these elements."""
    found = elements(content)
    demand(tuple(tag for tag, _ in found) == tags, "the timestamp has other parts than expected")
    return [data for _, data in found]


def stamped_at(token, signature, authorities):
    """The time that a timestamp authority of ours gave to a signature (RFC 3161, RFC 5652)."""
    (answer,) = exactly(token, SEQUENCE)
    status, content = exactly(answer, SEQUENCE, SEQUENCE)
    kind, wrapped = exactly(content, OID, ZERO)
    (signed,) = exactly(wrapped, SEQUENCE)
    version, digests, inner, certificates, signers = exactly(signed, INTEGER, SET, SEQUENCE, ZERO, SET)
    inner_kind, boxed = exactly(inner, OID, ZERO)
    (info,) = exactly(boxed, OCTETS)
    (signer,) = exactly(signers, SEQUENCE)
    one, sid, digest, attributes, algorithm, value = exactly(
        signer, INTEGER, SEQUENCE, SEQUENCE, ZERO, SEQUENCE, OCTETS
    )
    demand((status, version, one) == (b"\x02\x01\x00", b"\x03", b"\x01"), "the timestamp was not granted")
    demand((kind, inner_kind) == (SIGNED_DATA, TST_INFO), "the timestamp signs something else")
    (digest_oid,) = exactly(digest, OID)
    demand(digest_oid in DIGESTS, "the timestamp uses another digest")
    name, function, ecdsa = DIGESTS[digest_oid]
    demand(algorithm == tlv(OID, ecdsa) and digests == tlv(SEQUENCE, digest), "the timestamp uses other algorithms")
    said = {}
    for tag, attribute in elements(attributes):
        oid, values = exactly(attribute, OID, SET)
        demand(tag == SEQUENCE and oid not in said, "an attribute of the timestamp stands twice")
        said[oid] = elements(values)
    demand(said.get(CONTENT_TYPE) == [(OID, TST_INFO)], "the timestamp's content type")
    demand(said.get(MESSAGE_DIGEST) == [(OCTETS, hashlib.new(name, info).digest())], "the timestamp's digest")
    known = {item.public_bytes(Encoding.DER) for authority in authorities for item in authority.chain}
    demand(all(tlv(*item) in known for item in elements(certificates)), "the timestamp brings a foreign certificate")
    at = check_tst_info(info, signature)
    for authority in authorities:
        if authority.stamped(tlv(SET, attributes), value, function, sid, said.get(SIGNING_CERTIFICATE), at):
            return at
    raise Refused("no timestamp authority of the trusted root stamped this signature")


def check_tst_info(info, signature):
    """The time in a TSTInfo, whose imprint must be the signature's SHA-256."""
    (body,) = exactly(info, SEQUENCE)
    parts = elements(body)
    demand([tag for tag, _ in parts[:5]] == [INTEGER, OID, SEQUENCE, INTEGER, TIME], "the timestamp's contents")
    algorithm, imprint = exactly(parts[2][1], SEQUENCE, OCTETS)
    sha256_oid = next(iter(DIGESTS))
    demand(elements(algorithm)[0] == (OID, sha256_oid), "the timestamp is over another digest")
    demand(imprint == hashlib.sha256(signature).digest(), "the timestamp is of another signature")
    text = re.fullmatch(r"([0-9]{14})(\.[0-9]{1,6})?Z", parts[4][1].decode("ascii", "replace"))
    demand(text, "the timestamp's time")
    return datetime.strptime(text[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC) + timedelta(seconds=float(text[2] or 0))


def is_signed(key, signature, data, function=hashes.SHA256):
    """Whether a key signed these bytes."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        else:
            key.verify(signature, data, ec.ECDSA(function()))
    except (InvalidSignature, ValueError):
        return False
    return True


class Authority:
    """A certificate authority or timestamp authority of the trusted root: its chain, its time."""

    def __init__(self, document):
        chain = document["certChain"]["certificates"]
        self.chain = [x509.load_der_x509_certificate(unbase64(item["rawBytes"])) for item in chain]
        self.start, self.end = period(document.get("validFor", {}))

    def is_valid(self, at, certificates):
        """Whether the authority, and these certificates as a chain, counted at a time."""
        if not self.start <= at < self.end:
            return False
        if not all(item.not_valid_before_utc <= at <= item.not_valid_after_utc for item in certificates):
            return False
        try:
            for item, issuer in itertools.pairwise(certificates):
                item.verify_directly_issued_by(issuer)
                if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                    return False
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        return True

    def issued(self, certificate, at):
        """Whether it certified a signer, at the time of the signature."""
        return self.is_valid(at, [certificate, *self.chain])

    def stamped(self, attributes, value, function, sid, names, at):
        """Whether its own certificate signed these attributes of a timestamp."""
        own = self.chain[0]
        serial = own.serial_number
        number = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
        named = own.issuer.public_bytes() + tlv(INTEGER, number)
        usage = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        return (
            self.is_valid(at, self.chain)
            and sid == named
            and ExtendedKeyUsageOID.TIME_STAMPING in usage
            and names is not None
            and any(own.fingerprint(hashes.SHA256()) in item for _, item in names)
            and is_signed(own.public_key(), value, attributes, function)
        )


def period(document):
    """(start, end) of a validity; without an end it lasts."""

    def moment(text, default):
        return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else default

    return (
        moment(document.get("start"), datetime.min.replace(tzinfo=UTC)),
        moment(document.get("end"), datetime.max.replace(tzinfo=UTC)),
    )


def unbase64(text):
    """Base64 in its one form."""
    demand(isinstance(text, str), "no base64")
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Refused(f"no base64: {error}") from error
    demand(base64.b64encode(content).decode("ascii") == text, "base64 in another form")
    return content


# --- 3. the log: Merkle trees (RFC 6962), signed notes and tiles (C2SP) --------------------------


def leaf_hash(data):
    """Hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left, right):
    """Hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_root(level):
    """Root over hashes of one height."""
    level = list(level)
    while len(level) > 1:
        pairs = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0] if level else hashlib.sha256(b"").digest()


def root_from_path(leaf, index, count, path):
    """The root that a leaf's hash and its audit path lead to."""
    demand(0 <= index < count, "an index beyond its tree")
    sides, low, high = [], 0, count
    while high - low > 1:
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        sides.append(index < middle)
        low, high = (low, middle) if index < middle else (middle, high)
    demand(len(path) == len(sides), "an audit path of another length")
    for is_left, other in zip(reversed(sides), path, strict=True):
        leaf = node_hash(leaf, other) if is_left else node_hash(other, leaf)
    return leaf


@dataclass
class Note:
    """A checkpoint: the log's name, size and root, and who signed that."""

    origin: str
    size: int
    root: bytes
    text: bytes
    signatures: list  # (name, hint, signature)


def parse_note(content):
    """Read a checkpoint; nothing of it is verified."""
    try:
        head, lines = content.decode("utf-8").split("\n\n")
        origin, size, root, *_ = head.split("\n")
    except ValueError as error:
        raise Refused("no checkpoint") from error
    demand(origin and re.fullmatch(r"0|[1-9][0-9]{0,15}", size) and lines.endswith("\n"), "no checkpoint")
    signatures = []
    for line in lines[:-1].split("\n"):
        match = re.fullmatch(r"— (\S+) ([A-Za-z0-9+/=]+)", line)
        demand(match, "a checkpoint's signature is malformed")
        value = unbase64(match[2])
        signatures.append((match[1], value[:4], value[4:]))
    root = unbase64(root)
    demand(len(root) == 32, "a checkpoint's root is no SHA-256")
    return Note(origin, int(size), root, f"{head}\n".encode(), signatures)


class Log:
    """One log of the trusted root, and the countersigned head of it that the file holds."""

    def __init__(self, document, rank):
        self.key = load_der_public_key(unbase64(document["publicKey"]["rawBytes"]))
        self.id = unbase64(document["logId"]["keyId"])
        self.origin, self.rank = urlsplit(document["baseUrl"]).hostname, rank
        self.head, self.tiles, self.used = None, {}, set()

    def check(self, note):
        """Demand this log's signature, and no other line before it."""
        name, hint, value = note.signatures[0]
        demand(
            note.origin == name == self.origin and hint == self.id[:4] and is_signed(self.key, value, note.text),
            "a checkpoint is not signed by its log",
            note.origin[:80],
        )

    def witnessed(self, members, witnesses):
        """Take the file's head of this log: signed by it and by enough witnesses, nothing besides."""
        folder = f"trust/checkpoints/{self.origin}/"
        heads = [name for name in members if name.startswith(folder) and name.endswith(".checkpoint")]
        demand(len(heads) == 1, "the file must hold exactly one countersigned head of the log", self.origin)
        note = parse_note(members[heads[0]])
        demand(heads[0] == f"{folder}{note.size:016d}.checkpoint", "a head has another size than its name", heads[0])
        self.check(note)
        demand(
            len(note.signatures) == 1 + witnesses["threshold"], "a head has other signatures than it needs", heads[0]
        )
        signed = {self.witness(note, line, witnesses) for line in note.signatures[1:]}
        demand(len(signed) == witnesses["threshold"], "a witness countersigned twice", heads[0])
        self.head, self.used = note, {heads[0]}
        self.tiles = {
            name[len(folder) :]: data for name, data in members.items() if name.startswith(folder + "tile/")
        }
        if note.size:
            self.edges = self.right_edge()

    @staticmethod
    def witness(note, line, witnesses):
        """The witness that countersigned (C2SP cosignature/v1)."""
        for item in witnesses["witnesses"]:
            name, hint, key = item["key"].split("+", 2)
            raw = unbase64(key)
            own = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
            if (line[0], line[1]) == (name, own) and own.hex() == hint and raw[:1] == b"\x04" and len(line[2]) == 72:
                at = int.from_bytes(line[2][:8], "big")
                text = f"cosignature/v1\ntime {at}\n".encode() + note.text
                if is_signed(ed25519.Ed25519PublicKey.from_public_bytes(raw[1:]), line[2][8:], text):
                    return name
        raise Refused("a countersignature is none of a known witness", note.origin)

    def tile(self, level, index, width=256):
        """The hashes of one tile; only `right_edge` and `leaf` decide whether they are right."""
        groups, rest = [], index
        while True:
            groups.append(f"{rest % 1000:03d}")
            rest //= 1000
            if not rest:
                break
        name = f"tile/{level}/" + "/".join([*(f"x{part}" for part in groups[:0:-1]), groups[0]])
        name += f".p/{width}" if width < 256 else ""
        data = self.tiles.get(name)
        demand(data is not None and len(data) == width * 32, "a tile of the log is not there", name)
        self.used.add(f"trust/checkpoints/{self.origin}/{name}")
        return [data[at : at + 32] for at in range(0, len(data), 32)]

    def right_edge(self):
        """The partial tiles, which must add up to the signed root."""
        edges, level = {}, 0
        while count := self.head.size >> (8 * level):
            if count % 256:
                edges[level, count // 256] = self.tile(level, count // 256, count % 256)
            level += 1
        root, hashes_left = None, self.head.size
        for level in range(8):  # from the right, lowest level first: complete subtrees, then the rest
            tile = edges.get((level, hashes_left // 256), [])
            width = len(tile)
            while width:  # the subtrees of this tile, the smallest (rightmost) first
                size = width & -width
                part = tree_root(tile[width - size : width])
                root = part if root is None else node_hash(part, root)
                width -= size
            hashes_left //= 256
        demand(root == self.head.root, "the log's tiles do not add up to its signed root", self.origin)
        return edges

    def checked_tile(self, level, index):
        """A tile that leads to the signed root."""
        if (level, index) not in self.edges:
            tile = self.tile(level, index)
            above = self.checked_tile(level + 1, index // 256)
            demand(tree_root(tile) == above[index % 256], "a tile does not lead to the log's root", self.origin)
            self.edges[level, index] = tile
        return self.edges[level, index]

    def check_leaf(self, index, leaf):
        """Demand that the countersigned tree has this leaf, if it reaches so far."""
        if index < self.head.size:
            found = self.checked_tile(0, index // 256)[index % 256]
            demand(found == leaf, "the countersigned log has another entry in this place", f"entry {index}")


# --- 4. bundles ----------------------------------------------------------------------------------


@dataclass
class Signed:
    """One statement whose bundle verified: who said it, when, and its place in the log."""

    digest: str
    kind: str
    name: str
    subject: str
    predicate: dict
    issuer: str
    signer: str
    at: datetime
    logged: tuple
    content: bytes
    children: list = field(default_factory=list)
    manifest: dict | None = None
    rests: dict = field(default_factory=dict)  # (path, SHA-256) of its files → versions it rests on
    revoked: dict = field(default_factory=dict)  # SHA-256 of its files → where that was logged

    @property
    def where(self):
        """As sentences name it."""
        return f"{self.name} {self.digest[:12]}, {self.kind.rsplit('/', 1)[-1]} signed by {self.signer}"


class Root:
    """A Sigstore trusted root with the environment's issuers and witnesses."""

    def __init__(self, trusted_root, issuers, witnesses, members):
        try:
            document = strict_json(trusted_root)
            self.fulcio = [Authority(item) for item in document["certificateAuthorities"]]
            self.stampers = [Authority(item) for item in document["timestampAuthorities"]]
            self.transparency = {
                unbase64(item["logId"]["keyId"]): load_der_public_key(unbase64(item["publicKey"]["rawBytes"]))
                for item in document["ctlogs"]
            }
            logs = [Log(item, rank) for rank, item in enumerate(document["tlogs"])]
            self.roles = {url: role for role, url in strict_json(issuers).items()}
            for log in logs:
                log.witnessed(members, strict_json(witnesses))
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(f"the trusted root cannot be used: {error!r}") from error
        self.logs = {log.id: log for log in reversed(logs)}
        self.known = {}

    def verify(self, content):
        """The statement of one bundle, with everything verified but what it says."""
        digest = sha256(content)
        if digest not in self.known:
            try:
                self.known[digest] = self._verify(content)
            except Refused as error:
                raise Refused(error.why, error.where or f"bundle {digest[:12]}") from error
            except (KeyError, IndexError, TypeError, ValueError, x509.ExtensionNotFound) as error:
                raise Refused(f"a bundle cannot be read: {error!r}", f"bundle {digest[:12]}") from error
        return self.known[digest]

    def _verify(self, content):
        document = strict_json(content)
        demand(canonical(document) == content, "a bundle is not in its one form")
        entry, token, raw, envelope = bundle_parts(document)
        certificate = x509.load_der_x509_certificate(raw)
        key = certificate.public_key()
        demand(isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1), "no P-256 key")
        payload, kind = unbase64(envelope["payload"]), envelope["payloadType"]
        signature = unbase64(envelope["signatures"][0]["sig"])
        demand(kind == "application/vnd.in-toto+json", "the envelope is of another type")
        signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)
        at = stamped_at(token, signature, self.stampers)
        self.check_certificate(certificate, at)
        demand(is_signed(key, signature, signed), "the signature is not valid")
        logged = self.check_entry(entry, signed, signature, raw)
        issuer, signer = self.identity(certificate)
        statement = strict_json(payload)
        subjects = statement.get("subject")
        demand(
            statement.get("_type") == "https://in-toto.io/Statement/v1"
            and isinstance(subjects, list)
            and len(subjects) == 1
            and isinstance(statement.get("predicate"), dict),
            "no statement of one subject",
        )
        subject = subjects[0]["digest"].get("sha256")
        demand(isinstance(subject, str) and HEX.match(subject), "the subject is not named by SHA-256")
        return Signed(
            sha256(payload),
            str(statement.get("predicateType")),
            str(subjects[0].get("name", "")),
            subject,
            statement["predicate"],
            issuer,
            signer,
            at,
            logged,
            payload,
        )

    def check_certificate(self, certificate, at):
        """Issued by the trusted root's Fulcio, for signing code, valid then, and logged (RFC 6962)."""
        issuers = [item for item in self.fulcio if item.issued(certificate, at)]
        demand(issuers, "no authority of the trusted root certified the signer at that time")
        demand(
            certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
            and ExtendedKeyUsageOID.CODE_SIGNING
            in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value,
            "no certificate for signing",
        )
        stamps = certificate.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
        demand(len(stamps) == 1, "the certificate needs exactly one proof of transparency")
        issuer = issuers[0].chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        body = certificate.tbs_precertificate_bytes
        stamp = stamps[0]
        millis = int(stamp.timestamp.replace(tzinfo=UTC).timestamp() * 1000)
        data = struct.pack("!BBQH", 0, 0, millis, 1) + hashlib.sha256(issuer).digest()
        data += len(body).to_bytes(3, "big") + body
        data += len(stamp.extension_bytes).to_bytes(2, "big") + stamp.extension_bytes
        log = self.transparency.get(stamp.log_id)
        demand(log is not None and is_signed(log, stamp.signature, data), "certificate transparency is not proven")

    def check_entry(self, entry, signed, signature, certificate):
        """The log has exactly this signature: entry, inclusion proof, signed and witnessed head."""
        proof, body = entry["inclusionProof"], unbase64(entry["canonicalizedBody"])
        log = self.logs.get(unbase64(entry["logId"]["keyId"]))
        demand(log is not None, "the trusted root does not know the log")
        index, size = number(proof["logIndex"]), number(proof["treeSize"])
        path = [unbase64(item) for item in proof["hashes"]]
        note = parse_note(proof["checkpoint"]["envelope"].encode("utf-8"))
        log.check(note)
        root = root_from_path(leaf_hash(body), index, size, path)
        demand(
            all(len(item) == 32 for item in path)
            and root == unbase64(proof["rootHash"]) == note.root
            and size == note.size
            and index == number(entry["logIndex"]),
            "inclusion in the log is not proven",
        )
        demand(len(note.signatures) == 1, "the checkpoint of a bundle has other signatures than its log's")
        said = strict_json(body)
        record = said["spec"]["hashedRekordV002"]
        told = (
            said["kind"],
            said["apiVersion"],
            record["data"]["algorithm"],
            unbase64(record["data"]["digest"]),
            unbase64(record["signature"]["content"]),
            unbase64(record["signature"]["verifier"]["x509Certificate"]["rawBytes"]),
        )
        demand(
            told == ("hashedrekord", "0.0.2", "SHA2_256", hashlib.sha256(signed).digest(), signature, certificate),
            "the log's entry is of another signature",
        )
        log.check_leaf(index, leaf_hash(body))
        return log.rank, index

    def identity(self, certificate):
        """(issuer's role, subject) that a certificate names."""
        names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        demand(
            len(names) == 1 and isinstance(names[0], (x509.UniformResourceIdentifier, x509.RFC822Name)),
            "the certificate must name exactly one subject",
        )
        found = {item.oid.dotted_string: item.value for item in certificate.extensions}
        url, repository, reference = (utf8(found.get(f"1.3.6.1.4.1.57264.1.{arc}")) for arc in (8, 12, 14))
        demand(url, "the certificate names no issuer")
        subject = names[0].value
        role = self.roles.get(url)
        demand(role is not None, "the certificate is of a foreign issuer", url[:120])
        if role == "workloads":
            demand(subject.startswith(url.rstrip("/") + "/"), "the signer is no workload here", subject[:120])
            return role, subject[len(url.rstrip("/")) :]
        if role in REPOSITORY_ENDS:
            address, _, file = subject.rpartition(REPOSITORY_ENDS[role])
            ours = (address, file.rpartition("@")[2]) == (repository, reference)
            demand(ours, "the workflow ran for another repository or reference", subject[:120])
        return role, mailbox(subject) if role == "people" else subject


REPOSITORY_ENDS = {"github": "/.github/", "gitlab": "//"}  # where a workflow's URI ends naming its repository


def utf8(extension):
    """The text of an extension of Fulcio's, "" if it holds none."""
    content = extension.value if isinstance(extension, x509.UnrecognizedExtension) else b""
    size = len(content) - 2
    if not 0 <= size <= 0x100 or size == 0x80:
        return ""
    header = bytes((0x0C, size)) if size < 0x80 else bytes((0x0C, 0x81, size - 1))
    return content[len(header) :].decode("utf-8") if content.startswith(header) else ""


def mailbox(address):
    """An address in its one form."""
    return address.lower().removesuffix(".") if address.isascii() else address


def number(text):
    """A whole number as protobuf's JSON writes it."""
    demand(isinstance(text, str) and re.fullmatch(r"0|[1-9][0-9]{0,18}", text), "no whole number")
    return int(text)


def bundle_parts(document):
    """(log entry, timestamp, certificate, envelope) of a bundle that has these and nothing else."""
    closed(document, mediaType=str, verificationMaterial=dict, dsseEnvelope=dict)
    demand(document["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json", "another kind of bundle")
    material, envelope = document["verificationMaterial"], document["dsseEnvelope"]
    closed(material, certificate=dict, tlogEntries=list, timestampVerificationData=dict)
    closed(material["certificate"], rawBytes=str)
    closed(material["timestampVerificationData"], rfc3161Timestamps=list)
    stamps, entries = (material["timestampVerificationData"]["rfc3161Timestamps"], material["tlogEntries"])
    closed(envelope, payload=str, payloadType=str, signatures=list)
    demand(len(stamps) == len(entries) == len(envelope["signatures"]) == 1, "not one signature, timestamp and entry")
    closed(stamps[0], signedTimestamp=str)
    closed(envelope["signatures"][0], sig=str)
    entry = entries[0]
    closed(
        entry,
        logIndex=str,
        logId=dict,
        kindVersion=dict,
        integratedTime=str,
        inclusionProof=dict,
        canonicalizedBody=str,
    )
    closed(entry["logId"], keyId=str)
    demand(
        entry["kindVersion"] == {"kind": "hashedrekord", "version": "0.0.2"} and entry["integratedTime"] == "0",
        "another kind of log entry",
    )
    closed(entry["inclusionProof"], logIndex=str, rootHash=str, treeSize=str, hashes=list, checkpoint=dict)
    closed(entry["inclusionProof"]["checkpoint"], envelope=str)
    return (entry, unbase64(stamps[0]["signedTimestamp"]), unbase64(material["certificate"]["rawBytes"]), envelope)


# --- 5. policy: releases, people and the layout --------------------------------------------------

SKEW = timedelta(seconds=300)


def moment(text):
    """A time as statements write it."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except (ValueError, TypeError) as error:
        raise Refused(f"{str(text)[:40]!r} is no time") from error


def person(issuer, subject):
    """What all addresses of one mailbox have in common."""
    if issuer in REPOSITORY_ENDS:
        address = subject.rpartition(REPOSITORY_ENDS[issuer])[0]
        return (issuer, address.lower() + subject[len(address) :])
    if issuer != "people":
        return (issuer, subject)
    name, at, domain = mailbox(subject).partition("@")
    return (issuer, f"{name.partition('+')[0] or name}@{domain}" if at else name)


def principal_of(principals, issuer, signer, at):
    """The one principal behind an identity at a time, if any."""
    found = [
        item
        for item in principals
        if any(
            one["issuer"] == issuer and (mailbox(one["subject"]) if issuer == "people" else one["subject"]) == signer
            for one in item["identities"]
        )
        and moment(item["valid_from"]) <= at < moment(item["valid_until"])
    ]
    return found[0] if len(found) == 1 else None


class Evidence:
    """Everything that the file holds, by what names it; `used` are the members that count."""

    def __init__(self, listing, members):
        self.standing, self.members, self.used = listing["standing"], members, set()
        closed(
            self.standing, environment=str, trusted_root=str, first_release=str, release=str, version=int, chains=dict
        )
        self.environment = self.standing["environment"]
        self.bundles = {}  # statement → its member
        self.drafts = {}  # statement → its payload, unverified
        for item in listing["members"]:
            if item["kind"] == "bundle":
                self.sort(item["name"])
        self.releases = self.follow_releases()
        head = self.releases[-1]
        demand(
            head["trust"].get("trusted_root.json") == self.standing["trusted_root"],
            "another trusted root is in force",
        )
        self.root, self.policies = (self.root_of(head), {item["policies"]: item for item in reversed(self.releases)})
        self.layout = self.policy_file(head, "data/layout.json")
        self.principals = self.policy_file(head, "data/principals.json")["principals"]
        for item in self.manifest(head["policies"])["entries"]:
            self.object(item["sha256"])
        for digest in head["trust"].values():
            self.object(digest)

    def sort(self, name):
        """Note which statement a bundle carries; it is verified when it is asked for."""
        try:
            payload = unbase64(strict_json(self.members[name])["dsseEnvelope"]["payload"])
            document = strict_json(payload)
            kind = document["predicateType"]
        except (KeyError, TypeError) as error:
            raise Refused("a bundle carries no statement", name) from error
        demand(sha256(payload) not in self.bundles, "two bundles carry one statement", name)
        self.bundles[sha256(payload)], self.drafts[sha256(payload)] = name, (kind, document)

    def take(self, name, what):
        """A member's bytes; from now on it counts."""
        demand(name in self.members, f"the file lacks {what}", name)
        self.used.add(name)
        return self.members[name]

    def object(self, digest):
        """A file that a release names."""
        return self.take(f"trust/objects/{digest}", "a file that a release names")

    def manifest(self, digest):
        """A manifest in its one form: files sorted by path, each with size, digest and sources."""
        content = self.take(f"evidence/manifests/{digest}.json", "a manifest")
        document = strict_json(content)
        demand(
            canonical(document) == content and sha256(content) == digest, "a manifest is not in its one form", digest
        )
        closed(document, version=int, asset=str, entries=list)
        for entry in document["entries"]:
            closed(entry, path=str, partition=str, size=int, sha256=str, made_from=list)
            digests = [entry["sha256"], *entry["made_from"]]
            demand(all(isinstance(item, str) and HEX.match(item) for item in digests), "a manifest's digest", digest)
        paths = [entry["path"] for entry in document["entries"]]
        demand(document["version"] == 1 and paths == sorted(set(paths)), "a manifest is out of order", digest)
        return document

    def policy_file(self, release, path):
        """One file of a release's policy."""
        for entry in self.manifest(release["policies"])["entries"]:
            if entry["path"] == path:
                return strict_json(self.object(entry["sha256"]))
        raise Refused("the policy lacks a file", path)

    def root_of(self, release):
        """The trust root that a release names."""
        names = ("trusted_root.json", "issuers.json", "witnesses.json")
        key = tuple(release["trust"][name] for name in names)
        known = self.__dict__.setdefault("roots", {})
        if key not in known:
            known[key] = Root(*(self.object(digest) for digest in key), self.members)
        return known[key]

    def follow_releases(self):
        """Every release from the first to the one in force; two authors signed each."""
        drafts = {}
        for statement, (kind, document) in self.drafts.items():
            if kind == RELEASE:
                said = dict(document["predicate"])
                said.pop("signer", None), said.pop("reason", None)
                said["policies"] = document["subject"][0]["digest"]["sha256"]
                drafts.setdefault(sha256(canonical(said)), (said, []))[1].append(statement)
        chain, digest = [], self.standing["release"]
        while digest:
            demand(digest in drafts and len(chain) < len(drafts), "the file lacks a release", digest[:12])
            chain.insert(0, digest)
            digest = drafts[digest][0]["previous"]
        demand(
            set(chain) == set(drafts)
            and chain[0] == self.standing["first_release"]
            and len(chain) == self.standing["version"],
            "the releases are not those of the state",
        )
        found = []
        for place, name in enumerate(chain, 1):
            said, statements = drafts[name]
            closed(said, environment=str, version=int, previous=str, policies=str, trust=dict, tools=dict)
            demand(
                (said["environment"], said["version"]) == (self.environment, place), "a release is of another place"
            )
            judge = found[-1] if found else said
            people = self.policy_file(judge, "data/principals.json")["principals"]
            signed = [self.author(self.root_of(judge), people, item) for item in sorted(statements)]
            demand(
                len(signed) == 2 and not self.are_one(people, *(author for author, _ in signed)),
                "a release needs two different policy authors",
                f"release {place}",
            )
            found.append(
                said
                | {
                    "statements": [one.digest for _, one in signed],
                    "digest": name,
                    "completed": max(one.logged for _, one in signed),
                }
            )
            (
                self.policy_file(said, "data/layout.json"),
                self.policy_file(said, "data/principals.json"),
                self.root_of(said),
            )
        return found

    def author(self, root, people, statement):
        """The policy author who signed a release."""
        one = root.verify(self.take(self.bundles[statement], "a release"))
        found = [
            item
            for item in people
            if "policy_author" in item["roles"] and principal_of([item], one.issuer, one.signer, one.at)
        ]
        demand(
            one.issuer == "people" and found and mailbox(str(one.predicate.get("signer")).strip()) == one.signer,
            "who signed a release was no policy author",
            one.where,
        )
        return found[0], one

    @staticmethod
    def are_one(people, first, second):
        """Whether two principals are one person: by name or mailbox, directly or through others."""

        def marks(item):
            return {item["id"].lower(), *(person(one["issuer"], one["subject"]) for one in item["identities"])}

        known, size = marks(first), 0
        while size != len(known):
            size = len(known)
            for item in people:
                known |= marks(item) if known & marks(item) else set()
        return bool(known & marks(second))


# --- 6. the walk: what each statement must show --------------------------------------------------

PEOPLE = {APPROVAL: "approve", SUPERSEDE: "supersede", REVOCATION: "revoke", WAIVER: "waive", ACCEPTANCE: "accept"}
TIMES = {APPROVAL: "issued_at", SUPERSEDE: "issued_at", WAIVER: "issued_at", ACCEPTANCE: "issued_at", REQUEST: "at"}
COHERENT_SINCE = datetime(2026, 11, 28, tzinfo=UTC)  # nothing looked for coherence before
WORKLOADS = {
    BATCH: "predictions",
    BATCH_V1: "predictions",
    REQUEST: "promotion_request",
    MODEL_SIGNATURE: "train",
    ML_BOM: "train",
}


class Walk:
    """Verifies statements and all that they rest on; each once."""

    def __init__(self, evidence):
        self.evidence, self.layout, self.nodes, self.open = evidence, evidence.layout, {}, set()
        self.chains = self.read_chains()
        self.revocations = []
        for statement, (kind, _) in sorted(evidence.drafts.items()):
            if kind == REVOCATION:
                self.revocations.append(self.node(statement))

    def node(self, statement):
        """The verified statement of this digest."""
        if statement not in self.nodes:
            demand(statement not in self.open, "the lineage goes round in a circle", statement[:12])
            demand(
                statement in self.evidence.bundles,
                "the file lacks a statement that another one rests on",
                str(statement)[:12],
            )
            self.open.add(statement)
            try:
                one = self.evidence.root.verify(self.evidence.take(self.evidence.bundles[statement], "a bundle"))
                self.nodes[statement] = self.filled(one)
            finally:
                self.open.discard(statement)
        return self.nodes[statement]

    def filled(self, one):
        """A statement with all that it rests on."""
        try:
            self.fill(one)
            if one.kind != REVOCATION:
                self.check_revoked(one)
        except Refused as error:
            raise Refused(error.why, error.where or one.where) from error
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise Refused(f"a statement cannot be read: {error!r}", one.where) from error
        return one

    def child(self, one, statement):
        """A statement below another one: it was signed before."""
        found = self.node(statement)
        one.children.append(found)
        demand(
            found.at.replace(microsecond=0) <= one.at.replace(microsecond=0),
            "signed before what it rests on",
            one.where,
        )
        return found

    def fill(self, one):
        """Who signed it and what it rests on, by kind."""
        if one.kind == PROVENANCE:
            self.materialisation(one)
        elif one.kind == SUMMARY:
            self.decision(one)
        elif one.kind == TEST_RESULT:
            self.contract(one)
        elif one.kind == RELEASE:
            demand(
                any(one.digest in item["statements"] for item in self.evidence.releases), "it put no release in force"
            )
            self.environment(one.predicate["environment"])
        else:
            self.leaf(one)

    # --- signers

    def environment(self, said):
        """It was made for this environment."""
        demand(said == self.evidence.environment, "made for another environment")

    def workload(self, one, step, exact=True):
        """The one workload of a step signed, and somebody answered for it."""
        rule = self.layout["steps"].get(step)
        demand(rule is not None, "the layout knows no such step", str(step)[:80])
        demand(not exact or rule["predicate_type"] == one.kind, "the step signs other statements")
        demand(
            (rule["identity"].get("issuer"), rule["identity"].get("subject")) == (one.issuer, one.signer),
            "somebody else signed than the layout names",
            one.where,
        )
        demand(
            principal_of(self.evidence.principals, one.issuer, one.signer, one.at), "nobody answered for the signer"
        )
        demand(not exact or self.evidence.environment in rule["environments"], "the step may not run here")
        return rule

    def by_person(self, one, step):
        """A person with the step's role signed."""
        who = principal_of(self.evidence.principals, one.issuer, one.signer, one.at)
        demand(one.issuer == "people" and who, "the signer is no known person")
        demand(self.layout["steps"][step]["signer_role"] in who["roles"], "the signer lacks the role")

    @staticmethod
    def clock(one, said):
        """The time that a signer states is that of the signature."""
        demand(abs(one.at - moment(said)) <= SKEW, "the signer's clock was wrong")

    def leaf(self, one):
        """A statement that people sign, or a step beside its own."""
        if one.kind in PEOPLE:
            self.by_person(one, PEOPLE[one.kind])
        else:
            demand(one.kind in WORKLOADS, "an unknown kind of statement", one.kind[:80])
            self.workload(one, WORKLOADS[one.kind], exact=one.kind in (BATCH, REQUEST))
        if one.kind not in (APPROVAL, MODEL_SIGNATURE, ML_BOM):
            self.environment(one.predicate["environment"])
        if one.kind in TIMES:
            self.clock(one, one.predicate[TIMES[one.kind]])
        if one.kind == ACCEPTANCE:
            self.acceptance(one)
        elif one.kind == APPROVAL:
            self.policy(one, one.predicate["policy_digest"])
        elif one.kind == WAIVER:
            about = {"asset": one.predicate["asset"], "empty": one.predicate["partition"]}
            demand((one.name, one.subject) == (about["asset"], sha256(canonical(about))), "a waiver of another day")
        if one.kind in (APPROVAL, REQUEST):
            made = [item for item in self.made(one.name) if item.subject == one.subject]
            demand(made, "nobody attested what it is about")
            with contextlib.suppress(Refused):  # whoever uses it asks whether that is in order
                self.node(made[-1].digest)

    def policy(self, one, digest):
        """The policy that decided was in force before; its signatures are below."""
        release = self.evidence.policies.get(digest)
        demand(release, "a policy that was never in force")
        for statement in release["statements"]:
            self.child(one, statement)

    # --- materialisations

    def materialisation(self, one):
        """An asset that a step made: from what it may read, by parameters that it may have."""
        build, details = one.predicate["buildDefinition"], one.predicate["runDetails"]
        outer, inner = build["externalParameters"], build["internalParameters"]
        demand(build["buildType"] == OURS + "build:step:v1", "another build type")
        self.environment(outer["environment"])
        rule = self.workload(one, outer["step"])
        demand(rule["produces"] == outer["asset"] == one.name, "the step may not make this")
        demand(
            moment(details["metadata"]["startedOn"]) <= moment(details["metadata"]["finishedOn"]),
            "ended before it began",
        )
        self.clock(one, details["metadata"]["finishedOn"])
        for name, value in outer["parameters"].items():
            demand(name in rule["parameters"], "a parameter that the layout does not know", name[:80])
            fits(rule["parameters"][name], value, name)
        demand(set(rule.get("required_parameters", ())) <= set(outer["parameters"]), "a parameter is missing")
        one.manifest = self.manifest_of(one.subject, one.name)
        outputs = details["byproducts"][0]["annotations"]
        readable, read = set(), {}
        for item in build["resolvedDependencies"]:
            digest, notes = item["digest"]["sha256"], item["annotations"]
            if notes["role"] == "policy":
                demand(digest in self.evidence.policies, "a policy that was never in force")
            if notes["role"] in ("input", "source"):
                view = self.material(one, outer["step"], rule, item["name"], digest, notes)
                readable |= {entry["sha256"] for entry in view["entries"]}
                read.setdefault(item["name"], set()).update(entry["partition"] for entry in view["entries"])
        for allowed in rule["materials"]:
            count = len(read.get(allowed["asset"], ()))
            demand(
                allowed["min"] <= count and (allowed["max"] is None or count <= allowed["max"]),
                f"{count} partitions of {allowed['asset']} were read",
            )
        for entry in one.manifest["entries"]:
            demand(
                entry["made_from"] and readable.issuperset(entry["made_from"]),
                "made from bytes that nobody read",
                entry["path"],
            )
        self.check_back(one, outer["asset"], inner["sequence"], outputs.get("supersede"))
        self.check_snapshot(one)
        if is_written_once(one):
            for before in self.versions(outer["asset"], inner["sequence"], one.manifest):
                demand(before.subject == one.subject, "a folder that is written once was attested otherwise before")

    # --- one world: what is read together rests on one version of each partition, the newest then

    def check_snapshot(self, one):
        """Follow `made_from` through everything that was read; note what each file rests on."""
        seen, sources = {}, {}
        for decision in one.children:
            if decision.kind != SUMMARY or decision.predicate["annotations"]["gate"] != "data_access":
                continue
            view = self.manifest_of(decision.subject, decision.name)
            attesting = [
                read
                for read in decision.children
                if read.kind == PROVENANCE and read.name == decision.name and not is_written_once(read)
            ]
            below_it = {key: rests for read in attesting for key, rests in read.rests.items()}
            for entry in view["entries"]:
                own = (decision.name, entry["partition"], version_of(view["entries"], entry["partition"]))
                rests = below_it.get((entry["path"], entry["sha256"]), frozenset()) | {own}
                for asset, partition, version in rests:
                    demand(
                        one.at < COHERENT_SINCE or seen.setdefault((asset, partition), version) == version,
                        "what was read together rests on two versions",
                        f"{asset}/{partition}",
                    )
                known = sources.get(entry["sha256"])
                sources[entry["sha256"]] = (own, rests if known is None or known[0] == own else frozenset())
            if attesting and one.at >= COHERENT_SINCE:
                self.check_newest(decision, view, attesting)
        for entry in one.manifest["entries"]:
            found = (sources[digest][1] for digest in entry["made_from"] if digest in sources)
            one.rests[entry["path"], entry["sha256"]] = frozenset().union(*found)

    def check_newest(self, decision, view, attesting):
        """What may be read was the newest when that was decided, and made from what was the newest."""
        for entry in view["entries"]:
            newest = self.newest_before(decision.name, entry["partition"], decision.logged)
            demand(newest is None or entry["sha256"] in newest, "an older version was used", entry["path"])
        inputs = {
            item["name"]
            for read in attesting
            for item in read.predicate["buildDefinition"]["resolvedDependencies"]
            if item["annotations"]["role"] == "input"
        }
        made_from = {digest for entry in view["entries"] for digest in entry["made_from"]}
        for asset in sorted(inputs):
            replaced, current = {}, set()
            places = {}  # digest → the partitions that ever had it
            for link in self.made(asset):
                for entry in link.manifest["entries"]:
                    places.setdefault(entry["sha256"], set()).add(entry["partition"])
            for partition in {name for digest in made_from for name in places.get(digest, ())}:
                newest = self.newest_before(asset, partition, decision.logged)
                if newest is not None:
                    current |= newest
                    old = {digest for digest in made_from if partition in places.get(digest, ())} - newest
                    replaced |= dict.fromkeys(old, partition)
            for digest, partition in replaced.items():
                shared = any(len(self.histories_of(asset, other)) < 2 for other in places[digest])
                demand(digest in current or shared, "an older version was used", f"{asset}/{partition}")

    def histories_of(self, asset, partition):
        """The different contents that a partition has had."""
        found = (version_of(link.manifest["entries"], partition) for link in self.made(asset))
        return {version for version in found if version}

    def newest_before(self, asset, partition, logged):
        """The files of the newest version that verifies and was logged before; None without a history."""
        if len(self.histories_of(asset, partition)) < 2:
            return None
        for link in reversed(self.made(asset)):
            files = {entry["sha256"] for entry in link.manifest["entries"] if entry["partition"] == partition}
            if files and link.logged < logged:
                try:
                    self.node(link.digest)
                except Refused:
                    continue
                return files
        return None

    def manifest_of(self, digest, asset):
        """A manifest, which must be one of this asset."""
        found = self.evidence.manifest(digest)
        demand(found["asset"] == asset, "a manifest of another asset", digest[:12])
        return found

    def material(self, one, step, rule, name, digest, notes):
        """What was read: allowed by the layout and by a signed decision about exactly this."""
        demand(any(item["asset"] == name for item in rule["materials"]), "it may not be read here", name[:80])
        view = self.manifest_of(digest, name)
        if notes["role"] == "source":
            demand(name in self.layout["sources"], "read unattested", name[:80])
            return view
        decision = self.access(one, notes.get("decision", ""), step, name)
        demand(decision.subject == digest, "the decision is about other files", name[:80])
        return view

    def access(self, one, statement, step, asset):
        """The decision that let a step read an asset."""
        found = self.child(one, statement)
        notes = found.predicate.get("annotations", {})
        demand(
            found.kind == SUMMARY
            and notes["gate"] == "data_access"
            and found.predicate["verificationResult"] == "PASSED"
            and (notes["facts"].get("step"), notes["facts"].get("asset")) == (step, asset),
            "no decision allowed reading this",
            asset,
        )
        return found

    def check_back(self, one, asset, sequence, decided):
        """Bytes that a later version had replaced came back only if a person decided that."""
        for entry in one.manifest["entries"]:
            before = [
                (item, other["sha256"])
                for item in self.versions(asset, sequence, one.manifest)
                for other in item.manifest["entries"]
                if (other["path"], other["partition"]) == (entry["path"], entry["partition"])
            ]
            digests = [digest for _, digest in before]
            others = [place for place, digest in enumerate(digests) if digest != entry["sha256"]]
            if not others or entry["sha256"] not in digests[: others[-1]]:
                continue
            statement = decided.get(entry["partition"]) if isinstance(decided, dict) else None
            if statement is None and digests[-1] == entry["sha256"]:
                self.node(before[-1][0].digest)
                continue
            demand(isinstance(statement, str), "replaced bytes came back, and nobody decided that", entry["path"])
            decision = self.child(one, statement)
            said = decision.predicate
            demand(
                decision.kind == SUPERSEDE
                and decision.name == asset
                and (said["partition"], said["sha256"]) == (entry["partition"], entry["sha256"])
                and said["replaces"] == before[-1][0].digest,
                "the decision is about another version",
                entry["path"],
            )

    # --- decisions

    def decision(self, one):
        """A gate decided, under a policy in force, on statements that are below."""
        notes = one.predicate["annotations"]
        self.environment(notes["environment"])
        self.workload(one, notes["gate"])
        self.clock(one, one.predicate["timeVerified"])
        self.policy(one, one.predicate["policy"]["digest"]["sha256"])
        inputs = [self.child(one, item["digest"]["sha256"]) for item in one.predicate["inputAttestations"]]
        if one.predicate["verificationResult"] != "PASSED":
            return
        if notes["gate"] == "data_access":
            self.check_access(one, notes["facts"], inputs)
        else:
            self.check_permission(one, notes, inputs)

    def check_access(self, one, facts, inputs):
        """What may be read was attested, and passed each suite that its reader needs."""
        reader = self.layout["steps"].get(facts.get("step"), {"materials": ()})
        allowed = [item for item in reader["materials"] if item["asset"] == one.name]
        demand(allowed and facts["asset"] == one.name, "the layout does not let it be read")
        view = self.manifest_of(one.subject, one.name)
        demand(sorted({entry["partition"] for entry in view["entries"]}) == facts["partitions"], "other partitions")
        suites = allowed[0]["requires_suites"]
        for item in inputs:
            known = (
                item.manifest is not None
                and item.manifest["asset"] == one.name
                and (item.kind == PROVENANCE or item.predicate["annotations"]["suite"] in suites)
            )
            said = item.predicate
            known |= (
                item.kind == ACCEPTANCE
                and said["asset"] == one.name
                and (said["partition"], said["sha256"]) in {(e["partition"], e["sha256"]) for e in view["entries"]}
            )
            demand(known, "a decision rests on something else", item.where)
        attested = [entry for item in inputs if item.kind == PROVENANCE for entry in item.manifest["entries"]]
        for entry in view["entries"]:
            demand(entry in attested, "a file that was read was not attested", entry["path"])
            for suite in suites:
                demand(self.has_passed(inputs, one.name, entry, suite), f"{suite} has not passed", entry["path"])

    @staticmethod
    def has_passed(inputs, asset, entry, suite):
        """Whether a suite passed on exactly these bytes, or a person accepted all that it held."""
        for item in inputs:
            if item.kind == TEST_RESULT and item.manifest["asset"] == asset and entry in item.manifest["entries"]:
                notes = item.predicate["annotations"]
                if notes["suite"] == suite and judged(item, entry, asset, inputs):
                    return True
        return False

    def check_permission(self, one, notes, inputs):
        """A permission about a model rests on what its gate demands, each about that very model."""
        needed = {
            "release": {PROVENANCE: 2, MODEL_SIGNATURE: 1},
            "deploy": {PROVENANCE: 2, MODEL_SIGNATURE: 1, SUMMARY: 1, REQUEST: 1, APPROVAL: 1},
        }
        demanded = needed.get(notes["gate"], {})
        subject = [
            item
            for item in inputs
            if item.kind == PROVENANCE and (item.name, item.subject) == (one.name, one.subject)
        ]
        demand(len(subject) == 1, "a decision without evidence of its model")
        outputs = subject[0].predicate["runDetails"]["byproducts"][0]["annotations"]
        named = {str(value) for value in outputs.values()}
        for item in inputs:
            read = item.predicate["buildDefinition"]["resolvedDependencies"] if item.kind == PROVENANCE else ()
            digests = {item.subject, *(part["digest"]["sha256"] for part in read)}
            demand(one.subject in digests or item.digest in named, "a decision rests on something else", item.where)
            demand(item.kind in demanded, "a decision rests on another kind of statement", item.where)
            if item.kind == SUMMARY:
                demand(
                    (item.predicate["annotations"]["gate"], item.predicate["verificationResult"])
                    == ("release", "PASSED"),
                    "no permission to register",
                    item.where,
                )
            if item.kind == APPROVAL:
                bound = (
                    notes["environment"],
                    notes["facts"].get("evidence_set"),
                    one.predicate["policy"]["digest"]["sha256"],
                )
                said = item.predicate
                demand(
                    (said.get("environment"), said.get("evidence_set"), said["policy_digest"]) == bound,
                    "an approval of something else",
                    item.where,
                )
                walked = below([part for part in inputs if part.kind in (PROVENANCE, MODEL_SIGNATURE)])
                demand(
                    all(part.at.replace(microsecond=0) <= item.at.replace(microsecond=0) for part in walked),
                    "approved before the evidence was there",
                    item.where,
                )
        kinds = [item.kind for item in inputs]
        demand(all(kinds.count(kind) >= count for kind, count in demanded.items()), "a decision rests on too little")

    # --- contracts and people

    def contract(self, one):
        """A suite judged data: in a form that counts, what it was allowed to read."""
        notes = one.predicate["annotations"]
        self.environment(notes["environment"])
        rule = self.layout["contracts"].get(notes["suite"])
        demand(rule is not None, "an unknown suite", str(notes["suite"])[:80])
        self.workload(one, rule["step"])
        (form,) = one.predicate["configuration"]
        demand(
            form["digest"]["sha256"] in (*rule["suite_digests"], *rule.get("former_suite_digests", ())),
            "judged by checks that are not approved",
        )
        told = notes.get("held") or notes.get("warnings")
        expected = "FAILED" if notes["failedPartitions"] else "WARNED" if told else "PASSED"
        demand(
            one.predicate["result"] == expected
            and {item["day"] for item in notes["failures"]} == set(notes["failedPartitions"]),
            "a result that contradicts itself",
        )
        one.manifest = self.manifest_of(one.subject, rule["asset"])
        partitions = {entry["partition"] for entry in one.manifest["entries"]}
        demand(not partitions < set(notes["rows"]), "it judged more than its subject")
        makers = [step for step in self.layout["steps"].values() if step["produces"] == rule["asset"]]
        sources = {rule["asset"], *(item["asset"] for step in makers for item in step["materials"])}
        for day, statement in sorted(notes.get("waivers", {}).items()):
            waiver = self.child(one, statement)
            demand(
                waiver.kind == WAIVER
                and waiver.predicate["partition"] == day
                and waiver.predicate["asset"] in sources,
                "no waiver of that day",
                day,
            )
        decision = self.access(one, notes.get("decision", ""), rule["step"], rule["asset"])
        view = self.manifest_of(decision.subject, rule["asset"])
        demand(all(entry in view["entries"] for entry in one.manifest["entries"]), "it judged what it had not read")

    def acceptance(self, one):
        """What a person accepted is what these results say of these bytes."""
        said = one.predicate
        demand(
            (one.name, one.subject) == (said["asset"], said["sha256"]) and said["findings"] and said["contracts"],
            "an acceptance of something else",
        )
        found = []
        for statement in said["contracts"]:
            result = self.node(statement)
            one.children.append(result)
            demand(
                result.kind == TEST_RESULT
                and result.manifest["asset"] == said["asset"]
                and (said["partition"], said["sha256"])
                in {(e["partition"], e["sha256"]) for e in result.manifest["entries"]}
                and one.logged >= result.logged,
                "the result is of another day, or later",
            )
            notes = result.predicate["annotations"]
            found += [
                {"suite": notes["suite"]} | item for item in notes.get("held", ()) if item["day"] == said["partition"]
            ]

        def order(item):
            return (item["suite"], item["check"], item.get("column", ""))

        demand(sorted(found, key=order) == list(said["findings"]), "it accepts other findings than there are")

    # --- chains and revocations

    def read_chains(self):
        """The chains that the file holds: no gap, no fork, and the newest link is the state's."""
        chains = {}
        for statement, (kind, _) in self.evidence.drafts.items():
            if kind not in (PROVENANCE, REVOCATION, SUMMARY):
                continue
            one = self.evidence.root.verify(self.evidence.members[self.evidence.bundles[statement]])
            said = one.predicate
            if kind == PROVENANCE:
                place, asset = (
                    said["buildDefinition"]["internalParameters"],
                    said["buildDefinition"]["externalParameters"]["asset"],
                )
                chains.setdefault(asset, []).append((place["sequence"], place["previous"], one))
            elif kind == REVOCATION:
                chains.setdefault("revocations", []).append((said["sequence"], said["previous"], one))
            elif said["annotations"]["gate"] == "deploy" and said["verificationResult"] == "PASSED":
                facts = said["annotations"]["facts"]
                if "deployments" in self.evidence.standing["chains"]:
                    chains.setdefault("deployments", []).append((facts["sequence"], facts["previous"], one))
        demand(set(chains) == set(self.evidence.standing["chains"]), "the file's chains are not those of the state")
        for name, links in chains.items():
            links.sort(key=lambda link: (link[0], link[2].logged))
            before = ""
            for place, (sequence, previous, one) in enumerate(links, 1):
                demand((sequence, previous) == (place, before), "a chain has a gap or a fork", f"{name} {place}")
                before = one.digest
                self.evidence.take(self.evidence.bundles[one.digest], "a link")
                if one.kind == PROVENANCE:
                    self.workload(one, one.predicate["buildDefinition"]["externalParameters"]["step"])
                    one.manifest = self.evidence.manifest(one.subject)
            newest = self.evidence.standing["chains"][name]
            demand(
                newest == {"sequence": len(links), "statement": before},
                "a chain ends elsewhere than the state says",
                name,
            )
        return {name: [one for _, _, one in links] for name, links in chains.items()}

    def made(self, asset):
        """The materialisations of an asset, oldest first."""
        return [one for one in self.chains.get(asset, ()) if one.kind == PROVENANCE]

    def versions(self, asset, sequence, manifest):
        """The earlier statements of an asset that name a partition of this manifest."""
        partitions = {entry["partition"] for entry in manifest["entries"]}
        return [
            one
            for one in self.made(asset)[: sequence - 1]
            if partitions & {entry["partition"] for entry in one.manifest["entries"]}
        ]

    def check_revoked(self, one):
        """Refuse what people revoked; note which files of a manifest are, or were made from such."""
        whole, files = None, {}
        for item in self.revocations:
            said = item.predicate
            digests = set(said["digests"])
            if said["kind"] in ("identity", "principal"):
                since = moment(said["from_time"] or said["issued_at"])
                who = (
                    [said["identity"]]
                    if said["identity"]
                    else [
                        each
                        for other in self.evidence.principals
                        if other["id"] == said["principal"]
                        for each in other["identities"]
                    ]
                )
                if one.at >= since and person(one.issuer, one.signer) in [
                    person(x["issuer"], x["subject"]) for x in who
                ]:
                    raise Refused("its signer was revoked", one.where)
            elif said["kind"] == "partition":
                files |= {digest: min(item.logged, files.get(digest, item.logged)) for digest in digests}
            else:
                kind = "application/vnd.in-toto+json"
                signed = sha256(b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(one.content), one.content))
                own = {"model": one.subject, "statement": one.digest, "log entry": signed}[said["kind"]]
                if own in digests:
                    whole = whole or item.logged
        if whole and one.kind == ACCEPTANCE:
            one.revoked = {one.predicate["sha256"]: whole}
        elif whole:
            demand(one.manifest is not None, "it was revoked", one.where)
            one.revoked = {entry["sha256"]: whole for entry in one.manifest["entries"]}
        elif one.kind == PROVENANCE:
            tainted = {}
            for decision in one.children:
                again = {
                    entry["sha256"]
                    for read in decision.children
                    if read.kind == PROVENANCE
                    for entry in read.manifest["entries"]
                    if entry["sha256"] not in read.revoked
                }
                tainted |= {
                    digest: at
                    for read in decision.children
                    for digest, at in read.revoked.items()
                    if read.kind != PROVENANCE or digest not in again
                }
            for entry in one.manifest["entries"]:
                causes = [files.get(entry["sha256"]), *(tainted.get(x) or files.get(x) for x in entry["made_from"])]
                if any(causes):
                    one.revoked[entry["sha256"]] = min(filter(None, causes))


def is_written_once(one):
    """Whether a materialisation's folder is its manifest for good, as a model's is."""
    return one.predicate["runDetails"]["byproducts"][0]["annotations"].get("location", "data") != "data"


def version_of(entries, partition):
    """The content of a partition in a manifest."""
    return "+".join(sorted({entry["sha256"] for entry in entries if entry["partition"] == partition}))


def judged(result, entry, asset, nodes):
    """Whether a contract's result speaks for these bytes."""
    notes, partition = result.predicate["annotations"], entry["partition"]
    if partition in notes["failedPartitions"] or notes["checks"] <= 0 or notes["rows"].get(partition, 0) <= 0:
        return False
    held = [item for item in notes.get("held", ()) if item["day"] == partition]
    wanted = {(notes["suite"], item["check"], item["code"], item.get("column", "")) for item in held}
    return not wanted or any(
        item.kind == ACCEPTANCE
        and not item.revoked
        and (item.predicate["asset"], item.predicate["partition"], item.predicate["sha256"])
        == (asset, partition, entry["sha256"])
        and wanted <= {(x["suite"], x["check"], x["code"], x.get("column", "")) for x in item.predicate["findings"]}
        for item in nodes
    )


def below(roots):
    """These statements and all below them."""
    found, stack = {}, list(roots)
    while stack:
        one = stack.pop()
        if one.digest not in found:
            found[one.digest] = one
            stack.extend(one.children)
    return list(found.values())


def fits(schema, value, name):
    """Demand that a parameter fits its JSON schema, of which only these words are known."""
    kinds = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "array": list,
        "object": dict,
        "null": type(None),
    }
    tests = {
        "type": lambda want: any(
            isinstance(value, kinds[one]) and (one in ("boolean",) or not isinstance(value, bool))
            for one in (want if isinstance(want, list) else [want])
        ),
        "enum": lambda want: value in want,
        "const": lambda want: value == want,
        "pattern": lambda want: re.search(want, value),
        "minimum": lambda want: value >= want,
        "maximum": lambda want: value <= want,
        "exclusiveMinimum": lambda want: value > want,
        "exclusiveMaximum": lambda want: value < want,
        "minItems": lambda want: len(value) >= want,
        "maxItems": lambda want: len(value) <= want,
        "items": lambda want: all(fits(want, item, name) is None for item in value),
    }
    for word, want in schema.items():
        if word not in ("description", "title", "reason"):
            demand(word in tests and tests[word](want), "a parameter is not as the layout allows", name[:80])


# --- 7. what a subject demands -------------------------------------------------------------------


class Question:
    """What a file is about, and which statements that takes."""

    def __init__(self, evidence, subject):
        closed(
            subject,
            kind=str,
            asset=str,
            partition=str,
            files=dict,
            model=str,
            alias=str,
            statement=str,
            row=type(subject.get("row")),
        )
        self.evidence, self.subject, self.roots = evidence, subject, {}
        self.about = ""  # the digest of the model that the file's documents are about
        self.walk = Walk(evidence)

    def answer(self):
        """Walk everything that the subject demands."""
        kinds = {"partition": self.partition, "score": self.score, "model": self.model, "statement": self.statement}
        demand(self.subject["kind"] in kinds, "an unknown kind of subject")
        filled = {
            "partition": {"asset", "partition", "files"},
            "score": {"row"},
            "model": {"model", "alias"},
            "statement": {"statement"},
        }[self.subject["kind"]]
        blank = {"asset": "", "partition": "", "files": {}, "model": "", "alias": "", "statement": "", "row": None}
        demand(
            all(self.subject[name] == blank[name] for name in blank if name not in filled), "a subject of two kinds"
        )
        kinds[self.subject["kind"]]()
        self.histories()

    def root(self, statement, partitions=None):
        """A statement that the walk begins with; of a materialisation, which partitions are meant."""
        one = self.walk.node(statement)
        self.roots[statement] = one
        for entry in one.manifest["entries"] if one.manifest else ():
            if entry["sha256"] in one.revoked and (partitions is None or entry["partition"] in partitions):
                raise Refused("it was revoked, or made from what was", f"{one.name}@{entry['partition']}")
        return one

    def newest(self, asset, partition):
        """The newest statement that names a partition."""
        for one in reversed(self.walk.made(asset)):
            if partition in {entry["partition"] for entry in one.manifest["entries"]}:
                return self.root(one.digest, {partition})
        raise Refused("nothing attests it", f"{asset}/{partition}")

    def results(self, asset, entries):
        """Suite → its newest result about these files that was not revoked, and acceptances of them."""
        revoked = {
            digest
            for item in self.walk.revocations
            if item.predicate["kind"] == "statement"
            for digest in item.predicate["digests"]
        }
        found, accepted = {}, []
        for statement, (kind, document) in self.evidence.drafts.items():
            if kind == ACCEPTANCE and (document["predicate"]["asset"], document["predicate"]["sha256"]) in {
                (asset, entry["sha256"]) for entry in entries
            }:
                one = self.walk.node(statement)
                accepted += [] if one.revoked else [one]
            if kind != TEST_RESULT or statement in revoked:
                continue
            rule = self.walk.layout["contracts"].get(document["predicate"]["annotations"]["suite"])
            if rule is None or rule["asset"] != asset:
                continue
            judged_files = self.evidence.manifest(document["subject"][0]["digest"]["sha256"])["entries"]
            if any(
                (x["partition"], x["sha256"]) == (e["partition"], e["sha256"]) for x in judged_files for e in entries
            ):
                one = self.walk.node(statement)
                suite = one.predicate["annotations"]["suite"]
                if suite not in found or found[suite].logged < one.logged:
                    found[suite] = one
        for one in [*found.values(), *accepted]:
            self.root(one.digest, ())
        return found, accepted

    def check_judged(self, asset, made, partition):
        """Each suite of the layout has passed on each file of a partition."""
        entries = [entry for entry in made.manifest["entries"] if entry["partition"] == partition]
        found, accepted = self.results(asset, entries)
        for suite, rule in self.walk.layout["contracts"].items():
            if rule["asset"] != asset or (suite == "scores_match_features" and not self.is_due(suite, made)):
                continue
            for entry in entries:
                one = found.get(suite)
                demand(
                    one is not None and entry in one.manifest["entries"], f"{suite} has not judged it", entry["path"]
                )
                demand(judged(one, entry, asset, accepted), f"{suite} has not passed", entry["path"])

    def is_due(self, suite, scores):
        """Whether a release had brought the suite before these scores were logged."""
        since = None
        for release in reversed(self.evidence.releases):
            if suite not in self.evidence.policy_file(release, "data/layout.json").get("contracts", ()):
                break
            since = release["completed"]
        return since is not None and scores.logged > since

    def statement(self):
        """One statement and all below it."""
        self.root(self.subject["statement"])

    def partition(self):
        """The newest version of a partition, judged."""
        asset, partition = self.subject["asset"], self.subject["partition"]
        one = self.newest(asset, partition)
        files = {e["path"]: e["sha256"] for e in one.manifest["entries"] if e["partition"] == partition}
        demand(files == self.subject["files"], "the newest version has other files")
        self.check_judged(asset, one, partition)
        if asset == "fraud_model":
            self.signature(one)

    def signature(self, model):
        """The OpenSSF signature of a model: over exactly the files of its manifest."""
        outputs = model.predicate["runDetails"]["byproducts"][0]["annotations"]
        one = self.root(str(outputs.get("model_signature", "")))
        ignored = one.predicate.get("serialization", {}).get("ignore_paths", [])
        listed = {item["name"]: item["digest"] for item in one.predicate["resources"]}
        attested = {entry["path"]: entry["sha256"] for entry in model.manifest["entries"]}
        demand(
            one.kind == MODEL_SIGNATURE
            and listed == attested
            and {".git", ".gitattributes", ".github", ".gitignore"} >= set(ignored),
            "the model signature is of other files",
        )

    def model_of(self, digest):
        """Model, newest evaluation of it, and its signature."""
        made = [one for one in self.walk.made("fraud_model") if one.subject == digest]
        demand(made, "nothing attests the model", digest[:12])
        model = self.root(made[-1].digest, None if self.subject["kind"] == "model" else ())
        for one in reversed(self.walk.made("model_evaluation")):
            read = one.predicate["buildDefinition"]["resolvedDependencies"]
            if any((item["name"], item["digest"]["sha256"]) == ("fraud_model", digest) for item in read):
                self.root(one.digest, None if self.subject["kind"] == "model" else ())
                break
        else:
            raise Refused("the model was not evaluated", digest[:12])
        self.signature(model)
        return model

    def decisions(self, gate, digest):
        """A gate's decisions about something, oldest first."""
        found = [
            self.walk.node(statement)
            for statement, (kind, document) in self.evidence.drafts.items()
            if kind == SUMMARY
            and document["predicate"]["annotations"]["gate"] == gate
            and document["subject"][0]["digest"]["sha256"] == digest
        ]
        return sorted(found, key=lambda one: one.logged)

    def model(self):
        """A model; as candidate with its registration, as champion with its deployment."""
        digest, alias = self.subject["model"], self.subject["alias"]
        self.model_of(digest)
        self.about = digest
        if alias == "candidate":
            found = self.decisions("release", digest)
            demand(found and found[-1].predicate["verificationResult"] == "PASSED", "it was never registered")
            self.root(found[-1].digest)
        elif alias == "champion":
            self.champion(digest)
        else:
            demand(alias == "", "an unknown alias")

    def champion(self, digest):
        """The newest deployment that the gate did not take back is of this model."""
        for one in reversed(self.walk.chains.get("deployments", ())):
            self.root(one.digest)
            back = [
                item
                for item in self.decisions("deploy", one.digest)
                if item.name == "deployment_decision" and item.predicate["verificationResult"] == "FAILED"
            ]
            if not back:
                demand(one.subject == digest, "a later decision made another model champion", one.where)
                return
            self.roots |= {item.digest: item for item in back}
        raise Refused("no decision made it champion")

    # --- scores

    def score(self):
        """One row: its leaf leads to the root that the batch signed, made by the decided model."""
        row = self.subject["row"]
        closed(row, transaction_id=int, day=str, leaf=str, index=int, rows=int, path=list)
        day = row["day"]
        scores = self.newest("transaction_scores", day)
        batch = self.batch_about(scores)
        demand(batch is not None, "no prediction batch covers these scores")
        said = self.root(batch.digest).predicate
        self.check_batch(batch, scores)
        path = []
        for item in row["path"]:
            demand(isinstance(item, str) and HEX.match(item), "a hash of the row's path")
            path.append(bytes.fromhex(item))
        demand(
            row["leaf"].isascii() and row["leaf"].split(",")[0] == str(row["transaction_id"]), "another row's leaf"
        )
        root = root_from_path(leaf_hash(row["leaf"].encode("ascii")), row["index"], row["rows"], path)
        signed = said["batches"].get(day, {})
        demand(
            (signed.get("merkle_root"), signed.get("rows")) == (root.hex(), row["rows"]),
            "the row does not lead to the signed root",
            f"row {row['index']} of {row['rows']}",
        )
        self.root(said["decision"])
        self.model_of(said["model_digest"])
        self.about = said["model_digest"]
        self.check_judged("transaction_scores", scores, day)
        self.check_versions(day)

    def batch_about(self, scores):
        """The newest batch about exactly these scores."""
        found = [
            self.walk.node(statement)
            for statement, (kind, document) in self.evidence.drafts.items()
            if kind == BATCH
            and document["subject"][0]["digest"]["sha256"] == scores.subject
            and document["predicate"].get("scores_statement") == scores.digest
        ]
        return max(found, key=lambda one: one.logged, default=None)

    def check_batch(self, batch, scores):
        """A batch fits its scores, its model and the decision that made that champion."""
        said = batch.predicate
        decision = self.walk.node(said["decision"])
        notes = decision.predicate.get("annotations", {})
        demand(
            decision.kind == SUMMARY
            and notes["gate"] == "deploy"
            and decision.subject == said["model_digest"]
            and decision.predicate["verificationResult"] == "PASSED",
            "no decision allowed the batch's model",
            batch.where,
        )
        demand(
            {entry["partition"] for entry in scores.manifest["entries"]} == set(said["batches"])
            and batch.subject == scores.subject,
            "the batch covers other days",
            batch.where,
        )
        read = scores.predicate["buildDefinition"]["resolvedDependencies"]
        outputs = scores.predicate["runDetails"]["byproducts"][0]["annotations"]
        models = {item["digest"]["sha256"] for item in read if item["name"] == "fraud_model"}
        made = [one for one in self.walk.made("fraud_model") if one.subject == said["model_digest"]]
        parts = {entry["sha256"] for one in made[-1:] for entry in self.walk.node(one.digest).manifest["entries"]}
        demand(
            models == {said["model_digest"]}
            and parts
            and outputs.get("decision") == said["decision"]
            and all(parts <= set(entry["made_from"]) for entry in scores.manifest["entries"]),
            "the scores were made from another model",
            batch.where,
        )
        for day, claimed in said["batches"].items():
            demand(
                claimed["features_sha256"] == self.features(scores, day)[0],
                "made from other features",
                f"{batch.where}@{day}",
            )

    def features(self, scores, day):
        """(SHA-256 of the one feature file that a day was made from, rows counted there if told)."""
        entry = next(
            (e for e in scores.manifest["entries"] if e["partition"] == day and e["path"].endswith(".parquet")), None
        )
        demand(entry is not None, "no scores of that day", day)
        found, counted = set(), None
        for item in scores.predicate["buildDefinition"]["resolvedDependencies"]:
            if (item["name"], item["annotations"]["role"]) == ("transaction_features", "input"):
                for other in self.evidence.manifest(item["digest"]["sha256"])["entries"]:
                    if other["partition"] == day and other["sha256"] in entry["made_from"]:
                        found.add(other["sha256"])
        demand(len(found) == 1, "made from several feature files of the day, or none", day)
        for read in sorted(
            (
                r
                for d in scores.children
                for r in d.children
                if r.kind == PROVENANCE and r.name == "transaction_features"
            ),
            key=lambda one: one.logged,
        ):
            if any((e["partition"], e["sha256"]) == (day, *found) for e in read.manifest["entries"]):
                rows = read.predicate["runDetails"]["byproducts"][0]["annotations"].get("rows")
                counted = rows.get(day) if isinstance(rows, dict) else None
        return (*found, counted)

    def check_versions(self, day):
        """Each logged version of a day has all rows, and differs from the one before for a reason."""
        before = None
        for one in self.walk.made("transaction_scores"):
            if day not in {entry["partition"] for entry in one.manifest["entries"]}:
                continue
            scores, batch = self.walk.node(one.digest), self.batch_about(one)
            if batch is None:
                continue
            self.roots |= {scores.digest: scores, batch.digest: batch}
            if any(
                entry["sha256"] in scores.revoked for entry in scores.manifest["entries"] if entry["partition"] == day
            ):
                before = None
                continue
            said = batch.predicate["batches"][day]
            _, counted = self.features(scores, day)
            demand(counted in (None, said["rows"]), "rows are missing in the batch", f"{batch.where}@{day}")
            now = ((said["rows"], said["merkle_root"]), batch.predicate["model_digest"], said["features_sha256"])
            demand(
                before is None or now[0] == before[0] or now[1] != before[1] or now[2] != before[2],
                "the log tells two stories of one day",
                f"{batch.where}@{day}",
            )
            before = now

    def histories(self):
        """Partitions with several versions: what the later ones rest on may be in the file, too."""
        walked = {
            name
            for one in below(self.walk.nodes.values())
            if one.manifest
            for name in ((one.name, entry["partition"]) for entry in one.manifest["entries"])
        }
        for asset, links in self.walk.chains.items():
            for one in links:
                if (
                    one.kind == PROVENANCE
                    and one.digest not in self.walk.nodes
                    and any((asset, entry["partition"]) in walked for entry in one.manifest["entries"])
                ):
                    try:
                        self.walk.node(one.digest)
                    except Refused:
                        continue  # it speaks for nothing here, and against nothing


# --- 8. the documents: derived, so they are made again and compared -------------------------------


class Papers:
    """What is written about a model: lines that the released policy asks for, from verified statements."""

    def __init__(self, question):
        self.question, self.model = question, question.about
        self.policy = question.evidence.releases[-1]
        begin = [
            one
            for one in below(question.roots.values())
            if one.subject == self.model or (one.name == "model_evaluation" and self.has_read(one))
        ]
        self.nodes = sorted(below(begin), key=lambda one: one.logged)

    def has_read(self, one):
        """Whether a step read this very model."""
        read = one.predicate.get("buildDefinition", {}).get("resolvedDependencies", ())
        return ("fraud_model", self.model) in {(item["name"], item["digest"]["sha256"]) for item in read}

    def data(self, name):
        """A document of the policy in force, if it has it."""
        entries = self.question.evidence.manifest(self.policy["policies"])["entries"]
        has = any(entry["path"] == f"data/{name}.json" for entry in entries)
        return self.question.evidence.policy_file(self.policy, f"data/{name}.json") if has else None

    def made(self):
        """Name → bytes; none for subjects that are about no model, or by policies that ask for none."""
        plan = self.data("documents") if self.model else None
        found = {}
        for name, form in (plan or {"documents": {}})["documents"].items():
            lines = [
                (
                    part["heading"],
                    [line for row in part["rows"] for line in self.lines(row, plan["sources"])],
                )
                for part in form["parts"]
            ]
            write = self.markdown if name.endswith(".md") else self.bill
            found[f"documents/{name}"] = write(form["title"], lines)
        return found

    def lines(self, row, sources):
        """(label, value, the statements that say it) of one row."""
        releases = sorted(self.policy["statements"])
        if "says" in row:
            return [(row["label"], row["says"], releases)]
        if "policy" in row:
            found = [(self.at(self.data(row["policy"]), row["at"]), releases)]
        else:
            found = [(self.at(self.facts(one), row["at"]), [one.digest]) for one in self.of(sources[row["from"]])]
        told = [(row["label"], self.text(value), proof) for value, proof in found if value not in (None, "", [], {})]
        return told or [(row["label"], "missing: no verified statement here says it", [])]

    def of(self, wanted):
        """The statements of a source, oldest first, or the newest alone."""
        found = [
            one
            for one in self.nodes
            if one.kind == wanted["type"]
            and (not wanted["about_model"] or one.subject == self.model)
            and all(self.at(one.predicate, item["at"]) == item["is"] for item in wanted["where"])
        ]
        return found[-1:] if wanted["newest"] else found

    @staticmethod
    def facts(one):
        """A statement as lines speak of it."""
        at = one.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "subject": one.subject,
            "signer": one.signer,
            "signed_at": at,
            "predicate": one.predicate,
        }

    def at(self, document, path):
        """What stands at a path, or None."""
        for part in path:
            if isinstance(part, dict) and isinstance(document, list):
                fitting = (item for item in document if self.at(item, part["at"]) == part["is"])
                document = next(fitting, None)
            elif isinstance(part, str) and isinstance(document, dict):
                document = document.get(part)
            elif isinstance(part, int) and isinstance(document, list):
                document = document[part] if part < len(document) else None
            else:
                return None
        return document

    @staticmethod
    def text(value):
        """A value on one line of ASCII."""
        plain = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        return json.dumps(plain)[1:-1].replace('\\"', '"')

    def markdown(self, title, parts):
        """As text."""
        environment = self.question.evidence.environment
        out = f"# {title}\n\nModel `{self.model}`, environment `{environment}`.\n\n"
        out += "Each line names the signed statement that proves it.\n"
        for heading, lines in parts:
            out += f"\n## {heading}\n\n"
            for label, value, proof in lines:
                by = " (" + ", ".join(f"`{item}`" for item in proof) + ")" if proof else ""
                out += f"- **{label}**: " + value.replace("`", "'") + by + "\n"
        return out.encode("utf-8")

    def bill(self, title, parts):
        """As a CycloneDX bill of materials."""
        told = [{"name": "environment", "value": self.question.evidence.environment}]
        for heading, lines in parts:
            for label, value, proof in lines:
                told.append({"name": f"{heading}: {label}", "value": value})
                for item in proof:
                    told.append({"name": f"{heading}: {label} (proof)", "value": f"sha256:{item}"})
        about = {
            "type": "machine-learning-model", "name": title, "bom-ref": f"model:{self.model}", "properties": told,
        }  # fmt: skip
        document = {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"component": about},
        }
        return json.dumps(document, indent=1, sort_keys=True).encode("ascii") + b"\n"


# --- 9. the reader, and the answer ---------------------------------------------------------------


def check_pin(standing, root_digest, trusted_root):
    """What is left to the file, once it rests on a root that the reader knows."""
    state = sha256(canonical(standing))
    chains = ", ".join(f"{name} {link['sequence']}" for name, link in sorted(standing["chains"].items()))
    policy = f"release {standing['version']} of policy and trust root, sha256:{standing['release']}"
    whole = f"nothing newer than {chains or 'no chain'}, state sha256:{state}"
    given = root_digest.removeprefix("sha256:")
    if trusted_root is not None:
        demand(
            sha256(trusted_root) == standing["trusted_root"],
            "the file rests on another trusted root",
            standing["trusted_root"],
        )
        given = given or standing["trusted_root"]
    if not given:
        raise Undecided(
            f"a file that brings its own root proves nothing by itself: this one rests on trusted root"
            f" sha256:{standing['trusted_root']}, {policy}, {whole}. Say which you know:"
            " --trust-root FILE, or --root-digest and one of these digests"
        )
    left = {state: [], standing["release"]: [whole], standing["trusted_root"]: [policy, whole]}
    demand(given in left, "the file rests on another root than the one you know", given[:80])
    return left[given]


def verify(content, root_digest="", trusted_root=None):
    """(exit code, one sentence, what is left to the file) for the bytes of a file."""
    try:
        listing, members = unpack(content)
        state = listing["standing"]
        closed(
            state, environment=str, trusted_root=str, first_release=str, release=str, version=int, chains=dict
        )
        for newest in state["chains"].values():
            closed(newest, sequence=int, statement=str)
        left = check_pin(state, root_digest, trusted_root)
        evidence = Evidence(listing, members)
        question = Question(evidence, listing["subject"])
        question.answer()
        for name, written in Papers(question).made().items():
            demand(evidence.take(name, "a document") == written, "a document says what no statement says", name)
        for root in evidence.roots.values():
            for log in root.logs.values():
                evidence.used |= log.used
        extra = sorted(set(members) - evidence.used)
        demand(not extra, "nothing asks for a member of the file", extra[0] if extra else "")
    except Undecided as error:
        return 2, f"could not decide: {error}", []
    except Refused as error:
        return 1, f"NOT proven: {error}", []
    except Exception as error:  # whatever a parser raises on strange bytes, it proves nothing
        return 1, f"NOT proven: the file cannot be read: {error!r}", []
    count = len(below(question.roots.values()))
    return 0, f"proven: {name_of(listing['subject'])}, by {count} signed statements", left


def name_of(subject):
    """A subject in words."""
    if subject["kind"] == "score":
        return f"score of {subject['row']['transaction_id']}"
    if subject["kind"] == "partition":
        return f"{subject['asset']}/{subject['partition']}"
    if subject["kind"] == "model":
        return f"model {subject['model'][:12]}{' as ' if subject['alias'] else ''}{subject['alias']}"
    return f"statement {subject['statement'][:12]}"


def main(arguments=None):
    """Verify the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--trust-root", type=Path, help="the Sigstore trusted root that you know")
    parser.add_argument("--root-digest", default="", help="SHA-256 of the trusted root, the release or the state")
    given = parser.parse_args(arguments)
    sys.setrecursionlimit(20_000)
    try:
        root = given.trust_root.read_bytes() if given.trust_root else None
        content = given.file.read_bytes()
    except OSError as error:
        print(f"could not decide: {error}")
        return 2
    code, sentence, left = verify(content, given.root_digest, root)
    print(sentence)
    for item in left:
        print(f"as far as this is what you know: {item}")
    return code


if __name__ == "__main__":
    sys.exit(main())
