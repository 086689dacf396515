"""Stage 5, release: the registration gate, and the promotion job that the sensor starts."""

from typing import Any

import dagster as dg

from fraud_provenance.alerts import alert_of_error
from fraud_provenance.attested.core.errors import BackendError, VerificationError
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Decision
from fraud_provenance.defs import shown, support
from fraud_provenance.defs.training import check_model
from fraud_provenance.due.planning import registry_of
from fraud_provenance.due.trainings import newest_model
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models import promotion, registration
from fraud_provenance.models.copies import copy_problems
from fraud_provenance.models.facts import collect_model
from fraud_provenance.models.registry import Registry
from fraud_provenance.refusals import as_failure
from fraud_provenance.resources import ProvenanceResource


@dg.asset(
    group_name=support.RELEASE,
    kinds={"opa", "mlflow"},
    owners=support.OWNERS,
    deps=["fraud_model", "model_evaluation"],
    code_version=support.code_version("release"),
    description=(
        "The newest model, registered as candidate after the registration gate (OPA) allowed it on "
        "verified evidence. It waits here for a person's approval."
    ),
)
@as_failure
def release_candidate(
    context: dg.AssetExecutionContext, provenance: ProvenanceResource
) -> dg.MaterializeResult[Any]:
    """Ask the registration gate."""
    workspace = provenance.open()
    trust, registry = workspace.trust, registry_of(workspace)
    digest = promotion.digest_of_model(trust, newest_model(workspace))
    _refuse_unsafe_model(workspace, digest)
    version = registration.register_candidate(trust, registry, digest)
    decision = registration.registration_of(trust, trust.policies.current(), digest)
    waits = shown.what_waits(workspace, registry)
    return dg.MaterializeResult(
        metadata={
            "version": int(version),
            "next": waits,
            **shown.metrics_of(trust, digest),
            **shown.decision_metadata(workspace, decision.expect(Decision), "model@candidate"),
        },
        data_version=dg.DataVersion(digest),
    )


def _refuse_unsafe_model(workspace: Workspace, digest: str) -> None:
    """What must never be loaded is not registered either, whoever signed it."""
    trust = workspace.trust
    policy = trust.policies.current()
    model = collect_model(trust, policy, digest).model
    lineage = trust.lineage(policy)
    files = {entry.path: lineage.artifacts.read(model, entry) for entry in model.entries}
    check_model(workspace, policy, model, files)


@dg.asset(
    group_name=support.RELEASE,
    kinds={"opa", "cosign", "mlflow"},
    owners=support.OWNERS,
    deps=["release_candidate"],
    code_version=support.code_version("release"),
    description=(
        "The model in production: approved, verified in-process and with cosign, allowed by the "
        "deployment gate, then named by the registry's alias. Tags in MLflow that differ from what "
        "was signed decide nothing and become an alert."
    ),
)
@as_failure
def champion(
    context: dg.AssetExecutionContext, provenance: ProvenanceResource
) -> dg.MaterializeResult[Any]:
    """Decide on the candidate and move the alias."""
    workspace = provenance.open_anew()  # whatever this run verified before is looked at again
    trust, registry = workspace.trust, registry_of(workspace)
    stays = _stays(context, trust, registry)
    if stays:
        context.log.warning("the new candidate waits for an approval; the champion stays")
        made = promotion.find_champion(trust, registry)
    else:
        made = promotion.promote(trust, registry, lambda: workspace.pinned_tool("cosign"))
    _note(context, registry, made)
    if differing := copy_problems(trust, registry):
        error = VerificationError(*differing)
        provenance.outbox().put(alert_of_error(error, "champion", workspace.clock()))
    return dg.MaterializeResult(
        metadata=shown.champion_metadata(workspace, made),
        data_version=dg.DataVersion(made.evidence.digest),
    )


def _note(context: dg.AssetExecutionContext, registry: Registry, live: promotion.Champion) -> None:
    """Link the decision where MLflow shows the champion. What is live does not depend on it."""
    tags = {
        "deployment_decision": live.decision.statement,
        "deployment_trace": "fraud-provenance trace model@champion",
    }
    try:
        registry.note(live.version, tags)
    except BackendError as error:
        context.log.warning(str(error.reasons[0]))


def _stays(context: dg.AssetExecutionContext, trust: Trust, registry: Registry) -> bool:
    """Whether the candidate was made in this very run, so that nobody can have approved it.

    Where nothing else is approved, the champion of before goes on; without one, the gate answers.
    """
    made_here = dg.AssetKey("release_candidate") in (context.run.asset_selection or ())
    return (
        made_here
        and not promotion.is_ready(trust, registry)
        and promotion.was_promoted(trust, registry)
    )
