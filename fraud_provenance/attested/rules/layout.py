"""The layout and the principals: who may sign which step, from what, in which environment.

Parsed from `policies/data/layout.json` and `principals.json` after the policy's own signature was
verified. No identity is a pattern: workloads are exact paths, people are known by the one form of
their address (`identities`), and nobody is enrolled twice.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fraud_provenance.attested.core import encoding, json_schemas
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import VerificationError, reason
from fraud_provenance.attested.statements import identities
from fraud_provenance.attested.statements.statements import Identity

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MaterialRule(_Closed):
    """An asset that a step may read, how many partitions, and which suites must pass."""

    asset: str
    min: int
    max: int | None
    requires_suites: tuple[str, ...]


class StepRule(_Closed):
    """What one step may do. `identity.subject` is None where `signer_role` names people instead."""

    identity: dict[str, str | None]
    signer_role: str | None
    predicate_type: str
    build_type: str | None
    produces: str | None
    environments: tuple[str, ...]
    purposes: tuple[str, ...]
    parameters: dict[str, dict[str, Any]]
    required_parameters: tuple[str, ...] = ()
    materials: tuple[MaterialRule, ...]
    max_age_days: int

    def signer(self) -> Identity | None:
        """The one workload identity of this step, or None where people sign."""
        issuer, subject = self.identity.get("issuer"), self.identity.get("subject")
        return Identity(issuer=str(issuer), subject=subject) if subject else None

    @property
    def is_judge(self) -> bool:
        """Whether it makes nothing: it judges days beside others that are not made anew yet."""
        return self.produces is None

    def check_parameters(self, given: Mapping[str, Any]) -> None:
        """Refuse a parameter that the layout does not list, or a value outside its JSON schema.

        Raises:
            VerificationError: PARAM_UNEXPECTED.
        """
        for name, value in sorted(given.items()):
            if name not in self.parameters:
                raise _unexpected(f"parameter {name[:80]!r} is not in the layout")
            problem = json_schemas.first_problem(self.parameters[name], value)
            if problem is not None:
                raise _unexpected(f"parameter {name}: {problem.message[:200]}")

    def check_complete(self, given: Collection[str]) -> None:
        """Refuse a statement without a parameter that the layout demands of each one.

        Raises:
            VerificationError: PARAM_MISSING.
        """
        missing = [name for name in self.required_parameters if name not in given]
        if missing:
            message = f"the statement lacks {', '.join(missing)[:200]}"
            raise VerificationError(reason(RootCause.PARAM_MISSING, message))

    def check_materials(self, read: Collection[tuple[str, str]]) -> None:
        """Refuse fewer or more partitions of an asset than the layout says; `read`: (asset, one).

        Raises:
            VerificationError: PARTITION_MISSING or MATERIAL_NOT_ALLOWED.
        """
        for rule in self.materials:
            count = sum(1 for asset, _ in read if asset == rule.asset)
            if count < rule.min:
                code, bound = RootCause.PARTITION_MISSING, f"at least {rule.min} are needed"
            elif rule.max is not None and count > rule.max:
                code, bound = RootCause.MATERIAL_NOT_ALLOWED, f"at most {rule.max} may be"
            else:
                continue
            message = f"{count} partitions of {rule.asset} were read, {bound}"
            raise VerificationError(reason(code, message, artifact=rule.asset))

    def material(self, asset: str) -> MaterialRule | None:
        """The rule for reading `asset`, if the step may."""
        return next((rule for rule in self.materials if rule.asset == asset), None)


class ContractRule(_Closed):
    """Which asset a suite judges, which step signs its results, and what the suite must be.

    `suite_digests` are those of every form of the suite whose results still count, thresholds
    included: a suite that was made weaker speaks for nothing until two people released it.
    `former_suite_digests` are of forms that saw too little. What was read on their word stays
    explained by it; nothing is read on it any more, and whoever judges does so in a form that
    counts.
    """

    asset: str
    step: str
    suite_digests: tuple[str, ...]
    former_suite_digests: tuple[str, ...] = ()

    def check_suite(self, suite: str, digest: str, *, former: bool = False) -> None:
        """Refuse the results of a suite in a form that does not count.

        Args:
            suite: the suite's name.
            digest: of its form.
            former: also a former form will do.

        Raises:
            VerificationError: EXPECTATION_CHANGE_UNAPPROVED.
        """
        if digest not in (*self.suite_digests, *(self.former_suite_digests if former else ())):
            raise VerificationError(
                reason(
                    RootCause.EXPECTATION_CHANGE_UNAPPROVED,
                    f"{suite} was judged by checks that are not approved ({digest})",
                    artifact=suite,
                    remedy=f"If they are meant, add their digest to contracts.{suite}.suite_digests"
                    " in policies/data/layout.json and have two policy authors release it.",
                )
            )


class Principal(_Closed):
    """One accountable party behind one or more identities."""

    id: str
    roles: tuple[str, ...]
    identities: tuple[Identity, ...]
    valid_from: str
    valid_until: str

    def is_valid_at(self, moment: datetime) -> bool:
        """Whether the principal may act at `moment`."""
        start, end = encoding.parse_utc(self.valid_from), encoding.parse_utc(self.valid_until)
        return start <= moment < end

    def enrolled(self, identity: Identity) -> Identity | None:
        """The principal's identity that is this one, as it was enrolled; given in its one form."""
        return next((one for one in self.identities if identities.canonical(one) == identity), None)


class _Principals(_Closed):
    version: int
    principals: tuple[Principal, ...]


class Layout(_Closed):
    """The whole layout."""

    version: int
    environments: tuple[str, ...]
    sources: tuple[str, ...]
    steps: dict[str, StepRule]
    contracts: dict[str, ContractRule]
    principals: tuple[Principal, ...] = ()

    def step(self, name: str) -> StepRule:
        """The rule of a step.

        Raises:
            VerificationError: IDENTITY_NOT_AUTHORIZED_FOR_STEP when the layout has no such step.
        """
        if name not in self.steps:
            raise VerificationError(
                reason(
                    RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP,
                    f"the layout knows no step {name[:80]!r}",
                )
            )
        return self.steps[name]

    def contract(self, suite: str) -> ContractRule:
        """The rule of a contract suite.

        Raises:
            VerificationError: CHECK_MISSING when the layout has no such suite.
        """
        if suite not in self.contracts:
            raise VerificationError(
                reason(
                    RootCause.CHECK_MISSING, f"unknown suite {suite[:80]!r}", artifact=suite[:80]
                )
            )
        return self.contracts[suite]

    def producer(self, asset: str) -> str:
        """The step that produces `asset`, or an empty string."""
        return next((name for name, rule in self.steps.items() if rule.produces == asset), "")

    def inputs(self, asset: str) -> tuple[str, ...]:
        """The attested assets that `asset` is made from."""
        maker = self.steps.get(self.producer(asset))
        named = [item.asset for item in maker.materials] if maker else []
        return tuple(name for name in named if name not in self.sources)

    @cached_property
    def distances(self) -> dict[str, int]:
        """Each produced asset's steps away from the raw data, the longest way: a layout's order."""
        found = {rule.produces: 0 for rule in self.steps.values() if rule.produces}
        for _ in found:  # no way is longer than there are assets, not even in a circle
            for rule in self.steps.values():
                if rule.produces:
                    before = [found[item.asset] for item in rule.materials if item.asset in found]
                    found[rule.produces] = max([-1, *before]) + 1
        return found

    def suites(self, asset: str) -> tuple[str, ...]:
        """The contract suites that judge `asset`."""
        return tuple(name for name, rule in self.contracts.items() if rule.asset == asset)

    def principal(self, identity: Identity, moment: datetime) -> Principal | None:
        """The one principal behind an identity at a time, if any."""
        return find_principal(self.principals, identity, moment)

    def identities(self) -> frozenset[Identity]:
        """Every identity that signs here, in its one form: the steps' and the principals'."""
        steps = [rule.signer() for rule in self.steps.values()]
        people = [one for principal in self.principals for one in principal.identities]
        return frozenset(map(identities.canonical, [*(item for item in steps if item), *people]))

    def people(self, role: str) -> tuple[Identity, ...]:
        """The e-mail identities of everyone with `role`."""
        return tuple(
            identity
            for principal in self.principals
            if role in principal.roles
            for identity in principal.identities
            if identity.issuer == "people"
        )


def find_principal(
    principals: Iterable[Principal], identity: Identity, moment: datetime
) -> Principal | None:
    """The one principal behind an identity at a time, if any."""
    found = [
        principal
        for principal in principals
        if principal.enrolled(identity) and principal.is_valid_at(moment)
    ]
    return found[0] if len(found) == 1 else None


def parse_principals(content: bytes) -> tuple[Principal, ...]:
    """The principals of a policy, from the bytes of its `data/principals.json`.

    Raises:
        VerificationError: POLICY_DATA_INVALID, IDENTITY_PATTERN, or DUPLICATE_KEY_IDENTITY where
            one person stands behind two of them.
    """
    principals = read_principals(content)
    for group in identities.groups(principals):
        if len(group) > 1:
            raise VerificationError(
                reason(
                    RootCause.DUPLICATE_KEY_IDENTITY,
                    f"{identities.names(group)} are one and the same",
                    artifact="policies/data/principals.json",
                )
            )
    _check_spellings([one for principal in principals for one in principal.identities])
    return principals


def _check_spellings(known: Iterable[Identity]) -> None:
    """Two spellings of one workload are one too many: only one of them can be in a certificate.

    Raises:
        VerificationError: DUPLICATE_KEY_IDENTITY.
    """
    spelled: dict[Identity, Identity] = {}
    for one in known:
        other = spelled.setdefault(identities.folded(one), one)
        if other != one and one.issuer != identities.PEOPLE:
            raise VerificationError(
                reason(
                    RootCause.DUPLICATE_KEY_IDENTITY,
                    f"{other} and {one} are one and the same",
                    artifact="policies/data/principals.json",
                )
            )


def read_principals(content: bytes) -> tuple[Principal, ...]:
    """As `parse_principals`, but somebody may be enrolled twice: the way back from such a policy.

    Whoever counts signatures by these counts the groups (`identities.groups`), not the entries.

    Raises:
        VerificationError: POLICY_DATA_INVALID or IDENTITY_PATTERN.
    """
    try:
        principals = _Principals.model_validate(encoding.strict_json(content)).principals
        for principal in principals:
            principal.is_valid_at(_ANY_TIME)  # both times can be read
    except (ValidationError, ValueError) as error:
        raise _invalid("principals.json", error) from error
    for principal in principals:
        for identity in principal.identities:
            _check_exact(identity.issuer, identity.subject, "principals.json")
    return principals


def parse_layout(policy_files: Mapping[str, bytes]) -> Layout:
    """Layout with principals from the policy's verified files (path → bytes).

    Raises:
        VerificationError: POLICY_DATA_INVALID, a file is missing or not of its schema, or a
            parameter's own schema cannot be used; IDENTITY_PATTERN; DUPLICATE_KEY_IDENTITY.
    """
    try:
        document = encoding.strict_json(policy_files["data/layout.json"])
        principals = parse_principals(policy_files["data/principals.json"])
        layout = Layout.model_validate(document | {"principals": principals})
    except (KeyError, TypeError, ValidationError) as error:
        raise _invalid("layout.json", error) from error
    for name, rule in layout.steps.items():
        for parameter, schema in rule.parameters.items():
            json_schemas.check_schema(schema, f"policies/data/layout.json, {name}.{parameter}")
        subject = rule.identity.get("subject")
        if subject is not None or rule.signer_role is None:
            _check_exact(str(rule.identity.get("issuer")), str(subject), "layout.json")
    _check_spellings(
        [
            *(signer for rule in layout.steps.values() if (signer := rule.signer())),
            *(one for principal in principals for one in principal.identities),
        ]
    )
    return layout


def _unexpected(message: str) -> VerificationError:
    return VerificationError(reason(RootCause.PARAM_UNEXPECTED, message))


def _check_exact(issuer: str, subject: str, name: str) -> None:
    """An identity must be one exact name: whoever reads it as a pattern must read the same."""
    if not identities.is_exact(Identity(issuer=issuer, subject=subject)):
        raise VerificationError(
            reason(
                RootCause.IDENTITY_PATTERN,
                f"{subject[:80]!r} of issuer {issuer[:40]!r} is not one exact identity",
                artifact=f"policies/data/{name}",
            )
        )


def _invalid(name: str, error: Exception) -> VerificationError:
    return VerificationError(
        reason(
            RootCause.POLICY_DATA_INVALID,
            f"it cannot be used: {str(error)[:500]}",
            artifact=f"policies/data/{name}",
        )
    )
