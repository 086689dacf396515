"""Feast's two files, the registry and the online store: which attested version lies here.

They lie outside the attested folders, for Feast owns them. Where machines share a home each has
files of its own, loaded by one of its own runs.
"""

from pathlib import Path

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.models.view_skew import FEATURE_STORE

REGISTRY_FILE, ONLINE_FILE = "registry.db", "online.db"
_LIMIT_BYTES = 4 * 1024**3
_OFFLINE = b"<offline store>"


def offline_folder(home: Path) -> Path:
    """Where the online store's source tables are written before they are loaded."""
    return home / "scratch" / "feast-online"


def registry_digest(home: Path) -> str:
    """SHA-256 of Feast's registry, wherever the home lies."""
    content = files.read_once(home / "feast" / REGISTRY_FILE, limit_bytes=_LIMIT_BYTES)
    return encoding.digest_bytes(content.replace(bytes(offline_folder(home)), _OFFLINE))


def online_digest(home: Path) -> str:
    """SHA-256 of the online store's file."""
    return encoding.digest_bytes(
        files.read_once(home / "feast" / ONLINE_FILE, limit_bytes=_LIMIT_BYTES)
    )


def loaded_here(trust: Trust) -> Node | None:
    """The version of the feature store that should lie on this machine, None for none.

    It is the newest one; where machines share a home, the newest that this one loaded.
    """
    versions = {head.statement: head.sequence for head in trust.store.versions(FEATURE_STORE)}
    newest_first = sorted(versions, key=lambda statement: -versions[statement])
    if not newest_first:
        return None
    lineage = trust.lineage()
    if trust.store.contents is not None and trust.store.contents.is_shared:
        if not (trust.home / "feast" / ONLINE_FILE).exists():
            return None
        here = online_digest(trust.home)
        for node in map(lineage.node, newest_first):
            attested = node.provenance.outputs if node.provenance and not node.reasons else {}
            if attested.get("online_sha256") == here:
                return node
    return lineage.node(newest_first[0])
