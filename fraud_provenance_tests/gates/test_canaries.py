"""Canaries: whatever no longer judges gives itself away."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.gates import canaries, cosign
from fraud_provenance.attested.gates.policy import Answer, PolicyEngine
from fraud_provenance.attested.local import tool
from fraud_provenance.attested.sigstore.verification import BundleVerifier
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.conftest import codes

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canaries, "_PASSED", set())


def check(workspace: Workspace, binary: Path | None = None) -> None:
    canaries.check(workspace.trust, binary or tool("cosign"), ("a", "b"))


def refused(work: Callable[[], object]) -> ProvenanceError:
    with pytest.raises(ProvenanceError) as caught:
        work()
    return caught.value


def test_canaries_of_honest_judges_pass_once_a_process(
    fresh: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(fresh)
    monkeypatch.setattr(PolicyEngine, "evaluate", None)
    check(fresh)


def script(folder: Path, text: str) -> Path:
    path = folder / "cosign"
    path.write_text(f"#!{sys.executable} -IS\nimport sys\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("print('Verified OK', file=sys.stderr)", ["CANARY_FAILED"] * 5),
        ("sys.exit(1)", ["CANARY_FAILED"]),
        ("", ["VERIFY_ERROR"]),
        ("print('Verified OK'); sys.exit(1)", ["VERIFY_ERROR"]),
        ("import os; os.kill(os.getpid(), 9)", ["VERIFY_ERROR"]),
    ],
    ids=["says yes", "says no", "says nothing", "says both", "dies"],
)
def test_canaries_find_a_cosign_that_does_not_verify(
    fresh: Workspace, tmp_path: Path, text: str, found: list[str]
) -> None:
    assert codes(refused(lambda: check(fresh, script(tmp_path, text)))) == found


def test_canaries_find_a_cosign_that_no_longer_checks_the_identity(
    fresh: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = cosign.arguments

    def weakened(*arguments: Any) -> list[str]:
        command = honest(*arguments)
        return [*command[:6], "--certificate-identity-regexp", ".*", *command[8:]]

    monkeypatch.setattr(cosign, "arguments", weakened)
    error = refused(lambda: check(fresh))
    assert "another identity" in error.reasons[0].message


def test_canaries_find_a_verifier_that_does_not_verify(
    fresh: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = fresh.trust
    known = trust.bundles.verify(trust.store.bundle(
        trust.policies.current().release_statements[0])[1])  # fmt: skip
    monkeypatch.setattr(BundleVerifier, "_verify", lambda *_: known)
    error = refused(lambda: check(fresh))
    assert len(codes(error)) == len(canaries._BAD)


@pytest.mark.parametrize("allowed", [True, False])
def test_canaries_find_a_policy_that_always_says_the_same(
    fresh: Workspace, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    monkeypatch.setattr(
        PolicyEngine, "evaluate", lambda *_: Answer(allowed=allowed, reasons=(
            () if allowed else fresh_reasons())))  # fmt: skip
    error = refused(lambda: check(fresh))
    assert set(codes(error)) == {"CANARY_FAILED"}


def fresh_reasons() -> tuple[Any, ...]:
    from fraud_provenance.attested.core.errors import reason

    return (reason("GATE_DENIED", "no"),)
