"""A transparency log that tests make lie: files as Rekor writes them, any key, any history."""

import base64
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from fraud_provenance.attested.local import authority, trust_root
from fraud_provenance.attested.tlog import merkle, notes
from fraud_provenance.attested.tlog.notes import Checkpoint, LogKey, NoteSignature
from fraud_provenance.attested.tlog.tiles import WIDTH, FolderSource, LogFiles, tile_path

ORIGIN = "log.test"


def entry_body(digest: str, certificate: bytes = b"", signature: bytes = b"signature") -> bytes:
    """A canonical `hashedrekord` entry."""
    verifier = {
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
        **(
            {"x509Certificate": {"rawBytes": base64.b64encode(certificate).decode()}}
            if certificate
            else {"publicKey": {"rawBytes": ""}}
        ),
    }
    signed = {"content": base64.b64encode(signature).decode(), "verifier": verifier}
    data = {
        "algorithm": "SHA2_256",
        "digest": base64.b64encode(bytes.fromhex(digest)).decode(),
    }
    spec = {"hashedRekordV002": {"data": data, "signature": signed}}
    document = {"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec}
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def dsse_v1_body(document: dict[str, Any]) -> bytes:
    """The body of an entry of Rekor v1's kind `dsse` 0.0.1 for a bundle's envelope.

    It names a digest of the envelope's JSON, which has no canonical form: nobody can check it.
    """
    envelope = document["dsseEnvelope"]
    raw = base64.b64decode(document["verificationMaterial"]["certificate"]["rawBytes"])
    pem = x509.load_der_x509_certificate(raw).public_bytes(Encoding.PEM)
    payload = hashlib.sha256(base64.b64decode(envelope["payload"])).hexdigest()
    signature = envelope["signatures"][0]["sig"]
    spec = {
        "envelopeHash": {"algorithm": "sha256", "value": "0" * 64},
        "payloadHash": {"algorithm": "sha256", "value": payload},
        "signatures": [{"signature": signature, "verifier": base64.b64encode(pem).decode()}],
    }
    return json.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}).encode()


class SimulatedLog:
    """A log whose entries are whatever `bodies` holds when `publish` is called."""

    def __init__(
        self,
        folder: Path,
        origin: str = ORIGIN,
        key: ed25519.Ed25519PrivateKey | None = None,
        bodies: Sequence[bytes] = (),
    ) -> None:
        self.folder = folder
        self.origin = origin
        self.private = key or ed25519.Ed25519PrivateKey.generate()
        self.bodies = list(bodies)

    @classmethod
    def of_home(cls, home: Path) -> "SimulatedLog":
        """The log of a real home with its key and all its entries, ready to be rewritten."""
        settings = trust_root.load(home)
        pem = (trust_root.private_folder(home) / "rekor.key").read_bytes()
        private = load_pem_private_key(pem, password=None)
        assert isinstance(private, ed25519.Ed25519PrivateKey)
        files = LogFiles(FolderSource(home / "log"))
        size = notes.parse_checkpoint(files.checkpoint()).size
        bodies = [
            body
            for bundle in range(-(-size // WIDTH))
            for body in files.entries(bundle, min(WIDTH, size - bundle * WIDTH))
        ]
        return cls(home / "log", settings.origin, private, bodies)

    @property
    def key(self) -> LogKey:
        """The log's public key as a trusted root names it."""
        public = self.private.public_key()
        return LogKey(self.origin, authority.rekor_log_id(self.origin, public), public)

    def trusted_root(self) -> bytes:
        """The part of a trusted root that names this log."""
        der = self.private.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        log = {
            "baseUrl": f"http://{self.origin}:1",
            "publicKey": {"rawBytes": base64.b64encode(der).decode()},
            "logId": {"keyId": base64.b64encode(self.key.log_id).decode()},
        }
        return json.dumps({"tlogs": [log]}).encode()

    def head(self, size: int | None = None) -> Checkpoint:
        """The signed head at a size (by default, of all entries)."""
        bodies = self.bodies[: len(self.bodies) if size is None else size]
        root = merkle.root_of_hashes([merkle.leaf_hash(body) for body in bodies])
        made = notes.unsigned_checkpoint(self.origin, len(bodies), root)
        signature = self.private.sign(made.text)
        return made.with_signatures([NoteSignature(self.origin, self.key.log_id[:4], signature)])

    def enter(self, body: bytes, kind: str = "hashedrekord", version: str = "0.0.2") -> Any:  # noqa: ANN401 - JSON
        """A further entry of this log, as a bundle proves it: all that the log's key can make."""
        self.bodies.append(body)
        index, head = len(self.bodies) - 1, self.head()
        path = [bytes.fromhex(item) for item in merkle.inclusion_path(self.bodies, index)]
        proof = {
            "logIndex": str(index),
            "rootHash": base64.b64encode(head.root).decode(),
            "treeSize": str(head.size),
            "hashes": [base64.b64encode(item).decode() for item in path],
            "checkpoint": {"envelope": head.note.decode()},
        }
        return {
            "logIndex": str(index),
            "logId": {"keyId": base64.b64encode(self.key.log_id).decode()},
            "kindVersion": {"kind": kind, "version": version},
            "integratedTime": "0",
            "inclusionProof": proof,
            "canonicalizedBody": base64.b64encode(body).decode(),
        }

    def publish(self) -> Checkpoint:
        """Write checkpoint, tiles and entry bundles as they must be for the present entries."""
        for name in ("tile", "checkpoint"):
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        hashes = [merkle.leaf_hash(body) for body in self.bodies]
        level = 0
        while hashes:
            for at in range(0, len(hashes), WIDTH):
                tile = hashes[at : at + WIDTH]
                self._write(tile_path(level, at // WIDTH, len(tile)), b"".join(tile))
            hashes = [
                merkle.root_of_hashes(hashes[at : at + WIDTH])
                for at in range(0, len(hashes) - WIDTH + 1, WIDTH)
            ]
            level += 1
        for at in range(0, len(self.bodies), WIDTH):
            some = self.bodies[at : at + WIDTH]
            content = b"".join(len(body).to_bytes(2, "big") + body for body in some)
            self._write(tile_path("entries", at // WIDTH, len(some)), content)
        made = self.head()
        self._write("checkpoint", made.note)
        return made

    def _write(self, path: str, content: bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
