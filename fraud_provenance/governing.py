"""What `up` and `approve policies` do: sign the policy, trust root and tools that are expected.

A change needs the signatures of two distinct policy authors; the first leaves a proposal, the
second puts it into force. The first release of a home is signed by `up` for both.
"""

from dataclasses import dataclass

from fraud_provenance.evidence.codes import RootCause
from fraud_provenance.evidence.errors import ConfigError, GateDenied, reason
from fraud_provenance.evidence.layout import find_principal, parse_layout, parse_principals
from fraud_provenance.evidence.releases import ROLE, SIGNATURES_NEEDED, Expectations, Release
from fraud_provenance.evidence.signing import SigningService
from fraud_provenance.evidence.statements import Identity
from fraud_provenance.evidence.verification import VerifiedBundle
from fraud_provenance.gates.policy import read_policies
from fraud_provenance.workspace import Workspace

FOUNDERS = ("policy.author@example.com", "policy.reviewer@example.com")


@dataclass(frozen=True)
class Signed:
    """One signature under a release, and where the release stands with it."""

    bundle: VerifiedBundle
    release: Release
    missing: int


def found(workspace: Workspace, why: str = "first release of this home") -> Release | None:
    """Sign the first release, if this home has none; trust on first use.

    Raises:
        BackendError: could not sign. VerificationError: the home's releases do not hold.
    """
    releases = workspace.releases
    if releases.is_founded:
        return None
    if releases.chain().head is None:
        for email in FOUNDERS:
            sign_release(workspace, email, why)
    if len(releases.chain().releases) == 1:  # or a kill came between signing and this
        releases.remember()
    return releases.head()


def sign_release(workspace: Workspace, email: str, why: str) -> Signed:
    """Sign policy, trust root and tools as they are now, as the policy author behind `email`.

    Raises:
        ConfigError: no reason, or nothing changed. GateDenied: not a policy author under the
            release in force. VerificationError: the new layout or principals cannot be used.
        BackendError: could not sign.
    """
    if not why.strip():
        raise ConfigError(reason(RootCause.USAGE, "a release needs a reason"))
    releases = workspace.releases
    head = releases.chain().head
    expected = workspace.expectations()
    _, contents = read_policies(workspace.policies_folder)
    parse_layout(contents)  # nobody shall sign what could never be used
    if head and _is_same(head.expectations, expected):
        raise ConfigError(
            reason(
                RootCause.USAGE,
                f"nothing changed since release {head.expectations.version}, which is in force",
            )
        )
    _check_author(workspace, head, email)
    bundle = _signing(workspace, head).sign(
        expected.statement(email, why.strip()), Identity(issuer="people", subject=email)
    )
    chain = releases.chain()
    if chain.head and chain.head.expectations == expected:
        if releases.is_founded or expected.version == 1:
            releases.remember()
        return Signed(bundle, chain.head, 0)
    proposal = next(item for item in chain.proposals if item.expectations == expected)
    return Signed(bundle, proposal, SIGNATURES_NEEDED - len(proposal.authors))


def _is_same(one: Expectations, other: Expectations) -> bool:
    return (one.policies, one.trust, one.tools) == (other.policies, other.trust, other.tools)


def _check_author(workspace: Workspace, head: Release | None, email: str) -> None:
    """The person must be a policy author of the release in force, not of the one proposed."""
    if head is None:
        _, contents = read_policies(workspace.policies_folder)
        principals = parse_principals(contents["data/principals.json"])
    else:
        principals = workspace.releases.principals(head)
    identity = Identity(issuer="people", subject=email)
    principal = find_principal(principals, identity, workspace.clock())
    if principal is None or ROLE not in principal.roles:
        raise GateDenied(
            reason(
                RootCause.APPROVAL_ROLE,
                f"{email} is no policy author under the release in force",
                remedy="Have a principal with the role policy_author sign.",
                identity=email,
            )
        )


def _signing(workspace: Workspace, head: Release | None) -> SigningService:
    """Signs under the trust root of the release in force: it judges the next one."""
    if head is None:
        verifier = workspace.bundles
        config = workspace.sigstore.trust_config
    else:
        verifier = workspace.releases.verifier(head.expectations)
        digest = head.expectations.trust["client_trust_config.json"]
        config = workspace.releases.objects.path(digest)
    return SigningService(config, workspace.token, workspace.store, verifier)
