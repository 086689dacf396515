"""Feast's two files, the registry and the online store: which attested version lies here.

They lie outside the attested folders, for Feast owns them. Where machines share a home each has
files of its own, loaded by one of its own runs.
"""

from pathlib import Path

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Materialisation, Node
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

    It is the newest one; where machines share a home, the newest that this one loaded. One that
    lost a file of the two is not one that never loaded any.
    """
    heads = [head for found in trust.store.heads(FEATURE_STORE).values() for head in found]
    newest = max(heads, key=lambda head: head.sequence, default=None)
    if newest is None:
        return None
    if trust.store.contents is not None and trust.store.contents.is_shared:
        feast = trust.home / "feast"
        there = [name for name in (REGISTRY_FILE, ONLINE_FILE) if (feast / name).exists()]
        if not there:
            return None
        if ONLINE_FILE in there and (known := _attested_as(trust, online_digest(trust.home))):
            return known
    return trust.lineage().node(newest.statement)


def _attested_as(trust: Trust, online_sha256: str) -> Node | None:
    """The newest version whose online store has these bytes."""
    versions = {head.statement: None for head in reversed(trust.store.versions(FEATURE_STORE))}
    for node in map(trust.lineage().node, versions):
        if not isinstance(node, Materialisation):
            continue
        if node.provenance.outputs.get("online_sha256") == online_sha256:
            return node
    return None
