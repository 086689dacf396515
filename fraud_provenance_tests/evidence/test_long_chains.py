"""Chains longer and wider than any honest one: a verdict, in linear time, never a crash."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.lineage import walk
from fraud_provenance.attested.lineage.demands import Demands
from fraud_provenance.attested.lineage.verifier import LineageVerifier
from fraud_provenance.attested.ports.memory import ProcessMemory
from fraud_provenance.attested.rules.layout import Layout, Principal, StepRule
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity, Statement

GATE = Identity(issuer="workloads", subject="/gates/data-access")
NOW = datetime(2026, 11, 23, tzinfo=UTC)


@dataclass
class Decisions:
    """A store of decisions whose bundles are taken for verified; each lists others as inputs.

    They are denials: a permission does not rest on decisions.
    """

    found: dict[str, Statement]
    verified: int = 0

    @classmethod
    def empty(cls) -> "Decisions":
        return cls({})

    def add(self, name: str, inputs: list[str]) -> str:
        predicate = statements.summary_predicate(
            verifier_id="urn:gate", at=encoding.utc_text(NOW), resource="urn:resource",
            policy_digest="0" * 64, inputs=inputs, allowed=False, environment="local",
            gate="data_access", facts={}, reasons=[],
        )  # fmt: skip
        made = statements.build_statement(
            statements.VERIFICATION_SUMMARY, name, encoding.digest_bytes(name.encode()), predicate
        )
        self.found[made.digest] = made
        return made.digest

    # what the verifier asks of its store and of its bundle verifier

    def records(self, **_: Any) -> list[Any]:
        return []

    def chain(self, _name: str) -> list[Any]:
        return []

    def bundle(self, statement: str) -> tuple[str, bytes]:
        return "", statement.encode()

    def verify(self, content: bytes) -> SimpleNamespace:
        self.verified += 1
        return SimpleNamespace(
            statement=self.found[content.decode()], identity=GATE, signed_at=NOW, log_index=1
        )


@pytest.fixture
def store() -> Decisions:
    return Decisions.empty()


def verifier(store: Decisions, home: Path, monkeypatch: pytest.MonkeyPatch) -> LineageVerifier:
    rule = StepRule(
        identity=GATE.model_dump(), signer_role=None,
        predicate_type=statements.VERIFICATION_SUMMARY, build_type=None, produces=None,
        environments=("local",), purposes=(), parameters={}, materials=(), max_age_days=1,
    )  # fmt: skip
    layout = Layout(
        version=1,
        environments=("local",),
        sources=(),
        steps={"data_access": rule},
        contracts={},
        principals=(
            Principal(
                id="gate",
                roles=(),
                identities=(GATE,),
                valid_from="2020-01-01T00:00:00Z",
                valid_until="2030-01-01T00:00:00Z",
            ),
        ),
    )
    monkeypatch.setattr(Demands, "_check_policy", lambda *_: iter(()))
    made: Any = LineageVerifier(
        store, store, layout, "local", home, ProcessMemory(), lambda _: ()  # type: ignore[arg-type]  # a stand-in
    )  # fmt: skip
    return made  # type: ignore[no-any-return]


def test_chain_of_five_thousand_gives_a_verdict(
    store: Decisions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = store.add("0", [])
    for number in range(1, 5_000):
        newest = store.add(str(number), [newest])
    walker = verifier(store, tmp_path, monkeypatch)
    node = walker.node(newest)
    assert node.distance == 4_999
    verdict = walker.verify("chain", "test", [node])
    assert (verdict.trusted, len(verdict.links)) == (True, 5_000)


def test_forty_levels_of_two_parents_are_walked_once_each(
    store: Decisions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = [store.add("left", []), store.add("right", [])]
    for number in range(40):
        level = [store.add(f"{side}{number}", level) for side in ("left", "right")]
    walker = verifier(store, tmp_path, monkeypatch)
    began = time.monotonic()
    verdict = walker.verify("wide", "test", [walker.node(item) for item in level])
    assert time.monotonic() - began < 5  # 2^40 paths would never end
    assert (verdict.trusted, store.verified) == (True, 82)


def test_chain_that_leads_back_to_itself_is_refused(
    store: Decisions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.add("first", [])
    second = store.add("second", [first])
    turned = store.found.pop(second)
    store.found[first], store.found[second] = turned, turned  # no hash leads back to itself
    monkeypatch.setattr(Statement, "digest", property(lambda item: second))
    walker = verifier(store, tmp_path, monkeypatch)
    node = walker.node(second)
    codes = {item.code for item in node.all_reasons()}
    assert codes & {"LINEAGE_CYCLE", "SUBJECT_MISMATCH"}


def test_walk_that_takes_too_long_could_not_decide(
    store: Decisions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = store.add("one", [store.add("none", [])])
    monkeypatch.setattr(walk, "_MAX_SECONDS", -timedelta(seconds=1).total_seconds())
    walker = verifier(store, tmp_path, monkeypatch)
    verdict = walker.verify("slow", "test", [walker.node(newest)])
    assert {item.code for item in verdict.reasons} == {"VERIFY_ERROR"}
    assert verdict.exit_code == 2
