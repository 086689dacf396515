"""From what a person wants back to its seeds: a day, file, model, commit, package, person, policy.

Beside it the rows: a score of a recalled day counts only if one of its windows really holds a row
of it, by the second definition of the features.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError, Reason, reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Node, Verified
from fraud_provenance.attested.statements import identities, statements
from fraud_provenance.attested.statements.statements import Identity, Provenance, Summary
from fraud_provenance.investigate.chain import ranges
from fraud_provenance.investigate.past import Past
from fraud_provenance.investigate.reach import Reach, Seeds, batches_of, reach_of
from fraud_provenance.investigate.subjects import model_named
from fraud_provenance.models import promotion
from fraud_provenance.models.facts import MODEL
from fraud_provenance.models.registry import Registry

if TYPE_CHECKING:
    from fraud_provenance.investigate.touching import Rows

_DIGEST = re.compile(r"[0-9a-f]{8,64}\Z")
_COMMIT = re.compile(r"[0-9a-f]{7,64}\Z")
_PACKAGE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[a-z,]+\])?(?:==(?P<version>\S+))?\Z"
)


_AGAIN = {
    "raw_transactions": "import the day again, or roll it back to an earlier version, then run",
    MODEL: "fraud-provenance run trains another one; it has to be approved",
    "transaction_scores": "fraud-provenance run, with --score for days before the newest",
}


_MADE = ("raw_transactions", "transaction_features", "feature_store", "training_set", MODEL,
         "model_evaluation", "transaction_scores")  # fmt: skip


def _place(item: tuple[str, list[str]]) -> int:
    """What is made first comes first."""
    return _MADE.index(item[0]) if item[0] in _MADE else len(_MADE)


@dataclass
class Recall:
    """What is recalled and all that was built on it.

    Attributes:
        subject: As it was typed.
        kind: `partition`, `model` or `statement`: what a revocation would name.
        name: What the revocation would be about.
        partition: Its partition, where it is one.
        digests: What the revocation would name: files, a model or statements.
        reach: All that was built on it.
        problems: Why the answer may not be whole.
        rows: Asset and day → rows that are really touched, where that was asked for.
    """

    subject: str
    kind: str
    name: str
    partition: str
    digests: tuple[str, ...]
    reach: Reach
    problems: list[Reason] = field(default_factory=list)
    rows: "Rows | None" = None

    @property
    def exit_code(self) -> int:
        """0 the answer is whole; 1 something is refused; 2 something could not be looked at."""
        found = [*self.problems, *self.reach.refused]
        return ProvenanceError(*found).exit_code if found else 0

    @property
    def batches(self) -> list[int]:
        """The numbers of the prediction batches that log recalled scores."""
        return batches_of(self.reach)

    @property
    def rebuild(self) -> list[str]:
        """What must be made again once it is withdrawn, in order, with what does that."""
        lines = []
        for asset, days in sorted(self.reach.partitions(current=True).items(), key=_place):
            how = _AGAIN.get(asset, "fraud-provenance run")
            lines.append(f"{asset} {ranges(days)}: {how}")
        return lines

    @property
    def headline(self) -> str:
        """One sentence: how much was built on it."""
        found = [*self.problems, *self.reach.refused]
        if found:
            return f"the reach of {self.subject} cannot be told for certain: {found[0]}"
        if not self.reach.touched and not self.reach.statements:
            return f"nothing was built on {self.subject}"
        models = len({item.node.statement for item in self.reach.of(MODEL)})
        return (
            f"{self.subject}: {sum(self.reach.scores.values()):,} scores "
            f"(days: {len(self.reach.scores)}), models: {models}, files in all: "
            f"{len(self.reach.touched)}"
        )


@dataclass(frozen=True)
class _Target:
    kind: str
    name: str
    seeds: Seeds
    digests: tuple[str, ...] = ()  # none: the statements chosen
    partition: str = ""
    problems: tuple[Reason, ...] = ()


def recall(
    trust: Trust, registry: Registry, project: Path, subject: str, *, rows: bool = False
) -> Recall:
    """All that was built on `subject`.

    Args:
        trust: The opened home.
        registry: Its model registry.
        project: The work tree, whose repository knows the locks of the past.
        subject: `asset/day`, a file or the beginning of its digest, a model, `commit:ID`,
            `package:NAME[==VERSION]`, `person:EMAIL`, `identity:NAME`, `policy:DIGEST` or
            `release:NUMBER`.
        rows: Look into the rows' windows as well.

    Raises:
        ConfigError: USAGE, nothing is known under this name.
    """
    target = _target(trust, registry, project, subject)
    reach = reach_of(trust, target.seeds)
    digests = target.digests or tuple(sorted({node.statement for node in reach.seeds}))
    if not (target.problems or (digests and (reach.seeds or reach.touched))):
        raise _unknown(subject)
    found = Recall(subject, target.kind, target.name, target.partition, digests, reach,
                   list(target.problems))  # fmt: skip
    if rows:
        from fraud_provenance.investigate.touching import rows_of

        found.rows = rows_of(trust, reach)
        found.problems += found.rows.problems
    return found


def _target(trust: Trust, registry: Registry, project: Path, subject: str) -> _Target:
    kind, _, name = subject.partition(":")
    if named := model_named(subject):
        return _model(trust, registry, subject, *named)
    if kind == "commit" and _COMMIT.match(name):
        return _statements(subject, lambda node: _commit_of(node).startswith(name))
    if kind == "package" and (match := _PACKAGE.match(name)):
        return _package(trust, project, match["name"].lower(), match["version"] or "")
    if kind in ("person", "identity") and name:
        return _person(trust, subject, identities.named(name))
    if kind in ("policy", "release") and name:
        return _policy(trust, subject, _policy_digests(trust, kind, name))
    return _files(trust, subject)


def _statements(
    name: str, chosen: Callable[[Node], bool], problems: Iterable[Reason] = ()
) -> _Target:
    return _Target("statement", name, Seeds(chosen=chosen), problems=tuple(problems))


def _unknown(subject: str) -> ConfigError:
    return ConfigError(reason(RootCause.USAGE, f"{subject!r} is nothing that evidence knows"))


def _files(trust: Trust, subject: str) -> _Target:
    """A partition, a file, or what a digest names."""
    asset, _, day = subject.partition("/")
    heads = trust.store.heads(asset).get(day, []) if day else []
    if heads:
        digests = tuple(sorted({head.sha256 for head in heads}))
        return _Target("partition", asset, Seeds(frozenset(digests)), digests, day)
    path = Path(subject)
    digest = encoding.digest_bytes(files.read_once(path)) if path.is_file() else subject
    if not _DIGEST.match(digest):
        raise _unknown(subject)
    found = {head.sha256: (head.asset, head.partition) for head in trust.store.files_named(digest)}
    models = {record.subject_digest for record in trust.store.records(asset=MODEL)
              if record.subject_digest.startswith(digest)}  # fmt: skip
    if len(models) == 1 and not found:
        return _of_model(models.pop())
    records = trust.store.records()
    named = {item.statement for item in records
             if item.statement.startswith(digest) or item.bundle.startswith(digest)}  # fmt: skip
    if len(named) == 1 and not found:
        statement = named.pop()
        return _statements(subject, lambda node: node.statement == statement)
    if not found and not named and len(digest) == 64:  # of the landing zone, if of anything
        return _Target("partition", "landing", Seeds(frozenset({digest})), (digest,))
    if len(found) != 1:
        raise _unknown(subject)
    ((sha256, (asset, day)),) = found.items()
    return _Target("partition", asset, Seeds(frozenset({sha256})), (sha256,), day)


def _model(trust: Trust, registry: Registry, subject: str, alias: str, version: str) -> _Target:
    named = registry.version(version) if version else registry.alias(alias)
    if named is None:
        raise _unknown(subject)
    return _of_model(promotion.digest_of_model(trust, named.model_id))


def _of_model(digest: str) -> _Target:
    def chosen(node: Node) -> bool:
        made = node.claims.made
        return made is not None and made.asset == MODEL and node.claims.subject == digest

    return _Target("model", MODEL, Seeds(chosen=chosen), (digest,))


def _commit_of(node: Node) -> str:
    return str(node.claims.made.outputs.get("git_commit", "")) if node.claims.made else ""


def _package(trust: Trust, project: Path, name: str, version: str) -> _Target:
    """What was made with a lock that names a package, or by a library that says it is this one."""
    past = Past(trust, project)
    problems: list[Reason] = []
    known: dict[tuple[str, str], bool] = {}

    def has(commit: str, digest: str) -> bool:
        if (commit, digest) not in known:
            known[commit, digest] = False
            try:
                pins = past.lock(commit, digest)
                found = {pin.partition("[")[0]: number for pin, number in pins.items()}
                known[commit, digest] = name in found and version in ("", found[name])
            except ProvenanceError as error:
                problems.extend(error.reasons)
        return known[commit, digest]

    def chosen(node: Node) -> bool:
        made = node.claims.made
        if made is None:
            return False
        library = made.outputs.get("library")
        if isinstance(library, dict) and library.get("name") == name:
            return version in ("", library.get("version"))
        lock = made.material("lock")
        return lock is not None and has(_commit_of(node), lock.digest)

    lineage = trust.lineage()
    records = trust.store.records(predicate_type=statements.PROVENANCE)
    picked = {item.statement for item in records if chosen(lineage.node(item.statement))}
    full = f"package:{name}" + (f"=={version}" if version else "")
    return _statements(full, lambda node: node.statement in picked, problems)


def _person(trust: Trust, subject: str, identity: Identity) -> _Target:
    """What somebody signed, and what was done under a policy that they released."""
    layout = trust.policies.current().layout
    known = {identities.person(identity)}
    for principal in layout.principals:
        own = {identities.person(item) for item in principal.identities}
        is_person = identity.issuer == identities.PEOPLE and identities.person(identity) in own
        known |= own if is_person else set()
    lineage = trust.lineage()
    released = {
        node.bundle.statement.subject_digest
        for record in trust.store.records(predicate_type=statements.POLICY_RELEASE)
        if isinstance(node := lineage.node(record.statement), Verified)
        and identities.person(node.bundle.identity) in known
    }  # fmt: skip
    policies = _under(released)

    def chosen(node: Node) -> bool:
        bundle = node.claims.bundle
        signed = bundle is not None and identities.person(bundle.identity) in known
        return (signed and node.kind != "revocation") or policies(node)

    return _statements(subject, chosen)


def _policy_digests(trust: Trust, kind: str, name: str) -> set[str]:
    releases = trust.policies.releases.chain().releases
    return {
        item.expectations.policies
        for item in releases
        if (str(item.expectations.version) == name if kind == "release"
            else item.expectations.policies.startswith(name) and _DIGEST.match(name))
    }  # fmt: skip


def _policy(trust: Trust, subject: str, digests: set[str]) -> _Target:
    if len(digests) != 1:
        raise _unknown(subject)
    return _statements(subject, _under(digests))


def _under(policies: Sequence[str] | set[str]) -> Callable[[Node], bool]:
    """Whether something was made, judged, decided or approved under one of these policies."""

    def chosen(node: Node) -> bool:
        bundle, said, _ = node.claims
        match said:
            case Provenance():
                material = said.material("policy")
                return material is not None and material.digest in policies
            case Summary():
                return said.policy_digest in policies
        if node.kind == "policy":
            return node.claims.subject in policies
        return bundle is not None and bundle.statement.predicate.get("policy_digest") in policies

    return chosen
