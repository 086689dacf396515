"""What `approve` does: a person's signature under a model or under the policy."""

from typing import Any

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, GateDenied, VerificationError, reason
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models import promotion
from fraud_provenance.models.approvals import approve
from fraud_provenance.models.facts import collect_model
from fraud_provenance.models.registry import CANDIDATE
from fraud_provenance.people.governing import sign_release


def approve_subject(
    workspace: Workspace, subject: str, environment: str, email: str, why: str
) -> dict[str, Any]:
    """Sign the approval of `model[@alias|:version]` or of `policies`.

    Raises:
        ConfigError: the subject is neither. GateDenied: the person may not approve it.
        VerificationError: the model's evidence does not hold.
    """
    if subject == "policies":
        return _approve_policies(workspace, environment, email, why)
    signed = _approve_model(workspace, subject, environment, email, why)
    return _outcome(subject, signed)


def _outcome(subject: str, signed: VerifiedBundle) -> dict[str, Any]:
    return {
        "subject": subject,
        "digest": signed.statement.subject_digest,
        "signer": str(signed.identity),
        "log_index": signed.log_index,
        "statement": signed.statement.digest,
    }


def _approve_model(
    workspace: Workspace, subject: str, environment: str, email: str, why: str
) -> VerifiedBundle:
    trust, registry = workspace.trust, registry_of(workspace)
    policy = trust.policies.current()
    name, _, alias = subject.partition("@")
    name, _, version = name.partition(":")
    if name not in ("model", "fraud_model"):
        raise ConfigError(reason(RootCause.USAGE, f"{subject!r} is neither a model nor policies"))
    named = registry.version(version) if version else registry.alias(alias or CANDIDATE)
    if named is None:
        raise ConfigError(reason(RootCause.USAGE, f"the registry knows no {subject}"))
    digest = promotion.digest_of_model(trust, named.model_id)
    evidence = collect_model(trust, policy, digest)
    if not evidence.verdict.trusted:
        raise VerificationError(*evidence.verdict.reasons)
    return approve(trust, policy, evidence, email, environment, why)


def _approve_policies(
    workspace: Workspace, environment: str, email: str, why: str
) -> dict[str, Any]:
    if environment != workspace.environment:
        raise GateDenied(
            reason(ProductCause.APPROVAL_ENV, f"this home is {workspace.environment!r}")
        )
    signed = sign_release(workspace, email, why)
    version = signed.release.expectations.version
    return _outcome("policies", signed.bundle) | {
        "release": version,
        "authors": list(signed.release.authors),
        "in_force": signed.missing == 0,
        "next": (
            f"release {version} is in force; models are registered and approved anew under it"
            if signed.missing == 0
            else f"release {version} is not in force yet: another policy author must run the same"
            " command with their own --as"
        ),
    }
