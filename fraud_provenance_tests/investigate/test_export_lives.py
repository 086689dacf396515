"""Exported files of homes to which much has happened: both verifiers still say the same."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import verify_bundle
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.step.reading import Reader
from fraud_provenance.attested.step.step import Step
from fraud_provenance.due.planning import registry_of
from fraud_provenance.investigate import gathering
from fraud_provenance.investigate.exporting import Exported, export
from fraud_provenance.investigate.proof_file import Subject, content_of
from fraud_provenance.investigate.proven import proven
from fraud_provenance.people.accepting import accept_day
from fraud_provenance.people.revoking import revoke_subject
from fraud_provenance_tests.conftest import (
    DAYS,
    FEATURES,
    RAW,
    Chain,
    Forger,
    copy_home,
    judge,
    open_workspace,
    release,
)
from fraud_provenance_tests.evidence import test_snapshots as snapshots
from fraud_provenance_tests.evidence.test_lineage import (
    CONTRACT_LIES,
    DECISION_LIES,
    RAW_LIES,
    decision_of,
    view_of,
)
from fraud_provenance_tests.investigate.forging import packed
from fraud_provenance_tests.investigate.story import Story, featurise, land, score_again
from fraud_provenance_tests.investigate.test_verify_bundle import both, root_of

pytestmark = pytest.mark.integration
SCORES, SCORE_SUITE = "transaction_scores", "scores_match_features"
HELD = 7
"""The place of the day that is unusual."""


def exported_of(story: Story, subject: str) -> Exported:
    workspace = open_workspace(story.trust.home, story.workspace.project)
    return export(workspace, registry_of(workspace), subject)


def check(story: Story, subject: str) -> Exported:
    """Export a subject; both verifiers accept it, by the state and by the root alone."""
    found = exported_of(story, subject)
    assert both(found.content, found.checked.standing.digest) == (0, 0), subject
    assert both(found.content, root_of(found.content)) == (0, 0), subject
    return found


def hold_and_accept(story: Story, day: str) -> None:
    """A day that is unusual, and that its owner looked at."""
    suite = "raw_expectations"
    found = {"day": day, "check": "rows_ratios_are_usual", "code": "VOLUME", "column": "",
             "rows": 0, "observed": 2.2, "maximum": 2.0}  # fmt: skip
    with Step(story.trust, "contracts", "run") as step:
        pending = step.attest_contract(
            step.read(RAW, [day]).view, suite=suite,
            suite_digest=step.policy.layout.contract(suite).suite_digests[-1],
            checks=("rows_ratios_are_usual",), failures=[], held=[found], rows={day: 3},
        )  # fmt: skip
        step.join_reads()
        pending.result()
    accept_day(story.workspace, RAW, day, "Black Friday", "data.owner@example.com")


@dataclass(frozen=True)
class Life:
    """A home after all of it, and what was exported while it was young."""

    story: Story
    scores: Sequence[Exported]


@pytest.fixture(scope="module")
def life(judged: Story, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Held and accepted, replaced, scored again by another model, released again, revoked."""
    folder = tmp_path_factory.mktemp("lived")
    project = shutil.copytree(judged.workspace.project, folder / "project")
    home = copy_home(judged.trust.home, folder / "home")
    story = replace(judged, workspace=open_workspace(home, project))
    hold_and_accept(story, story.days[HELD])
    land(story.trust, {story.days[-2]: story.raw[story.days[-2]].head(9)})
    featurise(story.trust, story.days, story.days[-2:])
    score_again(story, story.scored_day)
    judge(story.trust, SCORES, [story.scored_day], [SCORE_SUITE])
    number = int(story.scored()["transaction_id"][0])
    scores = [
        exported_of(story, subject) for subject in (str(number), f"{SCORES}/{story.days[-1]}")
    ]
    rules = next((project / "policies" / "data_access").glob("*.rego"))
    rules.write_text(rules.read_text() + "\n# looked at again\n")
    release(story.workspace)
    story = replace(story, workspace=open_workspace(home, project))
    revoke_subject(story.workspace, f"{RAW}/{story.days[20]}", "wrong labels")
    return Life(replace(story, workspace=open_workspace(home, project)), scores)


@pytest.fixture
def lived(life: Life) -> Story:
    return life.story


def test_score_of_the_second_model(life: Life) -> None:
    for found in life.scores:
        assert both(found.content, root_of(found.content)) == (0, 0), found.subject.name


def test_day_that_was_held_and_accepted(lived: Story) -> None:
    found = check(lived, f"{RAW}/{lived.days[HELD]}")

    assert {link.kind for link in found.checked.verdict.links} >= {"acceptance", "contract"}
    assert found.checked.standing.version == 2


def test_day_that_was_replaced(lived: Story) -> None:
    check(lived, f"{RAW}/{lived.days[-2]}")


def test_features_before_the_revoked_day(lived: Story) -> None:
    check(lived, f"{FEATURES}/{lived.days[3]}")


def test_what_was_made_from_the_revoked_day_is_not_exported(lived: Story) -> None:
    for subject in (f"{RAW}/{lived.days[20]}", f"{FEATURES}/{lived.days[22]}"):
        with pytest.raises(ProvenanceError, match="PARTITION_REVOKED"):
            exported_of(lived, subject)


def test_a_revocation_that_is_left_out_is_missed_by_who_knows_the_state(lived: Story) -> None:
    found = exported_of(lived, f"{RAW}/{lived.days[0]}")
    listing, members = verify_bundle.unpack(found.content)
    statement = listing["standing"]["chains"]["revocations"]["statement"]
    name = next(name for name in members if name.endswith(".sigstore.json")
                and verify_bundle.sha256(_payload(members[name])) == statement)  # fmt: skip
    rest = {item: data for item, data in members.items() if item != name}

    assert both(packed(listing, rest), root_of(found.content)) == (1, 1)
    del listing["standing"]["chains"]["revocations"]
    assert both(packed(listing, rest), found.checked.standing.digest) == (1, 1)


def _payload(bundle: bytes) -> bytes:
    envelope = verify_bundle.strict_json(bundle)["dsseEnvelope"]
    return verify_bundle.unbase64(envelope["payload"])


# --- lies that somebody really signed ----------------------------------------------------------

_OF_FILES = {"output outside the home", "output above the home", "file that is not there"}
"""About files on disk, which no exported file has."""


def packed_all_the_same(home: Path, project: Path, statement: str) -> bytes:
    """A file of one statement, whatever it is, as somebody would make it who wants it believed."""
    workspace = open_workspace(home, project)
    store = gathering.noting(workspace)
    about = Subject(kind="statement", statement=statement)
    proven(workspace.trust, about)
    chains = gathering.chains_of(workspace, about, store)
    members = gathering.members_of(workspace, store, chains)
    return content_of(gathering.standing_of(workspace, chains), about, members)


def refused_by_both(chain: Chain, lie: VerifiedBundle) -> bool:
    home, project = chain.workspace.home, chain.workspace.project
    content = packed_all_the_same(home, project, lie.statement.digest)
    own, other = both(content, root_of(content))
    said = verify_bundle.verify(content, root_of(content))[1]
    return own != 0 and other == 1 and "nothing asks for" not in said and "the state" not in said


def test_an_honest_statement_is_packed_and_accepted(chain: Chain) -> None:
    made = chain.features.bundle.statement.digest
    content = packed_all_the_same(chain.workspace.home, chain.workspace.project, made)
    assert both(content, root_of(content)) == (0, 0)


@pytest.mark.parametrize("name", sorted(RAW_LIES.keys() - _OF_FILES))
def test_a_materialisation_with_one_lie_is_refused(chain: Chain, name: str) -> None:
    forger = Forger(chain.trust)
    assert refused_by_both(chain, forger.raw(**RAW_LIES[name][1](forger)))


@pytest.mark.parametrize("name", DECISION_LIES)
def test_features_on_a_decision_with_one_lie_are_refused(chain: Chain, name: str) -> None:
    forger = Forger(chain.trust)
    decision = decision_of(chain, forger, **DECISION_LIES[name][1])
    assert refused_by_both(chain, forger.features(view_of(chain), decision))


@pytest.mark.parametrize("name", sorted(CONTRACT_LIES.keys() - {"none"}))
def test_features_on_a_contract_with_one_lie_are_refused(chain: Chain, name: str) -> None:
    forger, view = Forger(chain.trust), view_of(chain)
    told = {"suite": "raw_schema"} | CONTRACT_LIES[name][1]
    contract = forger.contract(view, inputs=[chain.raw.bundle], **told)
    inputs = [chain.raw.bundle, chain.contracts["raw_expectations"], contract]
    decision = decision_of(chain, forger, inputs=inputs)
    assert refused_by_both(chain, forger.features(view, decision))


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps look at no version: only who verifies does."""
    monkeypatch.setattr(Reader, "_check_snapshot", lambda *_: None)
    monkeypatch.setattr(Reader, "refuse_overtaken", lambda _: None)


@pytest.mark.usefixtures("careless")
@pytest.mark.parametrize("is_made_anew", [True, False], ids=["two worlds", "an old world"])
def test_training_set_of_an_older_version_is_refused(chain: Chain, is_made_anew: bool) -> None:
    snapshots.featurise(chain.trust, *DAYS)
    snapshots.land(chain.trust, DAYS[0], b"late rows")
    if is_made_anew:
        snapshots.featurise(chain.trust, DAYS[1])
    made = snapshots.train_set(chain.trust).bundle
    assert refused_by_both(chain, made)


def test_training_set_of_one_world_is_accepted(chain: Chain) -> None:
    snapshots.featurise(chain.trust, *DAYS)
    snapshots.land(chain.trust, DAYS[0], b"late rows")
    snapshots.featurise(chain.trust, *DAYS)
    made = snapshots.train_set(chain.trust).bundle.statement.digest
    content = packed_all_the_same(chain.workspace.home, chain.workspace.project, made)
    assert both(content, root_of(content)) == (0, 0)
