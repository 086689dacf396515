"""One world below what is read: one version of each partition, and the newest at that time."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import VerificationError
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage import demands
from fraud_provenance.attested.lineage.nodes import Claims, Refused
from fraud_provenance.attested.lineage.snapshots import Reading, Snapshots, rests_of, two_versions
from fraud_provenance.attested.ports.blobs import MemoryBlobs
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.attested.step import access as access_module
from fraud_provenance.attested.step.inputs import VerifiedInput
from fraud_provenance.attested.step.reading import Reader
from fraud_provenance.attested.step.step import Materialisation, Step
from fraud_provenance.attested.store.store import EvidenceStore
from fraud_provenance_tests.conftest import (
    DAYS,
    FEATURES,
    PARAMETERS,
    RAW,
    Chain,
    Forger,
    codes,
    ingest,
    judge,
    raw_path,
)

pytestmark = pytest.mark.integration
FIRST, SECOND = DAYS
WINDOWS = {FIRST: [FIRST], SECOND: [FIRST, SECOND]}
FEATURE_SUITES = ("feature_schema", "feature_expectations")
INCOHERENT = "SNAPSHOT_INCOHERENT"


def featurise(trust: Trust, *days: str) -> Materialisation:
    """Judged features of days, each made from its window."""
    with Step(trust, "features", "run-features", PARAMETERS["features"]) as step:
        read = step.read(RAW, {other for day in days for other in WINDOWS[day]})
        for day in days:
            sources = [read.digests[other] for other in WINDOWS[day]]
            path = f"{FEATURES}/{day}.parquet"
            step.write(day, path, f"{day} of {sources}".encode(), sources)
        made = step.commit({"rows": dict.fromkeys(days, 3)})
    judge(trust, FEATURES, days, FEATURE_SUITES)
    return made


def land(trust: Trust, day: str, content: bytes) -> Materialisation:
    """A day arrives (again) and passes its contracts."""
    made = ingest(trust, {day: content})
    judge(trust, RAW, [day])
    return made


def read(trust: Trust, *days: str) -> VerifiedInput:
    """What the training set would be made from."""
    with Step(trust, "training_set", "run", PARAMETERS["training_set"]) as step:
        found = step.read(FEATURES, days)
        step.join_reads()
        return found


def train_set(trust: Trust, reads: Sequence[Sequence[str]] = (DAYS,)) -> Materialisation:
    """A training set of all days, in one read or in several."""
    with Step(trust, "training_set", "run-training-set", PARAMETERS["training_set"]) as step:
        parts = [step.read(FEATURES, days) for days in reads]
        sources = [digest for part in parts for digest in part.digests.values()]
        step.write("train", "training_set/train.parquet", str(sources).encode(), sources)
        return step.commit()


@pytest.fixture
def world(chain: Chain) -> Chain:
    """Two days with judged features; those of the second are made from both."""
    featurise(chain.trust, *DAYS)
    return chain


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps look at no version: only the verifier does."""
    monkeypatch.setattr(Reader, "_check_snapshot", lambda *_: None)
    monkeypatch.setattr(Reader, "refuse_overtaken", lambda _: None)


def usable(trust: Trust) -> tuple[tuple[str, ...], dict[str, str]]:
    with Step(trust, "training_set", "plan", PARAMETERS["training_set"]) as step:
        found = step.usable(FEATURES)
    return found.partitions, {day: str(why.code) for day, why in found.refused.items()}


# --- what must pass ----------------------------------------------------------------------------


def test_late_data_whose_features_were_made_anew_are_read(world: Chain) -> None:
    before = train_set(world.trust)
    land(world.trust, FIRST, b"late rows")
    assert usable(world.trust) == ((), {FIRST: INCOHERENT, SECOND: INCOHERENT})
    featurise(world.trust, SECOND)  # one block after the other, the run was killed in between
    assert usable(world.trust) == ((SECOND,), {FIRST: INCOHERENT})
    featurise(world.trust, FIRST)
    assert usable(world.trust) == (DAYS, {})
    after = train_set(world.trust)
    assert world.verdict(after.bundle).trusted
    assert world.verdict(before.bundle).trusted, "it was the newest when it was read"


def test_day_that_no_window_looks_at_leaves_the_others_usable(world: Chain) -> None:
    land(world.trust, SECOND, b"late rows")
    assert usable(world.trust) == ((FIRST,), {SECOND: INCOHERENT})
    assert read(world.trust, FIRST).digests


def test_day_that_was_set_back_needs_no_new_features(world: Chain) -> None:
    trust, old = world.trust, world.raw.manifest.select([FIRST])
    newer = land(trust, FIRST, b"late rows")
    said = {
        "environment": "local", "partition": FIRST, "sha256": old.entries[0].sha256,
        "restores": world.raw.bundle.statement.digest,
        "replaces": newer.bundle.statement.digest, "issued_at": encoding.utc_text(trust.clock()),
        "reason": "delivered twice",
    }  # fmt: skip
    trust.store.put_manifest(old)
    officer = Identity(issuer="people", subject="risk.officer@example.com")
    signed = trust.signing.sign(
        statements.build_statement(statements.SUPERSEDE, RAW, old.digest, said), officer
    )
    landing = trust.home / "landing" / f"{FIRST}.parquet"
    content = f"transactions of {FIRST}".encode()
    landing.write_bytes(content)
    with Step(trust, "ingest", "run-rollback", PARAMETERS["ingest"]) as step:
        step.read_source("landing", {FIRST: landing})
        step.write(FIRST, raw_path(FIRST), content, old.entries[0].made_from)
        step.commit({"rows": {FIRST: 3}, "supersede": {FIRST: signed.statement.digest}})
    assert usable(trust) == (DAYS, {})
    assert world.verdict(train_set(trust).bundle).trusted


def test_same_bytes_attested_again_replace_nothing(world: Chain) -> None:
    land(world.trust, FIRST, f"transactions of {FIRST}".encode())
    assert usable(world.trust) == (DAYS, {})
    assert world.verdict(train_set(world.trust).bundle).trusted


def test_bytes_that_another_day_shares_are_not_taken_for_the_older_ones(world: Chain) -> None:
    trust = world.trust
    for day in DAYS:  # as two days without any row
        land(trust, day, b"no rows")
    featurise(trust, *DAYS)
    land(trust, SECOND, b"late rows")
    assert usable(trust) == (DAYS, {})
    land(trust, FIRST, b"more late rows")
    assert usable(trust) == ((), {FIRST: INCOHERENT, SECOND: INCOHERENT})


def test_bytes_that_a_day_of_one_version_shares_are_not_taken_for_the_older_ones(
    chain: Chain,
) -> None:
    trust, third = chain.trust, "2018-04-03"
    land(trust, third, b"no rows")
    land(trust, FIRST, b"no rows")
    featurise(trust, FIRST)
    land(trust, FIRST, b"late rows")
    assert usable(trust)[0] == (FIRST,)


def test_contracts_may_judge_days_beside_others_that_are_not_made_anew(world: Chain) -> None:
    land(world.trust, FIRST, b"late rows")
    assert judge(world.trust, FEATURES, DAYS, FEATURE_SUITES)
    with Step(world.trust, "contracts", "plan") as step:
        assert step.usable(FEATURES).partitions == DAYS


def test_version_that_does_not_verify_replaces_nothing(world: Chain) -> None:
    forger = Forger(world.trust)
    material, digest = forger.source(b"forged landing")
    entry = forger.entry(raw_path(FIRST), FIRST, b"forged", [digest])
    forger.raw(who="/steps/features", entries=[entry], materials=[material])
    assert usable(world.trust) == (DAYS, {})


def test_what_was_signed_before_anything_looked_stays_valid(
    world: Chain, careless: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(world.trust, FIRST, b"late rows")
    featurise(world.trust, SECOND)
    made = train_set(world.trust).bundle
    assert codes(world.verdict(made)) == [INCOHERENT]
    monkeypatch.setattr(demands, "SINCE", datetime(2200, 1, 1, tzinfo=UTC))
    assert world.verdict(made).trusted


# --- what is refused ---------------------------------------------------------------------------


def test_features_of_a_version_that_was_replaced_are_not_read(world: Chain) -> None:
    land(world.trust, FIRST, b"late rows")
    featurise(world.trust, SECOND)
    with pytest.raises(VerificationError, match=INCOHERENT) as caught:
        read(world.trust, *DAYS)
    assert (caught.value.reasons[0].artifact, caught.value.reasons[0].partition) == (RAW, FIRST)
    assert "two versions" in str(caught.value)
    with pytest.raises(VerificationError, match="had replaced it"):
        read(world.trust, FIRST)
    assert read(world.trust, SECOND).digests


@pytest.mark.parametrize("reads", [[DAYS], [[FIRST], [SECOND]]], ids=["one read", "two reads"])
def test_training_set_of_two_worlds_is_refused(
    world: Chain, careless: None, reads: Sequence[Sequence[str]]
) -> None:
    land(world.trust, FIRST, b"late rows")
    featurise(world.trust, SECOND)
    verdict = world.verdict(train_set(world.trust, reads).bundle)
    assert codes(verdict) == [INCOHERENT]
    assert "two versions" in verdict.reasons[0].message


def test_training_set_of_old_features_alone_is_refused(world: Chain, careless: None) -> None:
    land(world.trust, FIRST, b"late rows")
    verdict = world.verdict(train_set(world.trust).bundle)
    assert codes(verdict) == [INCOHERENT]
    assert "had replaced it" in verdict.reasons[0].message


def test_decision_to_read_an_older_version_does_not_let_it_be_read(world: Chain) -> None:
    forger, old = Forger(world.trust), world.raw.manifest.select([FIRST])
    evidence = [world.raw.bundle, *world.contracts.values()]
    in_time = forger.decision(old, evidence)
    land(world.trust, FIRST, b"late rows")
    too_late = forger.decision(old, evidence)
    assert codes(world.verdict(forger.features(old, in_time))) == []
    assert codes(world.verdict(forger.features(old, too_late))) == [INCOHERENT]


def test_version_that_is_logged_while_a_read_is_decided_stops_the_step(
    world: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = access_module.sign_answer

    def late(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - as the original
        monkeypatch.setattr(access_module, "sign_answer", sign)
        ingest(world.trust, {FIRST: b"late rows"})
        return sign(*given, **named)

    with Step(world.trust, "training_set", "run", PARAMETERS["training_set"]) as step:
        monkeypatch.setattr(access_module, "sign_answer", late)
        found = step.read(FEATURES, DAYS)
        step.write("train", "training_set/train.parquet", b"rows", found.digests.values())
        with pytest.raises(VerificationError, match=INCOHERENT):
            step.commit()
    assert not world.trust.store.heads("training_set")


def test_head_that_does_not_verify_is_left_to_the_read(world: Chain) -> None:
    land(world.trust, FIRST, b"late rows")
    head = world.trust.store.heads(FEATURES)[FIRST][0]
    bundle, _ = world.trust.store.bundle(head.statement)
    world.trust.store.bundle_path(bundle).write_bytes(b"{}")
    world.trust.forget()
    assert world.trust.lineage().snapshots.outdated_heads({FIRST: [head]}, [RAW]) == {}
    with pytest.raises(VerificationError, match="EVIDENCE_TAMPERED"):
        read(world.trust, FIRST)


# --- versions followed along made_from -----------------------------------------------------------


def entry(name: str, made_from: Sequence[str] = ()) -> FileEntry:
    sha256, partition = name.split("@")
    return FileEntry(
        path=f"{name}.parquet", partition=partition, size=1, sha256=sha256 * 64,
        made_from=tuple(source * 64 for source in made_from),
    )  # fmt: skip


def reading(asset: str, entries: Mapping[FileEntry, Any], location: str = "data") -> Reading:
    """A view and the node that attests it; each file with the versions below it."""
    view = Manifest.of(asset, entries)
    provenance = statements.Provenance(
        environment="local", asset=asset, step="s", parameters={}, sequence=1, previous="",
        run_id="", started_at="", finished_at="", materials=(), outputs={"location": location},
    )  # fmt: skip
    node = Refused(
        kind="materialisation", name=asset, statement="0" * 64, rests=dict(entries),
        claims=Claims(said=provenance, manifest=view),
    )  # fmt: skip
    return Reading(view, (node, Refused(kind="contract", name=asset, statement="1" * 64)))


OLD, NEW = ("raw", "d1", "a" * 64), ("raw", "d1", "b" * 64)


def test_what_stands_beside_a_file_is_not_what_it_was_made_from() -> None:
    read = reading("features", {entry("1@d1"): frozenset([OLD]), entry("2@d2"): frozenset([NEW])})
    assert two_versions([read]) is not None
    first, second = rests_of([entry("3@x", "1"), entry("4@y", "2")], [read]).values()
    assert first == {OLD, ("features", "d1", "1" * 64)}
    assert second == {NEW, ("features", "d2", "2" * 64)}


def test_bytes_that_two_partitions_share_say_nothing_of_either() -> None:
    read = reading("features", {entry("1@d1"): frozenset([OLD]), entry("1@d2"): frozenset([NEW])})
    assert set(rests_of([entry("3@x", "1")], [read]).values()) == {frozenset()}


def test_model_is_a_world_of_its_own(tmp_path: Path) -> None:
    model = reading("model", {entry("5@m"): frozenset([OLD])}, "mlflow/m")
    features = reading("features", {entry("2@d2"): frozenset([NEW])})
    assert two_versions([model, features]) is None
    assert model.rests() == {("model", "m", "5" * 64)}
    judge = Snapshots(
        EvidenceStore(MemoryBlobs()), lambda _: Refused(kind="", name="", statement="")
    )
    assert judge.problem([model, features]) is None


def test_files_of_one_partition_are_one_version() -> None:
    read = reading("scores", {entry("6@d1"): frozenset(), entry("7@d1"): frozenset()})
    assert read.rests() == {("scores", "d1", "6" * 64 + "+" + "7" * 64)}
