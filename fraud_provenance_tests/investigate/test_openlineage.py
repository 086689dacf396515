"""OpenLineage events: valid by the published schemas, of what verified alone, always alike."""

import json
from collections.abc import Callable
from datetime import date, timedelta

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import ConfigError
from fraud_provenance.attested.statements import statements
from fraud_provenance.investigate import openlineage_form as form
from fraud_provenance.people.waiving import waive_day
from fraud_provenance_tests.conftest import (
    FEATURES,
    RAW,
    RAW_SUITES,
    Chain,
    Forger,
    judge,
    open_workspace,
)
from fraud_provenance_tests.investigate.openlineage_schema import facets_of, problems
from fraud_provenance_tests.investigate.story import TRAINED, Story, train_on
from fraud_provenance_tests.investigate.test_export_lives import hold_and_accept
from fraud_provenance_tests.investigate.told_events import (
    SCORES,
    Event,
    assertions,
    end,
    ends,
    events,
    named,
    statements_of,
    tell,
)


@pytest.fixture(scope="module")
def found(judged: Story) -> list[Event]:
    """All events of the story."""
    told = tell(judged.workspace)
    assert told.refused == ()
    assert told.exit_code == 0
    return events(told)


# --- what is told ----------------------------------------------------------------------------


def test_every_event_is_valid_by_the_published_schemas(found: list[Event]) -> None:
    assert [text for event in found for text in problems(event)] == []
    kinds = {place.rsplit(".", 1)[1] for event in found for place, _ in facets_of(event)}
    assert kinds == {
        "columnLineage", "dataQualityAssertions", "inputStatistics", "jobType", "nominalTime",
        "outputStatistics", "ownership", "parent", "schema", "subset", "version", form.EVIDENCE,
    } - {"columnLineage"}  # fmt: skip


def _without_run(event: Event) -> None:
    del event["run"]["runId"]


def _bad_time(event: Event) -> None:
    event["eventTime"] = "yesterday"


def _bad_kind(event: Event) -> None:
    event["eventType"] = "DONE"


def _bad_version(event: Event) -> None:
    event["outputs"][0]["facets"]["version"]["datasetVersion"] = 7


def _bad_proof(event: Event) -> None:
    event["run"]["facets"][form.EVIDENCE]["bundle"] = "here"


@pytest.mark.parametrize("lie", [_without_run, _bad_time, _bad_kind, _bad_version, _bad_proof])
def test_the_schemas_find_what_is_wrong(found: list[Event], lie: Callable[[Event], None]) -> None:
    event = json.loads(json.dumps(end(found, "score")))
    lie(event)
    assert problems(event)


def test_each_statement_is_one_run_that_starts_and_ends(found: list[Event]) -> None:
    runs: dict[str, list[Event]] = {}
    for event in found:
        runs.setdefault(event["run"]["runId"], []).append(event)
    for run, told in runs.items():
        assert [event["eventType"] for event in told] == ["START", "COMPLETE"], run
        assert told[0]["eventTime"] <= told[1]["eventTime"]
        assert len(statements_of(told)) == 1
    assert len(statements_of(found)) == len(runs)
    assert sorted(event["job"]["name"] for event in ends(found)) == sorted([
        "release_policies", "release_policies", "ingest", "contract.raw_schema",
        "contract.raw_expectations", "features", "contract.feature_schema",
        "contract.feature_expectations", "training_set", "contract.training_set_point_in_time",
        "train", "evaluate", "release", "approve", "deploy", "score",
        "contract.scores_match_features",
    ])  # fmt: skip


def test_the_graph_leads_from_the_landing_zone_to_the_scores(found: list[Event]) -> None:
    graph = {
        event["job"]["name"]: (
            [item["name"] for item in event["inputs"]],
            [item["name"] for item in event["outputs"]],
        )
        for event in ends(found)
    }
    assert graph["ingest"] == (["landing"], [RAW])
    assert graph["features"] == ([RAW], [FEATURES])
    assert graph["training_set"] == ([FEATURES], ["training_set"])
    assert graph["train"] == (["training_set"], ["fraud_model"])
    assert graph["evaluate"] == (["fraud_model", "training_set"], ["model_evaluation"])
    assert graph["release"] == (
        ["fraud_model", "model_evaluation", "policies"], ["release_candidate"],
    )  # fmt: skip
    assert graph["approve"] == (["fraud_model"], ["approvals"])
    assert graph["deploy"] == (
        ["approvals", "fraud_model", "model_evaluation", "policies", "release_candidate"],
        ["champion"],
    )
    assert graph["score"] == (["champion", "fraud_model", FEATURES], [SCORES])
    assert graph["contract.raw_schema"] == ([RAW], [])
    assert {item["namespace"] for e in ends(found) for item in (*e["inputs"], *e["outputs"])} == {
        "fraud-provenance://local"
    }


def test_versions_and_partitions_are_the_signed_digests(judged: Story, found: list[Event]) -> None:
    node = judged.trust.lineage().node(judged.scores.bundle.statement.digest)
    output = named(end(found, "score")["outputs"], SCORES)
    assert node.manifest is not None
    assert output["facets"]["version"]["datasetVersion"] == f"sha256:{node.manifest.digest}"
    (part,) = output["outputFacets"]["subset"]["outputCondition"]["partitions"]
    table = next(entry for entry in node.manifest.entries if entry.path.endswith(".parquet"))
    assert part == {
        "dimensions": {"day": judged.scored_day},
        "identifier": f"sha256:{table.sha256}",
    }
    statistics = output["outputFacets"]["outputStatistics"]
    assert statistics["rowCount"] == judged.scored().height
    assert statistics["size"] == sum(entry.size for entry in node.manifest.entries)
    read = named(end(found, "features")["inputs"], RAW)["inputFacets"]["subset"]
    days = [item["dimensions"]["day"] for item in read["inputCondition"]["partitions"]]
    assert days == judged.days
    assert (
        named(end(found, "score")["inputs"], "champion")["facets"]["version"]
        == (named(end(found, "deploy")["outputs"], "champion")["facets"]["version"])
    )


def test_evidence_leads_to_statement_signer_and_log(judged: Story, found: list[Event]) -> None:
    bundle = judged.scores.bundle
    proof = end(found, "score")["run"]["facets"][form.EVIDENCE]
    assert proof["statement"] == bundle.statement.digest
    assert judged.trust.store.bundle_path(proof["bundle"]).is_file()
    assert (proof["signer"], proof["issuer"]) == ("/steps/score", "workloads")
    assert (proof["logIndex"], proof["logId"]) == (bundle.log_index, bundle.log.log_id)
    assert proof["signedAt"] == encoding.utc_text(bundle.signed_at)
    made = statements.read_provenance(bundle.statement)
    assert [item["sha256"] for item in proof["materials"]] == [m.digest for m in made.materials]


def test_nominal_time_ends_after_the_last_day(judged: Story, found: list[Event]) -> None:
    after = date.fromisoformat(judged.scored_day) + timedelta(days=1)
    facet = end(found, "score")["run"]["facets"]["nominalTime"]
    assert facet["nominalStartTime"] == f"{judged.scored_day}T00:00:00Z"
    assert facet["nominalEndTime"] == f"{after}T00:00:00Z"
    assert "nominalTime" not in end(found, "train")["run"]["facets"]


def test_a_person_who_signed_owns_the_job(found: list[Event]) -> None:
    owners = end(found, "approve")["job"]["facets"]["ownership"]["owners"]
    assert owners == [{"name": "user:risk.officer@example.com", "type": "SIGNER"}]
    assert "ownership" not in end(found, "train")["job"]["facets"]


def test_a_contract_tells_its_checks(found: list[Event]) -> None:
    assert assertions(end(found, "contract.raw_schema")) == [
        {
            "assertion": "amounts_are_not_negative",
            "success": True,
            "params": {"suite": "raw_schema"},
        }
    ]


def test_columns_are_those_of_the_bytes(judged: Story, found: list[Event]) -> None:
    fields = named(end(found, "score")["outputs"], SCORES)["facets"]["schema"]["fields"]
    schema = judged.scored().schema
    assert [(item["name"], item["type"]) for item in fields] == [
        (name, str(dtype)) for name, dtype in schema.items()
    ]
    assert [item["ordinal_position"] for item in fields] == [*range(1, len(schema) + 1)]


# --- always alike ----------------------------------------------------------------------------


def test_the_same_evidence_gives_the_same_bytes(judged: Story, found: list[Event]) -> None:
    workspace = open_workspace(judged.trust.home, judged.workspace.project)
    assert events(tell(workspace)) == found
    assert tell(workspace).lines == tell(judged.workspace).lines


def test_a_rebuilt_index_changes_nothing(story: Story) -> None:
    before = tell(story.workspace).lines
    (story.trust.home / "evidence" / "index.sqlite").unlink()
    assert tell(open_workspace(story.trust.home, story.workspace.project)).lines == before


def test_new_evidence_only_adds(story: Story) -> None:
    before = tell(story.workspace).lines
    waive_day(story.workspace, RAW, "2018-12-25", "a holiday")
    after = tell(story.workspace)
    assert after.lines.startswith(before)
    event = end(events(after), "waive")
    assert event["inputs"][0]["inputFacets"]["subset"]["inputCondition"]["partitions"] == [
        {"dimensions": {"day": "2018-12-25"}}
    ]
    assert problems(event) == []


def test_dagsters_own_run_is_the_parent() -> None:
    own = "f93cfec7-a485-41d9-9dcb-4aff9a26fdde"
    assert form.parent_id_of(own) == own
    assert form.parent_id_of("rollback-1") == form.parent_id_of("rollback-1")
    assert form.parent_id_of("rollback-1") != form.parent_id_of("rollback-2")


def test_the_runs_of_one_dagster_run_share_their_parent(judged: Story, found: list[Event]) -> None:
    parents = [
        event["run"]["facets"]["parent"]["run"]["runId"]
        for event in ends(found)
        if event["job"]["name"].startswith("contract.raw")
    ]
    assert len(parents) == 2
    assert len(set(parents)) == 1


@pytest.mark.parametrize(("commit", "is_told"), [("b" * 40, True), ("", False), ("b" * 12, False)])
def test_the_code_is_named_by_its_commit_and_no_host(commit: str, is_told: bool) -> None:
    facets = form.job_of("space", "train", "STEP", commit).facets or {}
    assert ("sourceCodeLocation" in facets) == is_told
    if is_told:
        facet = facets["sourceCodeLocation"]
        assert (getattr(facet, "url"), getattr(facet, "version")) == (  # noqa: B009 - typed as base
            f"swh:1:rev:{commit}", commit,
        )  # fmt: skip


# --- parts of it -----------------------------------------------------------------------------


def test_a_subject_is_told_with_all_below_it_and_nothing_else(
    judged: Story, found: list[Event]
) -> None:
    told = events(tell(judged.workspace, f"{FEATURES}/{judged.days[0]}"))
    jobs = {event["job"]["name"] for event in told}
    assert {"ingest", "features", "contract.raw_schema", "contract.feature_schema"} <= jobs
    assert jobs.isdisjoint({"train", "deploy", "score"})
    assert [event for event in found if event in told] == told


def test_a_score_is_told_down_to_the_landing_zone(judged: Story) -> None:
    number = int(judged.scored()["transaction_id"][0])
    told = tell(judged.workspace, str(number))
    jobs = {event["job"]["name"] for event in events(told)}
    assert {"ingest", "features", "train", "approve", "deploy", "score"} <= jobs
    assert told.exit_code == 0


def test_a_day_of_scores_is_told_with_what_made_its_model_champion(judged: Story) -> None:
    told = events(tell(judged.workspace, f"{SCORES}/{judged.scored_day}"))
    assert {"train", "evaluate", "release", "approve", "deploy", "score"} <= {
        event["job"]["name"] for event in told
    }


def test_since_is_by_the_day_of_the_signature(judged: Story, found: list[Event]) -> None:
    today = judged.scores.bundle.signed_at.date()
    assert tell(judged.workspace, since=today + timedelta(days=1)).lines == b""
    assert events(tell(judged.workspace, since=today - timedelta(days=1))) == found


def test_an_unknown_subject_is_bad_usage(judged: Story) -> None:
    with pytest.raises(ConfigError, match="USAGE"):
        tell(judged.workspace, "nonsense/2018-04-01")


# --- what is bad is told as bad --------------------------------------------------------------


def test_a_broken_contract_is_told_with_its_failures(chain: Chain) -> None:
    finding = {"day": "2018-04-01", "check": "amounts_are_not_negative", "code": "UNIT_SHIFT",
               "column": "tx_amount", "rows": 2, "observed": 9.5, "maximum": 2.0}  # fmt: skip
    judge(chain.trust, RAW, ["2018-04-01"], RAW_SUITES[:1], failures=[finding])
    told = tell(chain.workspace)
    bad = [
        item for event in ends(events(told), "contract.raw_schema") for item in assertions(event)
        if not item["success"]
    ]  # fmt: skip
    assert bad == [
        {
            "assertion": "amounts_are_not_negative", "success": False, "column": "tx_amount",
            "severity": "error", "expected": "at most 2.0", "actual": "9.5",
            "params": {"suite": "raw_schema", "partition": "2018-04-01", "code": "UNIT_SHIFT",
                       "rows": 2},
        }
    ]  # fmt: skip
    assert told.exit_code == 0
    assert [text for event in events(told) for text in problems(event)] == []


def test_a_held_day_and_its_acceptance_are_told(story: Story) -> None:
    day = story.days[-3]
    hold_and_accept(story, day)
    told = events(tell(story.workspace))
    held = [item for item in assertions(ends(told, "contract.raw_expectations")[-1])
            if not item["success"]]  # fmt: skip
    assert [(item["severity"], item["params"]["partition"]) for item in held] == [("error", day)]
    accepted = end(told, "accept")
    assert accepted["job"]["facets"]["ownership"]["owners"][0]["name"] == (
        "user:data.owner@example.com"
    )
    (part,) = accepted["inputs"][0]["inputFacets"]["subset"]["inputCondition"]["partitions"]
    assert part["identifier"].startswith("sha256:")
    assert problems(accepted) == []


def test_a_denial_is_a_run_that_failed(chain: Chain, forger: Forger) -> None:
    view = chain.trust.lineage().node(chain.raw.bundle.statement.digest).manifest
    assert view is not None
    why = {"code": "CHECK_FAILED", "message": "amounts are in cents", "remedy": ""}
    denied = forger.decision(view, [chain.raw.bundle], allowed=False, reasons=[why])
    told = events(tell(chain.workspace))
    event = end(told, "data_access")
    assert event["eventType"] == "FAIL"
    assert event["run"]["facets"]["errorMessage"]["message"] == (
        "CHECK_FAILED: amounts are in cents"
    )
    assert statements_of([event]) == {denied.statement.digest}
    assert problems(event) == []


# --- where columns come from -----------------------------------------------------------------


def test_columns_come_from_what_the_signed_code_says(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = story.trust

    def coded(code: str) -> None:
        monkeypatch.setattr(
            trust.attestor,
            "step_code",
            lambda step: encoding.digest_bytes(f"{code} of {step}".encode()),
        )

    coded("this")
    train_on(trust, story.days[: TRAINED + 1])
    made = ends(events(tell(story.workspace)), "training_set")
    assert "columnLineage" not in made[0]["outputs"][0]["facets"]
    fields = made[1]["outputs"][0]["facets"]["columnLineage"]["fields"]
    assert fields["tx_amount"]["inputFields"] == [
        {"namespace": "fraud-provenance://local", "name": FEATURES, "field": "tx_amount",
         "transformations": []}
    ]  # fmt: skip
    assert problems(made[1]) == []
    coded("other")
    again = ends(events(tell(story.workspace)), "training_set")
    assert all("columnLineage" not in event["outputs"][0]["facets"] for event in again)
