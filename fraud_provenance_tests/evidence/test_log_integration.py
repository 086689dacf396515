"""The audit on a real Rekor, and a fork of its log under its own key."""

import base64
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sigstore.dsse import Statement as DsseStatement

from fraud_provenance.alerts import Outbox
from fraud_provenance.attested.core.errors import ProvenanceError, VerificationError
from fraud_provenance.attested.sigstore.log_audit import AuditReport, Depth
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.attested.tlog import merkle
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.investigate.audit import audit
from fraud_provenance.models.promotion import last_look
from fraud_provenance.people.revoking import revoke_subject
from fraud_provenance_tests.conftest import codes, ingest, open_workspace
from fraud_provenance_tests.evidence.simulated_log import SimulatedLog

pytestmark = pytest.mark.integration

TRAIN = Identity(issuer="workloads", subject="/steps/train")


def reopened(workspace: Workspace) -> Workspace:
    return open_workspace(workspace.home, workspace.project)


def audited(workspace: Workspace, depth: Depth = Depth.REMEMBERED) -> AuditReport:
    """What a new process would find."""
    fresh = reopened(workspace)
    registry = registry_of(fresh)
    return audit(fresh.trust, registry, Outbox(fresh.home), datetime.now(UTC), depth)


def steal(workspace: Workspace, name: str) -> None:
    """Sign and log as the trainer what no run announced or stored."""
    stolen = statements.build_statement(
        statements.MODEL_SIGNATURE, name, "0" * 64, {"resources": []}
    )
    workspace.trust.signing._signer(TRAIN).sign_dsse(DsseStatement(stolen.content))


@pytest.fixture(scope="module")
def busy(stranger: Workspace) -> Workspace:
    """A home of its own servers in which a day was ingested; its log was audited once."""
    ingest(stranger.trust, {"2018-04-01": b"transactions"})
    assert audited(stranger).trusted
    return stranger


@pytest.fixture
def copied(busy: Workspace, tmp_path: Path) -> Workspace:
    """A copy with its log, to be tampered with; it signs nothing."""
    ignored = shutil.ignore_patterns("run", "checkpoint[0-9]*")
    home = Path(shutil.copytree(busy.home, tmp_path / "home", ignore=ignored))
    return open_workspace(home, busy.project)


def test_real_log_explains_the_store_and_the_store_the_log(busy: Workspace) -> None:
    found = audited(busy, Depth.FULL).logs[0]

    assert found.reasons == ()
    assert found.entries == found.size == found.ours == found.bundles
    assert found.checkpoints >= 2
    assert audited(busy).logs[0].entries == 0


def test_entry_that_nobody_made_is_told_until_a_person_settles_it(busy: Workspace) -> None:
    steal(busy, "stolen")
    index = audited(busy).logs[0].size - 1
    trust = reopened(busy).trust

    again = audited(busy, Depth.TAIL)
    assert codes(_refusal(again.check)) == ["UNEXPECTED_LOG_ENTRY"]
    assert again.reasons[0].identity == str(TRAIN)
    with pytest.raises(VerificationError, match="UNEXPECTED_LOG_ENTRY"):
        last_look(trust, trust.policies.current())
    texts = [alert.text for alert in Outbox(busy.home).pending()]
    assert any("UNEXPECTED_LOG_ENTRY" in text for text in texts)

    revoke_subject(reopened(busy), f"log:{index}", "the trainer's token was stolen")
    trust = reopened(busy).trust
    last_look(trust, trust.policies.current())
    assert audited(busy, Depth.FULL).trusted


@pytest.mark.parametrize("name", ["log:99999", "log:x", "log:0@other.test"])
def test_entry_that_is_not_in_the_log_cannot_be_revoked(busy: Workspace, name: str) -> None:
    with pytest.raises(ProvenanceError, match="USAGE"):
        revoke_subject(reopened(busy), name, "no such entry")


def test_forked_log_under_its_own_key_is_found_and_what_was_verified_stays(
    copied: Workspace,
) -> None:
    log = SimulatedLog.of_home(copied.home)
    log.bodies[0], log.bodies[1] = log.bodies[1], log.bodies[0]
    log.publish()

    assert [item.code for item in audited(copied).reasons] == ["LOG_FORK"]
    record = copied.store.records()[0]
    copied.bundles.verify(copied.store.bundle_bytes(record.bundle))


def _proven_in(log: SimulatedLog, index: int, document: dict[str, Any]) -> bytes:
    """The bundle with a proof, under the log's key, that its entry is leaf `index` of `log`."""
    entry = document["verificationMaterial"]["tlogEntries"][0]
    log.bodies[index] = base64.b64decode(entry["canonicalizedBody"])
    head = log.head()
    path = merkle.inclusion_path(log.bodies, index)
    entry["logIndex"] = str(index)
    entry["inclusionProof"] = {
        "logIndex": str(index),
        "rootHash": base64.b64encode(head.root).decode(),
        "treeSize": str(head.size),
        "hashes": [base64.b64encode(bytes.fromhex(item)).decode() for item in path],
        "checkpoint": {"envelope": head.note.decode()},
    }
    return json.dumps(document).encode()


@pytest.mark.parametrize(("move", "code"), [(0, ""), (1, "LOG_FORK")], ids=["same", "forked"])
def test_bundle_proven_in_a_fork_is_refused_though_the_log_signed_it(
    copied: Workspace, move: int, code: str
) -> None:
    record = copied.store.records()[0]
    document = json.loads(copied.store.bundle_bytes(record.bundle))
    content = _proven_in(SimulatedLog.of_home(copied.home), record.log_index + move, document)

    if code:
        assert codes(_refusal(lambda: copied.bundles.verify(content))) == [code]
    else:
        assert copied.bundles.verify(content).log_index == record.log_index


def test_bundle_whose_index_is_not_the_proven_one_is_refused(copied: Workspace) -> None:
    """The index alone is not signed; it decides what is newest."""
    record = copied.store.records()[0]
    document = json.loads(copied.store.bundle_bytes(record.bundle))
    document["verificationMaterial"]["tlogEntries"][0]["logIndex"] = "7000"

    found = _refusal(lambda: copied.bundles.verify(json.dumps(document).encode()))

    assert codes(found) == ["LOG_ENTRY_MISMATCH"]


def _refusal(act: Callable[[], object]) -> ProvenanceError:
    with pytest.raises(ProvenanceError) as caught:
        act()
    return caught.value
