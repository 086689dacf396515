"""One run, one identity: a step has its own token alone, the gate decides in its own process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    GateDenied,
    ProvenanceError,
    VerificationError,
)
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity, Statement
from fraud_provenance.attested.step.keeper import Keeper, open_questions
from fraud_provenance.attested.step.step import Step
from fraud_provenance.home.settings import Runs
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.run.keeping import keep
from fraud_provenance_tests.conftest import (
    DAYS,
    FEATURES,
    RAW,
    Chain,
    Forger,
    codes,
    featurise,
    ingest,
    judge,
)

pytestmark = pytest.mark.integration
GATE = "/gates/data-access"
OpenAs = Callable[..., Workspace]


@pytest.fixture
def open_as(chain: Chain, tmp_path: Path) -> OpenAs:
    """The home as one pod has it: with these workloads' tokens and no other way to get one."""

    def opened(*subjects: str, answer_s: float = 120.0) -> Workspace:
        folder = tmp_path / "-".join(("tokens", *(item.rpartition("/")[2] for item in subjects)))
        folder.mkdir(exist_ok=True)
        for subject in subjects:
            path = folder / "workloads" / subject.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(chain.workspace.sigstore.workload_token(subject))
        settings = chain.workspace.settings
        found = Workspace(replace(settings, tokens=folder, runs=Runs(one_identity=True)))
        found.attestor = chain.workspace.attestor
        found.trust.signing._answer_s = answer_s
        return found

    return opened


@contextmanager
def kept(workspace: Workspace, alive: Path | None = None) -> Iterator[list[str]]:
    """The gate's process at work; what it says."""
    said: list[str] = []
    failed: list[BaseException] = []
    stop = threading.Event()

    def run() -> None:
        try:
            keep(workspace, said.append, alive, stop)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join(timeout=60)
        assert not failed, failed


def bundles(chain: Chain) -> set[str]:
    return set(chain.workspace.store.bundles())


def test_each_step_signs_with_its_own_token_and_the_gate_signs_what_it_may_read(
    chain: Chain, open_as: OpenAs, tmp_path: Path
) -> None:
    before = bundles(chain)
    with kept(open_as(GATE), tmp_path / "alive") as said:
        ingest(open_as("/steps/ingest").trust, {DAYS[0]: b"newer"})
        judge(open_as("/steps/contracts").trust, RAW, DAYS[:1])
        made = featurise(open_as("/steps/features").trust, DAYS[:1])
    assert chain.verdict(made.bundle).trusted
    verify = chain.workspace.bundles.verify
    new = [verify(chain.workspace.store.bundle_bytes(d)) for d in bundles(chain) - before]
    signers = {item.identity.subject for item in new}
    assert signers == {"/steps/ingest", "/steps/contracts", "/steps/features", GATE}
    decided = {item.identity.subject for item in new
               if item.statement.predicate_type == statements.VERIFICATION_SUMMARY}  # fmt: skip
    assert decided == {GATE}
    assert [line.partition(":")[0] for line in said] == [
        f"contracts reads {RAW}", f"features reads {RAW}",
    ]  # fmt: skip
    assert (tmp_path / "alive").exists()
    assert not chain.workspace.store.intents()


def test_a_denial_is_the_gates_too(chain: Chain, open_as: OpenAs) -> None:
    broken = [{"day": DAYS[0], "code": "UNIT_SHIFT", "check": "x"}]
    ingest(chain.trust, {DAYS[0]: b"newer"})
    judge(chain.trust, RAW, DAYS[:1], failures=broken)
    before = bundles(chain)
    with kept(open_as(GATE)), pytest.raises(GateDenied):
        featurise(open_as("/steps/features").trust, DAYS[:1])
    (denial,) = bundles(chain) - before
    signed = chain.workspace.bundles.verify(chain.workspace.store.bundle_bytes(denial))
    assert signed.identity.subject == GATE
    assert not statements.read_summary(signed.statement).allowed


@pytest.mark.parametrize("step", ["ingest", "features", "contracts"])
def test_with_the_token_of_another_step_nothing_is_signed_or_announced(
    chain: Chain, open_as: OpenAs, step: str
) -> None:
    before = bundles(chain)
    trust = open_as("/steps/train").trust
    work: dict[str, Callable[[], object]] = {
        "ingest": lambda: ingest(trust, {DAYS[0]: b"newer"}),
        "features": lambda: featurise(trust, DAYS),
        "contracts": lambda: judge(trust, RAW, DAYS),
    }
    with kept(open_as(GATE)), pytest.raises(BackendError, match=f"no token in .*/{step}"):
        work[step]()
    assert bundles(chain) == before
    assert not chain.workspace.store.intents()


def test_a_token_that_was_laid_under_the_name_of_another_signs_nothing(
    chain: Chain, open_as: OpenAs, tmp_path: Path
) -> None:
    before = bundles(chain)
    workspace = open_as("/steps/features")
    other = chain.workspace.sigstore.workload_token("/steps/train")
    (tmp_path / "tokens-features/workloads/steps/features").write_text(other)
    with pytest.raises(VerificationError, match=r"the token in .* is that of /steps/train"):
        featurise(workspace.trust, DAYS)
    assert bundles(chain) == before
    assert not chain.workspace.store.intents()


def test_without_the_gates_process_a_step_reads_nothing(chain: Chain, open_as: OpenAs) -> None:
    before = bundles(chain)
    with pytest.raises(BackendError, match=r"did not sign within 0 s") as caught:
        featurise(open_as("/steps/features", answer_s=0.2).trust, DAYS)
    assert codes(caught.value) == ["AUTHORITY_UNAVAILABLE"]
    assert "keep-gate" in caught.value.reasons[0].remedy
    assert bundles(chain) == before


def test_who_answers_for_the_gate_without_being_it_is_not_believed(
    chain: Chain, open_as: OpenAs
) -> None:
    trust = open_as("/steps/features").trust

    def answer() -> None:
        while not (questions := open_questions(chain.trust)):
            threading.Event().wait(0.05)
        chain.trust.signing.sign(questions[0], Identity(issuer="workloads", subject="/steps/train"))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    with pytest.raises(VerificationError, match="was signed by /steps/train"):
        featurise(trust, DAYS)
    thread.join(timeout=60)


# --- what the gate does not sign -----------------------------------------------------------------


def announced(
    forger: Forger, chain: Chain, monkeypatch: pytest.MonkeyPatch, **lies: object
) -> Statement:
    """A decision that somebody announces and nobody has signed."""
    held: list[Statement] = []
    monkeypatch.setattr(
        forger.trust.signing, "sign", lambda statement, _who: held.append(statement)
    )
    view = chain.raw.manifest
    inputs = [chain.raw.bundle, *chain.contracts.values()]
    about: dict[str, object] = {
        "verifier_id": f"urn:fraud-provenance:workloads{GATE}",
        "facts": {
            "step": "features", "asset": RAW, "partitions": [*view.partitions],
            "purpose": "materialise",
        },
    }  # fmt: skip
    forger.decision(view, inputs, **(about | lies))  # type: ignore[arg-type]
    (statement,) = held
    chain.workspace.store.put_intent(statement)
    return statement


def test_what_the_gate_comes_to_itself_is_signed(
    chain: Chain, forger: Forger, open_as: OpenAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = announced(forger, chain, monkeypatch)
    gate = open_as(GATE)
    assert [item.digest for item in open_questions(gate.trust)] == [question.digest]
    signed = Keeper(gate.trust).answer(question).result()
    assert signed.statement.digest == question.digest
    assert open_questions(gate.trust) == []


FACTS = {"step": "features", "asset": RAW, "partitions": [*DAYS], "purpose": "materialise"}


@pytest.mark.parametrize(
    "lies",
    [
        {"facts": FACTS | {"step": "score"}},  # which may not read raw days
        {"facts": FACTS | {"purpose": "resale"}},
        {"facts": FACTS | {"partitions": [*DAYS, "2018-04-09"]}},
        {"facts": FACTS | {"step": "nobody"}},
        {"allowed": False, "reasons": [{"code": "X", "message": "x"}]},
        {"environment": "production"},
        {"policy_digest": "0" * 64},
        {"verifier_id": "urn:forger"},
        {"resource": f"urn:fraud-provenance:asset:{FEATURES}"},
    ],
    ids="-".join,
)
def test_another_decision_than_the_gates_own_is_not_signed(
    chain: Chain,
    forger: Forger,
    open_as: OpenAs,
    monkeypatch: pytest.MonkeyPatch,
    lies: dict[str, object],
) -> None:
    question = announced(forger, chain, monkeypatch, **lies)
    before = bundles(chain)
    with pytest.raises(ProvenanceError):
        Keeper(open_as(GATE).trust).answer(question).result()
    assert bundles(chain) == before


def test_a_file_that_no_named_statement_attests_is_not_allowed(
    chain: Chain, forger: Forger, open_as: OpenAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = chain.raw.manifest
    monkeypatch.setattr(forger.trust.signing, "sign", lambda statement, _who: statement)
    question = forger.decision(view, [chain.features.bundle], facts=FACTS)
    assert isinstance(question, Statement)
    with pytest.raises(ProvenanceError, match="in no statement that it names"):
        Keeper(open_as(GATE).trust).answer(question)


def test_what_nobody_waits_for_is_no_question(
    chain: Chain, forger: Forger, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = chain.workspace.store
    announced(forger, chain, monkeypatch, at="2018-04-01T00:00:00Z")
    announced(forger, chain, monkeypatch, at="yesterday")
    later = (chain.trust.clock() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    announced(forger, chain, monkeypatch, at=later)
    announced(forger, chain, monkeypatch, gate="release")
    store.put_intent(chain.raw.bundle.statement)  # another kind
    folder = chain.workspace.home / "evidence" / "intents"
    (folder / f"{encoding.digest_bytes(b'{')}.json").write_bytes(b"{")
    assert len(store.intents()) == 6
    assert open_questions(chain.trust) == []


def test_home_that_decides_in_its_runs_needs_no_keeper(chain: Chain) -> None:
    with pytest.raises(ConfigError, match="each run decides by itself"):
        keep(chain.workspace, lambda _: None)


def test_keeper_without_the_gates_token_says_so_at_once(open_as: OpenAs) -> None:
    with pytest.raises(BackendError, match="no token in workloads/gates/data-access"):
        keep(open_as("/steps/features"), lambda _: None)


def test_a_plan_needs_no_token(chain: Chain, open_as: OpenAs) -> None:
    with Step(open_as().trust, "features", "plan") as probe:
        assert probe.usable(RAW).partitions == DAYS


def test_who_has_no_token_announces_nothing(chain: Chain, open_as: OpenAs) -> None:
    trust = open_as("/steps/train").trust
    statement = chain.raw.bundle.statement
    with pytest.raises(BackendError, match="no token in workloads/steps/ingest"):
        trust.signing.submit(statement, Identity(issuer="workloads", subject="/steps/ingest"))
    assert not chain.workspace.store.intents()
