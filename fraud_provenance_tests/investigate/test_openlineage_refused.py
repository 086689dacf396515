"""What does not verify never becomes an OpenLineage event, nor does what rests on it."""

from collections.abc import Callable, Mapping
from datetime import date

import pytest

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.people.revoking import revoke_subject
from fraud_provenance_tests.conftest import AUTHOR, FEATURES, RAW, Chain, Forger, open_workspace
from fraud_provenance_tests.investigate.openlineage_schema import problems
from fraud_provenance_tests.investigate.story import Story
from fraud_provenance_tests.investigate.test_export_lives import hold_and_accept
from fraud_provenance_tests.investigate.told_events import (
    end,
    events,
    named,
    statements_of,
    tell,
)

# --- what does not verify is not told --------------------------------------------------------


def unsigned_contract(chain: Chain, forger: Forger) -> str:
    view = chain.trust.lineage().node(chain.raw.bundle.statement.digest).manifest
    assert view is not None
    made = forger.contract(view, "raw_schema", [chain.raw.bundle], who="/steps/ingest")
    return made.statement.digest


def foreign_decision(chain: Chain, forger: Forger) -> str:
    view = chain.trust.lineage().node(chain.raw.bundle.statement.digest).manifest
    assert view is not None
    denied = forger.decision(view, [chain.raw.bundle], who="/steps/train", allowed=False)
    return denied.statement.digest


def unread_features(chain: Chain, forger: Forger) -> str:
    view = chain.trust.lineage().node(chain.raw.bundle.statement.digest).manifest
    assert view is not None
    return forger.features(view, None).statement.digest


def policy_by_nobody(chain: Chain, forger: Forger) -> str:
    said = {"environment": "local", "version": 2, "previous": "", "trust": {}, "tools": {},
            "signer": AUTHOR, "reason": "mine"}  # fmt: skip
    return forger.sign(
        statements.POLICY_RELEASE, "policies", "a" * 64, said, AUTHOR
    ).statement.digest


FORGED: Mapping[str, Callable[[Chain, Forger], str]] = {
    "signed by another step": lambda _, f: f.raw(who="/steps/features").statement.digest,
    "signed by a person": lambda _, f: f.raw(who=AUTHOR).statement.digest,
    "asset of another step": (
        lambda _, f: f.raw(asset=FEATURES, subject=FEATURES).statement.digest
    ),
    "made from nothing": (
        lambda _, f: f.raw(entries=[f.forged_entry([], "forged")]).statement.digest
    ),
    "manifest of another asset": (
        lambda _, f: (
            f.raw(manifest=Manifest.of("other", [f.forged_entry([f.source()[1]])])).statement.digest
        )
    ),
    "unexpected parameter": (
        lambda _, f: f.raw(parameters={"partitions": [], "sample": 1}).statement.digest
    ),
    "other environment": lambda _, f: f.raw(environment="staging").statement.digest,
    "read without a decision": unread_features,
    "contract of another signer": unsigned_contract,
    "decision of another signer": foreign_decision,
    "release by one author": policy_by_nobody,
}


@pytest.mark.parametrize("lie", FORGED.values(), ids=FORGED.keys())
def test_a_forged_statement_never_becomes_an_event(
    chain: Chain, forger: Forger, lie: Callable[[Chain, Forger], str]
) -> None:
    before = tell(chain.workspace)
    forged = lie(chain, forger)
    after = tell(open_workspace(chain.trust.home, chain.workspace.project))
    assert forged not in statements_of(events(after))
    assert after.lines == before.lines
    told_of = {record.environment for record in chain.trust.store.records(statement=forged)}
    assert after.exit_code == (0 if told_of == {"staging"} else 1)


def test_a_changed_bundle_is_refused_named_and_takes_along_what_rests_on_it(chain: Chain) -> None:
    before = events(tell(chain.workspace))
    digest = chain.contracts["raw_schema"].bundle_digest
    path = chain.trust.store.bundle_path(digest)
    path.write_bytes(path.read_bytes().replace(b'"logIndex"', b'"logindex"', 1))
    told = tell(open_workspace(chain.trust.home, chain.workspace.project))
    assert told.exit_code == 1
    assert {item.code for item in told.refused} >= {"EVIDENCE_TAMPERED"}
    assert any(digest[:12] in str(item) for item in told.refused)
    jobs = {event["job"]["name"] for event in events(told)}
    assert jobs == {"release_policies", "ingest", "contract.raw_expectations"}
    assert [event for event in before if event["job"]["name"] in jobs] == events(told)


def test_a_fork_of_a_chain_takes_the_whole_chain_along(chain: Chain, forger: Forger) -> None:
    forger.raw(sequence=1, previous="")  # as somebody who has the step's identity
    told = tell(open_workspace(chain.trust.home, chain.workspace.project))
    assert "PARTITION_DUPLICATE" in {item.code for item in told.refused}
    assert told.exit_code == 1
    assert {event["job"]["name"] for event in events(told)} == {"release_policies"}


def test_a_chain_that_is_gone_with_its_index_is_named(chain: Chain) -> None:
    chain.trust.store.bundle_path(chain.features.bundle.bundle_digest).unlink()
    (chain.trust.home / "evidence" / "index.sqlite").unlink()
    told = tell(open_workspace(chain.trust.home, chain.workspace.project))
    assert [(item.code, item.artifact) for item in told.refused] == [("EVIDENCE_MISSING", FEATURES)]


def test_a_removed_bundle_is_named(chain: Chain) -> None:
    chain.trust.store.bundle_path(chain.features.bundle.bundle_digest).unlink()
    told = tell(open_workspace(chain.trust.home, chain.workspace.project))
    assert told.exit_code == 1
    assert "EVIDENCE_MISSING" in {item.code for item in told.refused}
    assert "features" not in {event["job"]["name"] for event in events(told)}


def test_a_changed_file_takes_along_what_was_made_of_it(story: Story) -> None:
    day = story.days[0]
    (story.trust.home / "data" / RAW / f"{day}.parquet").write_bytes(b"other rows")
    told = tell(story.workspace)
    assert told.exit_code == 1
    assert [(item.code, item.partition) for item in told.refused] == [("DIGEST_MISMATCH", day)]
    assert {event["job"]["name"] for event in events(told)} == {"release_policies"}


def test_where_nothing_verifies_there_is_no_file(chain: Chain) -> None:
    (chain.trust.home / "data" / RAW / "2018-04-01.parquet").write_bytes(b"other rows")
    with pytest.raises(ProvenanceError, match="DIGEST_MISMATCH") as caught:
        tell(chain.workspace, f"{RAW}/2018-04-01", since=date(2999, 1, 1))
    assert caught.value.exit_code == 1


# --- what was withdrawn ----------------------------------------------------------------------


def test_a_withdrawn_day_is_left_out_with_all_that_was_made_of_it(story: Story) -> None:
    day = story.days[-1]
    revoke_subject(story.workspace, f"{RAW}/{day}", "wrong labels")
    told = tell(open_workspace(story.trust.home, story.workspace.project))
    found = events(told)
    assert told.exit_code == 0
    assert told.withdrawn > 0
    for job, asset in (("ingest", RAW), ("features", FEATURES)):
        subset = named(end(found, job)["outputs"], asset)["outputFacets"]["subset"]
        parts = subset["outputCondition"]["partitions"]
        assert [item["dimensions"]["day"] for item in parts] == story.days[:-1]
    assert "score" not in {event["job"]["name"] for event in found}
    revoked = end(found, "revoke")
    (part,) = revoked["inputs"][0]["inputFacets"]["subset"]["inputCondition"]["partitions"]
    assert (revoked["inputs"][0]["name"], part["dimensions"]) == (RAW, {"day": day})
    assert [text for event in found for text in problems(event)] == []


def test_a_contract_forgets_the_days_that_were_withdrawn(story: Story) -> None:
    revoke_subject(story.workspace, f"{RAW}/{story.days[-1]}", "wrong labels")
    told = events(tell(open_workspace(story.trust.home, story.workspace.project)))
    judged = end(told, "contract.raw_schema")["inputs"][0]["inputFacets"]["subset"]
    parts = judged["inputCondition"]["partitions"]
    assert [item["dimensions"]["day"] for item in parts] == story.days[:-1]


def test_what_was_decided_on_a_withdrawn_model_is_left_out(story: Story) -> None:
    revoke_subject(story.workspace, f"{RAW}/{story.days[0]}", "wrong labels")
    told = tell(open_workspace(story.trust.home, story.workspace.project))
    jobs = {event["job"]["name"] for event in events(told)}
    assert told.exit_code == 0
    assert jobs.isdisjoint({"train", "evaluate", "release", "approve", "deploy", "score"})
    assert jobs.isdisjoint({"contract.training_set_point_in_time"})
    assert {"ingest", "features", "revoke"} <= jobs


def test_a_withdrawn_acceptance_is_left_out(story: Story) -> None:
    hold_and_accept(story, story.days[-3])
    accepted = events(tell(story.workspace))
    statement = min(statements_of([end(accepted, "accept")]))
    revoke_subject(story.workspace, statement, "looked at the wrong day")
    told = events(tell(open_workspace(story.trust.home, story.workspace.project)))
    assert "accept" not in {event["job"]["name"] for event in told}
    assert end(told, "revoke")["inputs"] == []
