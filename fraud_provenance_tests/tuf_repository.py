"""A real TUF repository of one company, made at run time."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

ROLES = ("root", "timestamp", "snapshot", "targets")


@dataclass
class TufRepository:
    """Keys and files of a repository; each `publish` is a newer state of it."""

    folder: Path
    keys: dict[str, CryptoSigner] = field(
        default_factory=lambda: {role: CryptoSigner.generate_ecdsa() for role in ROLES}
    )
    version: int = 0

    def publish(
        self, targets: Mapping[str, bytes], *, expires: timedelta = timedelta(days=30)
    ) -> None:
        """Sign a state that has exactly these targets."""
        self.version += 1
        (self.folder / "targets").mkdir(parents=True, exist_ok=True)
        until = datetime.now(UTC).replace(microsecond=0) + expires
        listed = Targets(version=self.version, expires=until)
        for name, content in targets.items():
            digest = hashlib.sha256(content).hexdigest()
            (self.folder / "targets" / f"{digest}.{name}").write_bytes(content)
            listed.targets[name] = TargetFile.from_data(name, content, ["sha256"])
        snapshot = Snapshot(version=self.version, expires=until)
        snapshot.meta["targets.json"] = MetaFile(version=self.version)
        timestamp = Timestamp(version=self.version, expires=until)
        timestamp.snapshot_meta = MetaFile(version=self.version)
        self._write("targets", listed, f"{self.version}.targets.json")
        self._write("snapshot", snapshot, f"{self.version}.snapshot.json")
        self._write("timestamp", timestamp, "timestamp.json")
        if self.version == 1:
            root = Root(version=1, expires=until + timedelta(days=365), consistent_snapshot=True)
            for role, signer in self.keys.items():
                root.add_key(signer.public_key, role)
            self._write("root", root, "1.root.json")

    @property
    def root(self) -> Path:
        """The first root, as a person is given it."""
        return self.folder / "1.root.json"

    def _write(self, role: str, signed: Root | Timestamp | Snapshot | Targets, name: str) -> None:
        document: Metadata[Root | Timestamp | Snapshot | Targets] = Metadata(signed)
        document.sign(self.keys[role])
        document.to_file(str(self.folder / name))
