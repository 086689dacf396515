"""MLflow's copies of evidence: unsigned, for people to read; no gate asks them.

Whoever reads a wrong one is misled all the same, so a copy that differs from what was signed is
told as an alert. It changes no decision.
"""

from collections.abc import Iterable

from fraud_provenance.attested.core.errors import ProvenanceError, Reason, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.statements.statements import Provenance
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.models.champion import digest_of_model
from fraud_provenance.models.facts import MODEL, model_statement
from fraud_provenance.models.registry import CANDIDATE, CHAMPION, RegisteredVersion, Registry


def copy_problems(trust: Trust, registry: Registry) -> list[Reason]:
    """One reason for each copy beside the candidate or the champion that is not as signed.

    Where it cannot be told, the reasons say why.
    """
    found: list[Reason] = []
    try:
        named = [registry.alias(alias) for alias in (CANDIDATE, CHAMPION)]
        for version in dict.fromkeys(item for item in named if item is not None):
            found += _differing(trust, registry, version)
    except ProvenanceError as error:
        found += error.reasons
    return found


def _differing(trust: Trust, registry: Registry, version: RegisteredVersion) -> list[Reason]:
    digest = digest_of_model(trust, version.model_id)
    model = trust.lineage().node(model_statement(trust, digest))
    made = model.claims.made
    if made is None:
        return list(model.all_reasons())
    signed = _signed(trust, made, model.entries, digest)
    run = str(made.outputs.get("mlflow_run_id", ""))
    return [
        reason(
            ProductCause.EVIDENCE_SIDECAR_MISMATCH,
            f"MLflow says {name} = {value[:80]}, signed is {signed[name][-1][:80]}",
            artifact=f"{MODEL}:{version.version}",
        )
        for name, value in registry.copies(run, version.version)
        if name in signed and value not in signed[name]
    ]


def _signed(
    trust: Trust, made: Provenance, entries: Iterable[FileEntry], digest: str
) -> dict[str, list[str]]:
    """What the copies may say, by their names; names that are not here are anybody's notes."""
    outputs, read, lock = made.outputs, made.material("input"), made.material("lock")
    decided = trust.store.records(predicate_type=statements.VERIFICATION_SUMMARY, subject=digest)
    registered, deployed = (
        [record.statement for record in decided if record.step == step]
        for step in ("release", "deploy")
    )
    found = {
        "git_commit": [str(outputs.get("git_commit"))],
        "git_dirty": [str(outputs.get("git_dirty")).lower()],
        "data_version": [read.digest] if read else [],
        "training_sha256": sorted({source for entry in entries for source in entry.made_from}),
        "lock_sha256": [lock.digest] if lock else [],
        "manifest_sha256": [digest],
        "registration_decision": registered,
        "deployment_decision": deployed,
    } | {name: _texts(value) for name, value in made.parameters.items()}
    return {name: values or ["nothing"] for name, values in found.items()}


def _texts(value: object) -> list[str]:
    """A parameter as MLflow writes it; a statement does not tell 1.0 from 1."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [str(float(value)), str(value)]
    return [str(value)]
