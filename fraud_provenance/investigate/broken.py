"""Links that do not hold, each as a cause: what was changed, is gone, withdrawn or not to be had.

What speaks against a thing by its own bytes is a cause wherever it stands; what only follows from
something else being gone or changed is one where nothing else is left.
"""

import re
from collections.abc import Iterable, Sequence

from fraud_provenance.attested.core.codes import is_undecided
from fraud_provenance.attested.core.errors import ProvenanceError, Reason
from fraud_provenance.attested.core.verdict import Link, Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.policy import read_policies
from fraud_provenance.attested.lineage.nodes import Node, Verified, below
from fraud_provenance.attested.lineage.versions import DEPLOYMENTS
from fraud_provenance.attested.rules.expectations import policy_difference
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.people import Revocation
from fraud_provenance.attested.statements.predicates import PREDICATES
from fraud_provenance.attested.store.rows import Record
from fraud_provenance.investigate.causes import (
    INFRASTRUCTURE,
    MISSING,
    REVOCATION,
    TAMPERING,
    Cause,
    links_of,
    signer_of,
)
from fraud_provenance.investigate.recipes import path_to

_REVOKED, _BY_PEOPLE = "_REVOKED", "revoked by "
_GONE = frozenset(("ARTIFACT_MISSING", "EVIDENCE_MISSING", "DECISION_MISSING", "PARTITION_MISSING"))
_BY_ITSELF = frozenset((
    "DIGEST_MISMATCH", "ARTIFACT_MISSING", "EVIDENCE_TAMPERED", "UNATTESTED_FILE",
    "PARTITION_MUTATED_AFTER_ATTESTATION", "SUBJECT_PARTITION_MISMATCH",
))  # fmt: skip
"""Root causes that are told by a thing's own bytes, and so follow from nothing else."""
SERVERS = {
    "LOG_UNAVAILABLE": "log", "PREDLOG_UNAVAILABLE": "log", "WITNESS_UNAVAILABLE": "witness",
    "TIMESTAMP_UNAVAILABLE": "timestamp authority", "AUTHORITY_UNAVAILABLE": "authority",
    "POLICY_UNAVAILABLE": "policy engine", "STORAGE_UNAVAILABLE": "disk",
    "REGISTRY_UNAVAILABLE": "registry", "TOOL_UNAVAILABLE": "tools", "GIT_UNAVAILABLE": "git",
    "CLOCK_BEHIND": "clock",
}  # fmt: skip
_ROLES = {
    row.uri: row.kind for row in PREDICATES.values() if row.signer != "own" and row.is_written
} | {statements.POLICY_RELEASE: "policies"}
"""What a statement is called that is of no asset, suite or gate."""
_OF_POLICY = frozenset((
    "POLICY_DIGEST_MISMATCH", "EXPECTATION_CHANGE_UNAPPROVED", "POLICY_ROLLBACK",
))  # fmt: skip
_ABOUT = re.compile(r"bundle [0-9a-f]{12} \((?P<name>.+)\)\Z")
_DEPLOYMENT = "deploy decision"
_NO_BUNDLE = "no bundle carries statement "
_NAMED = re.compile(r"\b(?:statement|bundle) (?P<digest>[0-9a-f]{12})")


def broken_causes(trust: Trust | None, verdict: Verdict) -> list[Cause]:
    """The links that do not hold: each that is broken by itself, else those nearest to raw data.

    `trust` is None where the home cannot be opened: then the reasons are all there is.
    """
    found = faults(trust, verdict) + withdrawn(trust, verdict)
    found += [_broken(trust, item, verdict) for item in verdict.reasons if _is_by_itself(item)]
    found += [cause for item in verdict.reasons for cause in _edited_policy(trust, item, verdict)]
    if not found:
        nearest = verdict.reasons[0].distance if verdict.reasons else 0
        first = [item for item in verdict.reasons if item.distance == nearest]
        known = [item for item in first if str(item.code) not in _GONE] or first
        found = [_broken(trust, item, verdict) for item in known]
    return unique(found)


def _is_by_itself(item: Reason) -> bool:
    """Whether a reason is told by a thing's own bytes, or by a statement's not being there."""
    return str(item.code) in _BY_ITSELF or item.message.startswith(_NO_BUNDLE)


def faults(trust: Trust | None, verdict: Verdict) -> list[Cause]:
    """What could not be asked."""
    undecided = [item for item in verdict.reasons if is_undecided(item.code)]
    plain = [item for item in undecided if str(item.code) in SERVERS] or undecided
    return unique(_fault(trust, item, verdict) for item in plain)


def withdrawn(trust: Trust | None, verdict: Verdict) -> list[Cause]:
    """What people took back of all that the subject was made from."""
    of_people = [item for item in verdict.reasons if is_of_people(item)]
    if not of_people or trust is None:
        return []
    records = trust.store.records(predicate_type=statements.REVOCATION)
    nodes = [trust.lineage().node(record.statement) for record in records]
    said = [node for node in nodes if isinstance(node, Verified)]
    tops = _tops(trust, verdict)
    found = [_revoked(trust, item, verdict, said, tops) for item in of_people]
    used = _used(tops, verdict.subject.partition("/")[2])
    for node in said:
        told = statements.read(node.bundle.statement, Revocation)
        if told.kind == "partition" and used.intersection(told.digests):
            name = f"{told.artifact}/{told.partition}"
            found.append(_taken_back(name, told.reason, node, tops))
    return unique(found)


def is_of_people(item: Reason) -> bool:
    """Whether a reason is that somebody withdrew something."""
    return str(item.code).endswith(_REVOKED) and item.message.startswith(_BY_PEOPLE)


def _tops(trust: Trust, verdict: Verdict) -> list[Node]:
    """The statements of a verdict that no other one of it rests on."""
    lineage = trust.lineage()
    nodes = [lineage.node(link.statement) for link in verdict.links if link.statement]
    under = {child.statement for node in nodes for child in below(node.children)}
    return [node for node in nodes if node.statement not in under] or nodes


def _used(tops: Iterable[Node], day: str) -> set[str]:
    """SHA-256 of all that the subject was made from, partition by partition."""
    return {
        version[2]
        for node in _made(tops)
        for entry, versions in node.rests.items()
        if entry.partition == day or not _is_day(day)
        for version in versions
    }


def _made(tops: Iterable[Node]) -> list[Node]:
    """The first materialisations below some statements."""
    found, waiting = [], list(tops)
    while waiting:
        node = waiting.pop()
        if node.claims.made is not None:
            found.append(node)
        else:
            waiting += node.children
    return found


def _taken_back(name: str, why: str, node: Verified, tops: Sequence[Node]) -> Cause:
    """A revocation as a cause: from the subject to what was withdrawn, and who signed that."""
    who, at = signer_of(node)
    digests = set(statements.read(node.bundle.statement, Revocation).digests)
    attested = [other for other in below(tops) if other.claims.made
                and any(entry.sha256 in digests for entry in other.entries)]  # fmt: skip
    ways = (path_to(tops, other.statement, to_broken=True) for other in attested)
    way = next(filter(None, ways), ())
    return Cause(REVOCATION, name, f"revoked by {who} at {at}: {why}", who=who, at=at,
                 path=links_of([*way, node]), is_broken=True)  # fmt: skip


def unique(causes: Iterable[Cause]) -> list[Cause]:
    """One of each name: what was changed and is told twice is one cause."""
    found: dict[str, Cause] = {}
    for cause in causes:
        found.setdefault(cause.name, cause)
    return list(found.values())


def _name(trust: Trust | None, item: Reason) -> str:
    """What a reason is about: a statement by its role, anything else by asset and day."""
    named = _NAMED.search(f"{item.artifact} {item.message}")
    if named and trust is not None and "bundle" in f"{item.artifact} {item.message}":
        record = next((record for record in trust.store.records() if named["digest"] in
                       (record.statement[:12], record.bundle[:12])), None)  # fmt: skip
        if record is not None:
            return role_of_record(record)
    about = _ABOUT.match(item.artifact)
    if item.artifact == DEPLOYMENTS:
        return _DEPLOYMENT
    day = item.partition if _is_day(item.partition) else ""
    return "/".join(filter(None, (about["name"] if about else item.artifact, day)))


def role_of_record(record: Record) -> str:
    """What a stored statement is, by the index: its asset, suite, gate or kind."""
    if record.predicate_type == statements.VERIFICATION_SUMMARY:
        return f"{record.step} decision"
    return record.suite or _ROLES.get(record.predicate_type) or record.asset or record.subject_name


def _is_day(partition: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", partition or ""))


def _path(trust: Trust | None, verdict: Verdict, item: Reason) -> tuple[Link, ...]:
    """From the subject down to the link that does not hold; that link alone where there is none."""
    place = (item.code, item.artifact, item.partition)
    broken = [link for link in verdict.links if any(
        (why.code, why.artifact, why.partition) == place for why in link.reasons)]  # fmt: skip
    last = Link(kind="link", name=item.artifact or verdict.subject, reasons=(item,),
                partitions=(item.partition,) * bool(item.partition))  # fmt: skip
    if not broken or trust is None:
        return (last,)
    lineage = trust.lineage()
    for link in verdict.links:
        if link.statement:
            way = path_to([lineage.node(link.statement)], broken[0].statement, to_broken=True)
            if way:
                return (*links_of(way[:-1]), broken[0])
    return (broken[0],)


def _broken(trust: Trust | None, item: Reason, verdict: Verdict) -> Cause:
    kind = MISSING if str(item.code) in _GONE else TAMPERING
    return Cause(kind, _name(trust, item) or verdict.subject, str(item),
                 path=_path(trust, verdict, item), who=item.identity, at=item.at,
                 is_broken=True)  # fmt: skip


def _edited_policy(trust: Trust | None, item: Reason, verdict: Verdict) -> list[Cause]:
    """Each file of the policy that is not what the release in force fixes."""
    if str(item.code) not in _OF_POLICY or trust is None:
        return []
    engine = trust.policies
    try:
        released = engine.releases.manifest(engine.releases.head())
        found, _ = read_policies(engine.folder)
    except ProvenanceError:
        return []  # the reason itself is all that is known
    digests = [{entry.path: entry.sha256 for entry in side.entries} for side in (released, found)]
    return [
        Cause(TAMPERING, f"policies/{name}", str(item), path=_path(trust, verdict, item),
              is_broken=True)
        for name in policy_difference(*digests)
    ]  # fmt: skip


def _fault(trust: Trust | None, item: Reason, verdict: Verdict) -> Cause:
    name = SERVERS.get(str(item.code), "")
    name = name or next((word for word in ("registry", "log", "disk", "clock") if word in
                         item.message), str(item.code).lower())  # fmt: skip
    return Cause(INFRASTRUCTURE, name, str(item), path=_path(trust, verdict, item), is_broken=True)


def _revoked(
    trust: Trust, item: Reason, verdict: Verdict, said: Sequence[Verified], tops: Sequence[Node]
) -> Cause:
    name = _name(trust, item)
    if str(item.code) == "APPROVAL_REVOKED":
        name = _ROLES[statements.APPROVAL]
    for node in said:
        told = statements.read(node.bundle.statement, Revocation)
        if (told.artifact, told.partition) == (item.artifact, item.partition) and told.partition:
            return _taken_back(name, told.reason, node, tops)
    return Cause(REVOCATION, name or verdict.subject, item.message,
                 path=_path(trust, verdict, item), who=item.identity, at=item.at,
                 is_broken=True)  # fmt: skip
