"""A contract judged data: in-toto test result v0.1, written and read."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from fraud_provenance.attested.core import disclosure
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.statements.form import invalid


def contract_predicate(
    *,
    suite: str,
    suite_digest: str,
    environment: str,
    step: str,
    checks: Sequence[str],
    failures: Sequence[Mapping[str, Any]],
    rows: Mapping[str, int],
    run_id: str,
    decision: str,
    warnings: Sequence[Mapping[str, Any]] = (),
    held: Sequence[Mapping[str, Any]] = (),
    waivers: Mapping[str, str] | None = None,
    history: str = "",
    ground: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """in-toto test result: one contract suite over the partitions of one manifest.

    `failures` (never usable), `held` (until somebody accepts them) and `warnings` (only told) are
    `disclosure.Finding`s; `rows` are the rows judged a day;
    `decision` is the access decision under which the data were read; `waivers` are, by day, the
    statements that declare days empty which would else be missing; `history` is the SHA-256 of what
    the step keeps of the days that it accepted, for the next one to compare with; `ground` is, for
    the days that did not pass, the SHA-256 of what each was judged against.

    Raises:
        VerificationError: PII_IN_ATTESTATION where a finding says more than everyone may know.
    """
    disclosure.check_names(checks)
    failures = disclosure.public_findings(failures)
    held = disclosure.public_findings(held)
    warnings = disclosure.public_findings(warnings)
    untrue = {item["check"] for item in (*failures, *held, *warnings)}
    return {
        "result": "FAILED" if failures else "WARNED" if held or warnings else "PASSED",
        "configuration": [{"name": suite, "digest": {"sha256": suite_digest}}],
        "passedTests": [check for check in checks if check not in untrue],
        "warnedTests": _named_tests([*held, *warnings]),
        "failedTests": _named_tests(failures),
        "annotations": {
            "suite": suite,
            "environment": environment,
            "step": step,
            "runId": run_id,
            "decision": decision,
            "checks": len(checks),
            "rows": dict(rows),
            "failedPartitions": sorted({item["day"] for item in failures}),
            "failures": failures,
            "warnings": warnings,
        }
        | ({"waivers": dict(waivers)} if waivers else {})
        | ({"history": history} if history else {})
        | ({"held": held} if held else {})
        | ({"ground": dict(ground)} if ground else {}),
    }


def _named_tests(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({f"{item['check']}@{item['day']}" for item in findings})


class Contract(BaseModel):
    """The parts of a test result that verification uses."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    suite: str
    suite_digest: str
    environment: str
    checks: int
    rows: dict[str, int]
    failed: tuple[str, ...]
    decision: str
    failures: tuple[disclosure.Finding, ...] = ()
    warnings: tuple[disclosure.Finding, ...] = ()
    held: tuple[disclosure.Finding, ...] = ()
    waivers: dict[str, str] = {}
    history: str = ""
    ground: dict[str, str] = {}

    def held_findings(self, partition: str) -> tuple[disclosure.Finding, ...]:
        """What keeps a partition from use until a person accepts it."""
        return tuple(item for item in self.held if item.day == partition)

    def judges(self, partition: str) -> RootCause | None:
        """None if the partition passed, else why the result does not speak for it."""
        if partition in self.failed:
            return RootCause.CHECK_FAILED
        if self.checks <= 0 or self.rows.get(partition, 0) <= 0:
            return RootCause.CHECK_VACUOUS
        return RootCause.DATA_HELD if self.held_findings(partition) else None

    @classmethod
    def of(cls, predicate: Mapping[str, Any]) -> "Contract":
        """What a predicate says.

        Raises:
            VerificationError: PREDICATE_TYPE, also where result and failed partitions disagree.
        """
        try:
            notes, result = predicate["annotations"], predicate["result"]
            (judged_by,) = predicate["configuration"]
            contract = cls(
                suite=notes["suite"],
                suite_digest=judged_by["digest"]["sha256"],
                environment=notes["environment"],
                checks=notes["checks"],
                rows=notes["rows"],
                failed=tuple(notes["failedPartitions"]),
                decision=notes.get("decision", ""),
                failures=tuple(disclosure.Finding(**item) for item in notes["failures"]),
                warnings=tuple(disclosure.Finding(**item) for item in notes.get("warnings", ())),
                held=tuple(disclosure.Finding(**item) for item in notes.get("held", ())),
                waivers=notes.get("waivers", {}),
                history=notes.get("history", ""),
                ground=notes.get("ground", {}),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise invalid(RootCause.PREDICATE_TYPE, f"malformed test result: {error!r}") from error
        told = contract.held or contract.warnings
        expected = "FAILED" if contract.failed else "WARNED" if told else "PASSED"
        if result != expected or {item.day for item in contract.failures} != set(contract.failed):
            raise invalid(
                RootCause.PREDICATE_TYPE,
                f"result {str(result)[:40]!r} with {len(contract.failed)} failed partitions",
            )
        return contract
