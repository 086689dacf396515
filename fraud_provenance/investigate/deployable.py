"""May the model that is to be deployed go to this environment with a commit's code and policy?

A pipeline asks before it deploys. The answer rests on what is signed and on the commit's own files,
read from git's objects; the registry is not asked, nothing is signed, nothing moves.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    ConfigError,
    EvidenceError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.build_rules import check_branch
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.policy import Policy, manifest_of
from fraud_provenance.attested.lineage.nodes import Decision, Verified, below
from fraud_provenance.attested.rules.layout import Layout
from fraud_provenance.attested.statements.materialisation import Provenance
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.causes.told import APPROVE, RUN
from fraud_provenance.fraud.column_sources import MART_ASSET
from fraud_provenance.fraud.engines import DUCKDB, LIBRARIES
from fraud_provenance.home.step_code import StepCode
from fraud_provenance.investigate.past import LOCK, SPARK_LOCK, Past, packages_of
from fraud_provenance.models.champion import deployments
from fraud_provenance.models.effect import check_standing
from fraud_provenance.models.facts import ModelEvidence, collect_model
from fraud_provenance.models.registry import CHAMPION

PURPOSE = "deployment"
_POLICIES = "policies/"
_CODE = ("fraud_provenance/", "dbt_project/")
_AS_MADE = (
    "Deploy a commit with the code that the model was made by; or check this commit out where the "
    f"model is made, {RUN}, {APPROVE}, and once more {RUN}."
)
_DECIDE_ANEW = (
    f"{RUN} registers the model under the policy in force; have it approved, {APPROVE}, and "
    "run once more."
)


class Check(BaseModel):
    """One of the things that were asked; `reasons`: why the answer is no, or not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    asked: str
    reasons: tuple[Reason, ...] = ()


class Deployment(BaseModel):
    """What would be deployed, by the newest decision; empty where that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: int = 0
    policy: str = ""
    model: str = ""
    version: str = ""
    decision: str = ""
    decided_at: str = ""
    approvers: tuple[str, ...] = ()


class Answer(BaseModel):
    """Whether it may, what was asked for that, and everything that it rests on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    commit: str
    environment: str
    deployment: Deployment
    checks: tuple[Check, ...]
    verdict: Verdict


def may_deploy(
    trust: Trust, past: Past, revision: str, dbt_sources: Callable[[Path], str]
) -> Answer:
    """Whether the model that the newest decision names may be deployed with a commit.

    1. The checkout is exactly the commit, where it is the commit's. 2. The commit is on the branch
    that the environment's policy protects. 3. Its `policies/` are those of the release in force.
    4. The newest deployment decision verifies, is in force, and was made under that release.
    5. The model, its evaluation and all that they rest on verify, files included. 6. Whatever
    the model was made from (but the raw days) was made by the code that the commit has.

    Args:
        trust: The opened home.
        past: Reads the commit.
        revision: The commit's whole id, HEAD, or a full reference.
        dbt_sources: SHA-256 over the dbt project below a folder, as features are signed.

    Raises:
        ConfigError: USAGE, no such commit; or the home cannot be used.
        BackendError: GIT_UNAVAILABLE, the commit is not here.
    """
    commit = past.commit(revision)
    trust.store.refresh()
    asking = _Asking(trust, past, commit)
    asking.tree()
    policy = asking.policy()
    if policy is not None:
        asking.branch(policy)
        asking.released()
        asking.decided(policy)
        asking.rests_on(policy)
        asking.made_by(policy.layout, dbt_sources)
    return asking.answer(policy)


@dataclass
class _Asking:
    """The questions, each answered by itself, so that all that is wrong is told at once."""

    trust: Trust
    past: Past
    commit: str
    checks: list[Check] = field(default_factory=list)
    deployment: Deployment = field(default_factory=Deployment)
    decision: Decision | None = None
    model: ModelEvidence | None = None

    @contextmanager
    def _asked(self, name: str, asked: str) -> Iterator[None]:
        """Note what was asked, and why the answer is no if something refuses within."""
        found: tuple[Reason, ...] = ()
        try:
            yield
        except ConfigError:
            raise
        except ProvenanceError as error:
            found = tuple(dict.fromkeys(error.reasons))
        self.checks.append(Check(name=name, asked=asked, reasons=found))

    def tree(self) -> None:
        """What would be deployed from this checkout is the commit."""
        with self._asked("checkout", "the checkout, where it is the commit's, is exactly that"):
            code = self.trust.attestor.code()
            if code.git_commit == self.commit and code.git_dirty:
                why = f"the checkout is not exactly {self.commit[:12]}"
                raise VerificationError(reason(ProductCause.GIT_DIRTY, why, artifact="checkout"))

    def policy(self) -> Policy | None:
        """The policy by which everything is judged, if it is the released one."""
        with self._asked("release", "the policy that judges is the release in force"):
            policy = self.trust.policies.current()
            head = self.trust.policies.releases.head().expectations
            self.deployment = Deployment(release=head.version, policy=policy.digest)
            return policy
        return None

    def branch(self, policy: Policy) -> None:
        """Reviewed code only."""
        with self._asked("branch", "the commit is on the branch that this environment protects"):
            check_branch(self.trust, policy, self.commit)

    def released(self) -> None:
        """The commit's policy files, each byte."""
        with self._asked("policy", "policies/ of the commit are the files of the release in force"):
            contents = {
                path.removeprefix(_POLICIES): self.past.blob(name)
                for path, name in self.past.tree(self.commit).items()
                if path.startswith(_POLICIES)
            }
            self.trust.policies.check_released(manifest_of(contents), contents)

    def decided(self, policy: Policy) -> None:
        """The newest decision that was not taken back."""
        with self._asked(
            "decision", "the newest deployment decision here verifies, under the release in force"
        ):
            made = deployments(self.trust, policy)
            if not made:
                why = f"nothing was ever decided for {self.trust.environment}"
                raise EvidenceError(
                    reason(RootCause.DECISION_MISSING, why, artifact=CHAMPION, remedy=_DECIDE_ANEW)
                )
            decision = made[-1].expect(Decision)  # nothing is told of one that does not verify
            self._note(decision)
            check_standing(self.trust, policy, decision, ())
            _check_release(decision, policy)

    def _note(self, decision: Decision) -> None:
        """What a decision says will run."""
        said = decision.summary
        self.decision = decision
        self.deployment = self.deployment.model_copy(
            update={
                "model": decision.bundle.statement.subject_digest,
                "version": str(said.facts.get("version", "")),
                "decision": decision.statement,
                "decided_at": encoding.utc_text(decision.bundle.signed_at),
                "approvers": tuple(
                    str(node.bundle.identity)
                    for node in decision.children
                    if node.kind == "approval" and isinstance(node, Verified)
                ),
            }
        )

    def rests_on(self, policy: Policy) -> None:
        """The model down to its raw days."""
        if self.decision is None:
            return
        with self._asked("model", "the model and all that it rests on verify, files included"):
            self.model = collect_model(self.trust, policy, self.deployment.model)
            if self.model.verdict.reasons:
                raise VerificationError(*self.model.verdict.reasons)

    def made_by(self, layout: Layout, dbt_sources: Callable[[Path], str]) -> None:
        """The code that shaped the model."""
        if self.model is None:
            return
        with (
            self._asked("code", "what the model was made from was made by the commit's code"),
            tempfile.TemporaryDirectory(prefix="commit-") as folder,
        ):
            code = _Code(self.past, self.commit, Path(folder), dbt_sources)
            nodes = below([self.model.model, self.model.evaluation], judged=False)
            found = dict.fromkeys(
                (made.asset, why)
                for node in nodes
                if (made := node.claims.made) and layout.inputs(made.asset)  # raw days arrived
                for why in code.differences(made)
            )
            if found:
                raise VerificationError(*map(_other_code, found))

    def answer(self, policy: Policy | None) -> Answer:
        """All of it as one verdict."""
        name = f"commit {self.commit[:12]}"
        reasons = [item for check in self.checks for item in check.reasons]
        if policy is not None and self.decision is not None and self.model is not None:
            roots = [self.decision, self.model.evaluation, self.model.signature, self.model.model]
            verdict = self.trust.lineage(policy).verify(name, PURPOSE, roots, reasons)
        else:
            verdict = Verdict.of(name, self.trust.environment, PURPOSE, [], reasons)
        return Answer(
            commit=self.commit,
            environment=self.trust.environment,
            deployment=self.deployment,
            checks=tuple(self.checks),
            verdict=verdict,
        )


class _Code:
    """The code of a commit, laid out to be measured as a step measures its own."""

    def __init__(
        self, past: Past, commit: str, folder: Path, dbt_sources: Callable[[Path], str]
    ) -> None:
        tree = past.tree(commit)
        past.lay_out({path: name for path, name in tree.items() if path.startswith(_CODE)}, folder)
        pinned: dict[str, str] = {}
        for lock in filter(tree.get, (LOCK, SPARK_LOCK)):
            pinned |= packages_of(past.blob(tree[lock]).decode("utf-8", "replace"))
        self._commit = commit
        self._steps = {
            engine: StepCode(folder, lambda name: pinned.get(name, ""), engine)
            for engine in LIBRARIES
        }
        self._dbt = dbt_sources(folder)

    def differences(self, made: Provenance) -> Iterable[str]:
        """In what the code that made something is not the commit's; nothing if it is.

        What does not say by which code it was made must have been made by this very commit.
        """
        commit, signed = str(made.outputs.get("git_commit", "")), made.outputs.get("step_code")
        if made.outputs.get("git_dirty") is not False:
            yield f"made by a tree that is not exactly commit {commit[:12]}"
        elif signed:
            if signed != (now := self._digest(made)):
                yield (
                    f"made by code {str(signed)[:12]} (commit {commit[:12]}), which is"
                    f" {now[:12] or 'not there'} at {self._commit[:12]}"
                )
        elif commit != self._commit:
            yield f"made by commit {commit[:12]}; it does not say by which code of it"
        if made.asset == MART_ASSET and made.outputs.get("dbt_sources") != self._dbt:
            yield f"made by another dbt project than {self._commit[:12]} has"

    def _digest(self, made: Provenance) -> str:
        step = made.step
        try:
            return self._steps[made.parameters.get("engine", DUCKDB)].digest(step)
        except (SyntaxError, ValueError) as error:
            why = f"the code of {step} at {self._commit[:12]} is no Python: {error}"
            raise VerificationError(
                reason(RootCause.CODE_VERSION_MISMATCH, why, artifact=step, remedy=_AS_MADE)
            ) from error


def _check_release(decision: Decision, policy: Policy) -> None:
    said = decision.summary
    if said.policy_digest != policy.digest:
        why = (
            f"it was decided under policy {said.policy_digest[:12]}, {policy.digest[:12]} is in"
            " force"
        )
        raise VerificationError(
            reason(ProductCause.DECISION_EXPIRED, why, artifact=CHAMPION, remedy=_DECIDE_ANEW)
        )


def _other_code(found: tuple[str, str]) -> Reason:
    asset, why = found
    return reason(RootCause.CODE_VERSION_MISMATCH, why, artifact=asset, remedy=_AS_MADE)
