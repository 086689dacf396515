"""What a person complains about, and the newest earlier thing of its kind that was good."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from fraud_provenance.alerts import Alert
from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Materialisation, Node
from fraud_provenance.investigate.recipes import entry_of
from fraud_provenance.investigate.subjects import ALIASES, MODEL_NAMES, model_named, verify_subject
from fraud_provenance.investigate.trace import (
    alert_named,
    alert_subject,
    is_transaction,
    scored_day,
)
from fraud_provenance.models.champion import decisions_on, digest_of_model
from fraud_provenance.models.facts import MODEL, collect_model
from fraud_provenance.models.registration import registration_of
from fraud_provenance.models.registry import CHAMPION, Registry
from fraud_provenance.predictions.batch import SCORES

_DIGEST = re.compile(r"[0-9a-f]{8,64}\Z")
_GATES = ("release", "deploy")


@dataclass(frozen=True)
class Symptom:
    """One thing to explain.

    Attributes:
        subject: What it is called.
        verdict: Whether it holds.
        kind: `model`, `scores`, `day`, or "" for what is only verified.
        model: The digest of the model.
        asset: The asset of a day.
        day: The day.
        statement: The statement of the scores, where an earlier version is meant.
        transaction: The one transaction that is asked about, or None.
        refusal: The gate's decision that refused it.
        alert: The alert that it was told by.
    """

    subject: str
    verdict: Verdict
    kind: str = ""
    model: str = ""
    asset: str = ""
    day: str = ""
    statement: str = ""
    transaction: int | None = None
    refusal: Node | None = None
    alert: Alert | None = None


def symptom_of(trust: Trust, registry: Registry, subject: str) -> Symptom:
    """What a subject is, as `trace` spells it.

    Raises:
        ConfigError: USAGE, nothing is known under this name.
    """
    if subject.startswith("alert:"):
        return _of_alert(trust, registry, subject.removeprefix("alert:"))
    if is_transaction(subject):
        day = scored_day(trust, int(subject))
        verdict = verify_subject(trust, registry, f"{SCORES}/{day}")
        return Symptom(f"score of {subject}", verdict, "scores", asset=SCORES, day=day,
                       transaction=int(subject))  # fmt: skip
    digest = model_of(trust, registry, subject)
    verdict = verify_subject(trust, registry, subject)
    if digest:
        refusal = _refusal(trust, digest)
        return Symptom(subject, verdict, "model", model=digest, refusal=refusal)
    asset, _, day = subject.partition("/")
    if _DIGEST.match(subject):
        for head in trust.store.files_named(subject):
            asset, day = head.asset, head.partition
            kind = "scores" if asset == SCORES else "day"
            return Symptom(subject, verdict, kind, asset=asset, day=day, statement=head.statement)
    if day:
        return Symptom(subject, verdict, "scores" if asset == SCORES else "day", asset=asset,
                       day=day)  # fmt: skip
    return Symptom(subject, verdict)


def _of_alert(trust: Trust, registry: Registry, name: str) -> Symptom:
    """What an alert is about: a model that a gate refused, else what its text names."""
    alert = alert_named(trust, name)
    if alert.kind == "gate_refused":
        denied = [node for node in _denials(trust) if _codes(node) & words_of(alert)]
        if denied and (digest := denied[-1].claims.subject):
            found = verify_subject(trust, registry, digest)
            return Symptom(f"model {digest[:12]}", found, "model", model=digest,
                           refusal=denied[-1], alert=alert)  # fmt: skip
    try:
        subject, _ = alert_subject(trust, name)
    except ConfigError:
        empty = Verdict.of(f"alert {alert.id[:12]}", trust.environment, "blame", [])
        return Symptom(empty.subject, empty, alert=alert)
    return replace(symptom_of(trust, registry, subject), alert=alert)


def words_of(alert: Alert) -> set[str]:
    """The root causes that an alert names."""
    return set(re.findall(r"\b[A-Z][A-Z]+(?:_[A-Z]+)*\b", alert.text))


def _denials(trust: Trust) -> Iterator[Node]:
    """The decisions of this environment that refused a model, oldest first."""
    policy = trust.policies.current()
    found = [node for gate in _GATES for node in decisions_on(trust, policy, gate)]
    yield from sorted(filter(_is_denial, found), key=lambda node: node.claims.logged)


def _is_denial(decision: Node) -> bool:
    said = decision.claims.decided
    return said is not None and not said.allowed


def denial_reasons(decision: Node) -> list[dict[str, str]]:
    """The reasons of a gate's refusal, as it signed them."""
    notes = decision.signed().statement.predicate.get("annotations", {})
    return [dict(item) for item in notes.get("reasons", ())]


def _codes(decision: Node) -> set[str]:
    return {str(item.get("code")) for item in denial_reasons(decision)}


def _refusal(trust: Trust, digest: str) -> Node | None:
    """The newest decision about a model, if it refused."""
    policy = trust.policies.current()
    about = [node for gate in _GATES for node in decisions_on(trust, policy, gate, digest)
             if node.claims.subject == digest]  # fmt: skip
    newest = max(about, key=lambda node: node.claims.logged, default=None)
    return newest if newest and _is_denial(newest) else None


def model_of(trust: Trust, registry: Registry, subject: str) -> str:
    """The digest of the model that a subject names; "" where it names none."""
    named = model_named(subject)
    if subject in ALIASES or subject in MODEL_NAMES:
        named = (ALIASES.get(subject, CHAMPION), "")
    if named is None:
        asset, _, partition = subject.partition("/")
        if asset == MODEL and partition:
            return digest_of_model(trust, partition)
        if _DIGEST.match(subject):
            known = {record.subject_digest for record in trust.store.records(asset=MODEL)
                     if record.subject_digest.startswith(subject)}  # fmt: skip
            return known.pop() if len(known) == 1 else ""
        return ""
    alias, version = named
    try:
        known_as = registry.version(version) if version else registry.alias(alias)
        return digest_of_model(trust, known_as.model_id) if known_as else ""
    except ProvenanceError:
        return ""  # the verdict says what is wrong


# --- what was good --------------------------------------------------------------------------


def good_model(trust: Trust, digest: str) -> str:
    """The newest model before this one that holds and that no gate refused; "" for none."""
    policy = trust.policies.current()
    made = list(dict.fromkeys(link.statement for link in trust.store.chain(MODEL)))
    subjects = [trust.lineage().node(statement) for statement in made]
    digests = [node.claims.subject for node in subjects]
    before = digests[: digests.index(digest)] if digest in digests else digests
    for other in reversed(list(dict.fromkeys(filter(None, before)))):
        try:
            said = registration_of(trust, policy, other).claims.decided
            evidence = collect_model(trust, policy, other)
        except ProvenanceError:
            continue
        if other != digest and said and said.allowed and evidence.verdict.trusted:
            return other
    return ""


def good_scores(trust: Trust, day: str, newest: Node) -> tuple[Materialisation, str] | None:
    """The version of these scores before, else the newest earlier scored day, if it holds."""
    lineage = trust.lineage()
    own, made = entry_of(newest, day).sha256, newest.claims.made
    if made is None:
        raise newest.refusal()
    candidates = [head for head in reversed(trust.store.versions(SCORES, day))
                  if head.sequence < made.sequence and head.sha256 != own
                  and head.path.endswith(".parquet")]  # fmt: skip
    heads = trust.store.heads(SCORES)
    for other in sorted((name for name in heads if name < day), reverse=True):
        candidates += [head for head in heads[other] if head.path.endswith(".parquet")]
    for head in candidates:
        node = lineage.node(head.statement)
        if isinstance(node, Materialisation) and node.is_sound and head.sha256 not in node.revoked:
            return node, head.partition
    return None


def good_day(trust: Trust, asset: str, day: str) -> tuple[Materialisation, str, str] | None:
    """(statement, day, SHA-256) of the version before, else of the newest earlier day.

    It is sound, and passed its contracts.
    """
    heads = trust.store.heads(asset)
    own = {head.sha256 for head in heads.get(day, ())}
    candidates = [head for head in reversed(trust.store.versions(asset, day))
                  if head.sha256 not in own]  # fmt: skip
    for other in sorted((name for name in heads if name < day), reverse=True):
        candidates += heads[other]
    results = trust.store.contract_results(asset)
    for head in candidates:
        judged = results.get((head.partition, head.sha256), {})
        node = trust.lineage().node(head.statement)
        if not isinstance(node, Materialisation) or not node.is_sound:
            continue
        if judged and all(item.result == "PASSED" for item in judged.values()):
            return node, head.partition, head.sha256
    return None
