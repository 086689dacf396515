"""What `up` and `approve policies` do: sign the policy, trust root and tools that are expected.

A change needs the signatures of two distinct policy authors; the first leaves a proposal, the
second puts it into force. The first release of a local home is signed by `up` for both.
"""

from dataclasses import dataclass

from fraud_provenance.attested.core import files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    GateDenied,
    VerificationError,
    reason,
)
from fraud_provenance.attested.gates.policy import read_policies
from fraud_provenance.attested.rules import trial
from fraud_provenance.attested.rules.layout import find_principal, parse_principals
from fraud_provenance.attested.rules.releases import (
    ROLE,
    SIGNATURES_NEEDED,
    TRUST_FILES,
    Expectations,
    Release,
)
from fraud_provenance.attested.sigstore.oidc_login import SignInError
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import identities
from fraud_provenance.attested.statements.statements import Identity, Statement
from fraud_provenance.attested.tlog.checkpoints import LogKeeper
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.home.workspace import Workspace


@dataclass(frozen=True)
class Signed:
    """One signature under a release, and where the release stands with it."""

    bundle: VerifiedBundle
    release: Release
    missing: int


def found(workspace: Workspace, why: str = "first release of this home") -> Release | None:
    """Sign the first release, if this home has none; trust on first use.

    Raises:
        GateDenied: there are not two policy authors. BackendError: could not sign.
        VerificationError: the home's releases do not hold.
    """
    releases = workspace.releases
    if releases.is_founded:
        return None
    if releases.chain().head is None:
        for email in founders(workspace):
            sign_release(workspace, email, why)
    if len(releases.chain().releases) == 1:  # or a kill came between signing and this
        releases.remember()
    return releases.head()


def founders(workspace: Workspace) -> list[str]:
    """The addresses of the first policy authors that the policy enrols, as many as must sign.

    Raises:
        GateDenied: there are fewer. VerificationError: the principals cannot be read.
    """
    _, contents = read_policies(workspace.policies_folder)
    found = [
        next((one.subject for one in principal.identities if one.issuer == identities.PEOPLE), "")
        for principal in parse_principals(contents["data/principals.json"])
        if ROLE in principal.roles and principal.is_valid_at(workspace.clock())
    ]
    authors = [email for email in found if email][:SIGNATURES_NEEDED]
    if len(authors) < SIGNATURES_NEEDED:
        raise GateDenied(
            reason(
                ProductCause.APPROVAL_ROLE,
                f"a release needs {SIGNATURES_NEEDED} policy authors, {len(authors)} are enrolled",
                artifact="policies/data/principals.json",
                remedy="Give two principals the role policy_author and an address, both valid now.",
            )
        )
    return authors


def sign_release(workspace: Workspace, email: str, why: str) -> Signed:
    """Sign policy, trust root and tools as they are now, as the policy author behind `email`.

    Raises:
        ConfigError: no reason, or nothing changed. GateDenied: not a policy author under the
            release in force. VerificationError: it was tried and could not be used, e.g.
            ROOT_MALFORMED. BackendError: could not be tried, or signed.
    """
    if not why.strip():
        raise ConfigError(reason(RootCause.USAGE, "a release needs a reason"))
    releases = workspace.releases
    head = releases.chain().head
    expected = workspace.expectations()
    if head and _is_same(head.expectations, expected):
        raise ConfigError(
            reason(
                RootCause.USAGE,
                f"nothing changed since release {head.expectations.version}, which is in force",
            )
        )
    _check_author(workspace, head, email)
    _try(workspace, expected, head)  # nobody shall sign what could never be used
    signer = identities.of_person(email)
    bundle = _sign(workspace, head, expected.statement(email, why.strip()), signer)
    chain = releases.chain()
    if refused := chain.why_not(lambda one: one == expected):
        raise VerificationError(*refused)
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
    identity = identities.of_person(email)
    principal = find_principal(principals, identity, workspace.clock())
    if principal is None or ROLE not in principal.roles:
        raise GateDenied(
            reason(
                ProductCause.APPROVAL_ROLE,
                f"{email} is no policy author under the release in force",
                remedy="Have a principal with the role policy_author sign.",
                identity=email,
            )
        )


def _try(workspace: Workspace, expected: Expectations, head: Release | None) -> None:
    """Everything that would keep a release from binding, and its witnesses asked for once."""
    releases, at = workspace.releases, workspace.clock()
    trial.check_trust(
        {name: releases.objects.get(digest) for name, digest in expected.trust.items()}, at
    )
    if head:
        _countersign(workspace, expected, head)
    releases.check(expected, at, head.statements if head else (), head)


def _countersign(workspace: Workspace, expected: Expectations, head: Release) -> None:
    """The witnesses of a release countersign each log in use, so that it can be judged by them.

    Raises:
        VerificationError: the log did not grow, ROOT_MALFORMED. BackendError: too few answered.
    """
    known = workspace.releases.verifier(head.expectations).logs.memories
    try:
        keeper = LogKeeper(
            workspace.home, workspace.releases.verifier(expected).logs, workspace.clock
        )
        with keeper.lock():
            for log_id, memory in keeper.logs.memories.items():
                if log_id in known:
                    keeper.begin(memory)
    except ConfigError as error:
        raise trial.as_malformed(error) from error


def _sign(
    workspace: Workspace, head: Release | None, statement: Statement, signer: Identity
) -> VerifiedBundle:
    """Sign under the trust root of the release in force, for it judges the next one.

    Where its servers do not answer, those of an earlier release are asked: an address in it may
    be wrong. What they sign is judged by the release in force all the same.
    """
    if head is None:
        signing = workspace.signing_by(workspace.sigstore.trust_config, workspace.bundles)
        return signing.sign(statement, signer)
    releases, silent = workspace.releases, None
    verifier, name = releases.verifier(head.expectations), "client_trust_config.json"
    for digest in dict.fromkeys(
        item.expectations.trust[name] for item in reversed(releases.chain().releases)
    ):
        service = workspace.signing_by(releases.objects.path(digest), verifier)
        try:
            return service.sign(statement, signer)
        except SignInError:
            raise  # no other server is the reason
        except BackendError as error:
            silent = silent or error
    assert silent is not None  # noqa: S101 - there is a release, and its servers did not answer
    raise silent


def restore(workspace: Workspace) -> list[str]:
    """Put the files of the trust root in force back where others lie; returns their names.

    Raises:
        VerificationError: no release of this home holds. EvidenceError: they were not kept.
    """
    expected = workspace.releases.head().expectations
    found = workspace.releases.trust_digests()
    changed = [name for name in TRUST_FILES if found[name] != expected.trust[name]]
    for name in changed:
        content = workspace.releases.objects.get(expected.trust[name])
        files.write_atomic(workspace.home / "trust" / name, content)
    return changed
