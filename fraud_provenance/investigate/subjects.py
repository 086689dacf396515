"""From what a person types to the evidence meant: asset, partition, model, file or bundle."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from fraud_provenance.attested.core import codes, encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.disclosure import Finding
from fraud_provenance.attested.core.errors import (
    ConfigError,
    EvidenceError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.attested.statements.manifest import is_sha256
from fraud_provenance.attested.statements.statements import Contract
from fraud_provenance.attested.step.catalogue import held
from fraud_provenance.causes.data import DataCause
from fraud_provenance.causes.told import of_day
from fraud_provenance.investigate.online_store import definition_problems, online_problems
from fraud_provenance.models import promotion, registration
from fraud_provenance.models.champion import check_registered
from fraud_provenance.models.facts import MODEL, collect_model, signature_of
from fraud_provenance.models.registry import CANDIDATE, CHAMPION, Registry
from fraud_provenance.models.view_skew import FEATURE_STORE
from fraud_provenance.predictions.audit import chain_problems, read_chain, verify_predictions
from fraud_provenance.predictions.log import batch_problems

MODEL_NAMES = ("model", "fraud_model")
ALIASES = {"champion": CHAMPION, "release_candidate": CANDIDATE}  # assets that are decisions
_BATCH = re.compile(r"batch:(?P<number>[1-9][0-9]{0,9})\Z")
_DIGEST = re.compile(r"[0-9a-f]{8,64}\Z")
_MODEL = re.compile(r"(?P<name>[a-z_]+)(?:@(?P<alias>[a-z_]+)|:(?P<version>[0-9]+))\Z")


def verify_subject(
    trust: Trust, registry: Registry, subject: str, partitions: Collection[str] = ()
) -> Verdict:
    """The verdict on `subject`; every problem is in the verdict, none is raised.

    Args:
        trust: The opened home.
        registry: Its model registry.
        subject: `all`, `asset`, `asset/partition`, `model@alias`, `model:version`, `policies`,
            `predictions`, `batch:NUMBER`, a file, a bundle, or the beginning of the digest of a
            statement, a bundle, a manifest or a file.
        partitions: Those of the asset `subject` that the question is about; all by default.
    """
    try:
        if partitions:
            return _verify_partitions(trust, subject, *partitions)
        return _verify(trust, registry, subject)
    except ConfigError:
        raise
    except ProvenanceError as error:
        return Verdict.of(subject, trust.environment, "verify", [], list(error.reasons))


def model_named(subject: str) -> tuple[str, str] | None:
    """(alias, version) of `model@ALIAS` or `model:VERSION`, one of them empty; None for others."""
    match = _MODEL.match(subject)
    if not match or match["name"] not in MODEL_NAMES:
        return None
    return match["alias"] or "", match["version"] or ""


def _verify(trust: Trust, registry: Registry, subject: str) -> Verdict:
    if subject in ("all", "predictions", "policies"):
        return _verify_whole(trust, registry, subject)
    if match := _BATCH.match(subject):
        return _verify_batch(trust, subject, int(match["number"]))
    if named := model_named(subject):
        return _verify_model(trust, registry, *named)
    if _MODEL.match(subject):
        raise _unknown(subject)
    if subject in ALIASES:
        return _verify_model(trust, registry, ALIASES[subject], "")
    if subject in MODEL_NAMES and not trust.store.heads(subject):
        return _verify_model(trust, registry, CHAMPION, "")
    return _verify_named(trust, subject)


def _verify_named(trust: Trust, subject: str) -> Verdict:
    """A file, a digest, or an asset's partitions."""
    path = Path(subject)
    if path.is_file():
        return _verify_file(trust, path)
    if _DIGEST.match(subject):
        return _verify_digest(trust, subject)
    asset, _, partition = subject.partition("/")
    return _verify_partitions(trust, asset, *filter(None, [partition]))


def _verify_whole(trust: Trust, registry: Registry, subject: str) -> Verdict:
    if subject == "predictions":
        return verify_predictions(trust)
    return _verify_policies(trust) if subject == "policies" else _verify_all(trust, registry)


def _unknown(subject: str) -> ConfigError:
    return ConfigError(
        reason(
            RootCause.USAGE,
            f"{subject!r} is no asset, partition, model, file or bundle of this home",
        )
    )


def asset_roots(trust: Trust, asset: str, *partitions: str) -> list[Node]:
    """The newest version of partitions (all by default), with contracts and signatures."""
    lineage = trust.lineage()
    heads = trust.store.heads(asset)
    chosen = {name: heads.get(name, []) for name in partitions} if partitions else heads
    results = trust.store.contract_results(asset)
    found: dict[str, Node] = {}
    for day, versions in chosen.items():
        for head in versions:
            found[head.statement] = lineage.node(head.statement)
            for result in results.get((day, head.sha256), {}).values():
                found[result.statement] = lineage.node(result.statement)
            for accepted in lineage.acceptances(asset, day, head.sha256):
                found[accepted.statement] = accepted
    models = list(found.values()) if asset == MODEL else []
    return [
        *found.values(),
        *(signature_of(lineage, model) for model in models if model.claims.made),
    ]


def verify_assets(trust: Trust, assets: Sequence[str]) -> Verdict:
    """The newest version of every partition of `assets`, with evidence and files.

    What people revoked is no obstacle to the rest: each step leaves it out by itself.
    """
    lineage = trust.lineage()
    roots = {
        head.statement: lineage.node(head.statement)
        for asset in assets
        for heads in trust.store.heads(asset).values()
        for head in heads
    }
    return lineage.verify(", ".join(assets), "run", list(roots.values()), partitions={})


def _verify_partitions(trust: Trust, asset: str, *partitions: str) -> Verdict:
    layout = trust.policies.current().layout
    if not layout.producer(asset):
        raise _unknown(asset)
    roots = asset_roots(trust, asset, *partitions)
    named = " … ".join(dict.fromkeys([min(partitions), max(partitions)])) if partitions else ""
    name = f"{asset}/{named}" if named else asset
    if not roots:
        raise EvidenceError(
            reason(
                RootCause.PARTITION_MISSING,
                "nothing is attested under this name",
                artifact=asset,
                partition=named,
            )
        )
    failures = contract_reasons(trust, asset, *partitions)
    if asset == FEATURE_STORE:
        failures += definition_problems(trust) + online_problems(trust)
    wanted = _newest(trust, asset, *partitions)
    return trust.lineage().verify(name, "verify", roots, failures, partitions=wanted)


def _newest(trust: Trust, asset: str, *partitions: str) -> dict[str, set[str]]:
    """Statement → the partitions, of those asked for, of which it is the newest version.

    What was withdrawn among its others has been made again, and speaks against nothing.
    """
    wanted: dict[str, set[str]] = {}
    for day, heads in trust.store.heads(asset).items():
        for head in heads if not partitions or day in partitions else ():
            wanted.setdefault(head.statement, set()).add(day)
    return wanted


def contract_reasons(trust: Trust, asset: str, *partitions: str) -> list[Reason]:
    """Why the newest version of partitions (all by default) broke its contracts, or is held.

    One reason for each finding, with the contract's own root cause, from verified results, and for
    each held day one that names the command that frees it; the index only finds them. A result
    that does not verify is no reason here: it fails by itself. Nor is it one that a day has no
    rows, once a person declared it empty.
    """
    lineage = trust.lineage()
    results = trust.store.contract_results(asset)
    waived = lineage.waivers(asset)
    found: list[Reason] = []
    for day, heads in trust.store.heads(asset).items():
        if partitions and day not in partitions:
            continue
        for suite, result in results.get((day, heads[0].sha256), {}).items():
            said = lineage.node(result.statement).claims.said
            contract = said if isinstance(said, Contract) else None
            if result.result == "FAILED" and day in waived and _is_empty(contract, day):
                continue
            if result.result == "FAILED":
                found += _findings(asset, day, suite, contract.failures if contract else ())
            elif result.result != "PASSED" and contract:
                held_by = contract.held_findings(day)
                if not lineage.accepting((asset, day, heads[0].sha256), suite, held_by):
                    found += [*_findings(asset, day, suite, held_by), held(asset, day, suite)]
    return found


def _is_empty(contract: Contract | None, day: str) -> bool:
    """Whether all that a contract found is that the day has no rows."""
    found = {item.code for item in contract.failures if item.day == day} if contract else set()
    return found == {DataCause.EMPTY_PARTITION}


def _findings(asset: str, day: str, suite: str, findings: Sequence[Finding]) -> list[Reason]:
    place = {"artifact": asset, "partition": day}
    own = [
        reason(
            finding.code,
            f"{finding.column or 'the day'}: not true that {finding.check.replace('_', ' ')}"
            + (f" ({finding.rows} rows)" if finding.rows else ""),
            remedy=of_day(codes.remedy(finding.code), asset, day),
            **place,
        )
        for finding in findings
        if finding.day == day
    ]
    return own or [reason(RootCause.CHECK_FAILED, f"{suite} failed", **place)]


def _verify_model(trust: Trust, registry: Registry, alias: str, version: str) -> Verdict:
    if alias == CHAMPION:
        verdict, _ = promotion.champion_verdict(trust, registry)
        return verdict
    named = registry.version(version) if version else registry.alias(alias)
    if named is None:
        raise EvidenceError(
            reason(RootCause.EVIDENCE_MISSING, f"the registry has no {alias or version}")
        )
    policy = trust.policies.current()
    digest = promotion.digest_of_model(trust, named.model_id)
    evidence = collect_model(trust, policy, digest)
    check_registered(registry, named, evidence)
    if alias != CANDIDATE:
        return evidence.verdict
    decision = registration.registration_of(trust, policy, digest)
    said = decision.claims.decided
    why = reason(RootCause.GATE_DENIED, "its registration was denied", artifact=decision.name)
    roots = [decision, evidence.model, evidence.evaluation, evidence.signature]
    denied = [why] if said and not said.allowed else []
    return trust.lineage(policy).verify(f"{MODEL}@{alias}", "verify", roots, denied)


def _verify_policies(trust: Trust) -> Verdict:
    policy = trust.policies.current()
    lineage = trust.lineage(policy)
    nodes = [lineage.node(statement) for statement in policy.release_statements]
    return lineage.verify("policies", "verify", nodes)


def _verify_file(trust: Trust, path: Path) -> Verdict:
    """A bundle of the store, or a data file that some statement attests."""
    content = files.read_once(path)
    if path.name.endswith(".json") and b'"dsseEnvelope"' in content[:100_000]:
        bundle = trust.bundles.verify(content)
        node = trust.lineage().node(bundle.statement.digest)
        return trust.lineage().verify(path.name, "verify", [node])
    digest = encoding.digest_bytes(content)
    statement = trust.store.statement_of_file(digest)
    if not statement:
        raise VerificationError(
            reason(
                RootCause.DIGEST_MISMATCH,
                f"no evidence attests these bytes (sha256 {digest[:12]})",
                artifact=path.name,
            )
        )
    return trust.lineage().verify(path.name, "verify", [trust.lineage().node(statement)])


def _verify_batch(trust: Trust, subject: str, number: int) -> Verdict:
    """One batch of the prediction log, with its scores, its model and its decision."""
    _, chain, _ = read_chain(trust)
    found = next((item for item in chain if item.batch.sequence == number), None)
    if found is None:
        why = f"the prediction log has no batch {number} that verifies"
        raise EvidenceError(reason(RootCause.EVIDENCE_MISSING, why, artifact=subject))
    lineage, batch = trust.lineage(), found.batch
    scores = lineage.node(batch.scores_statement) if batch.scores_statement else None
    problems = batch_problems(trust, batch, scores, found.bundle.statement.subject_digest)
    roots = [found.node, lineage.node(batch.decision), *([scores] if scores else [])]
    return lineage.verify(subject, "verify", roots, problems)


def _verify_digest(trust: Trust, digest: str) -> Verdict:
    """Whatever one digest names: a statement, a bundle, a model, or the newest of a file."""
    found: dict[str, str] = {}
    for record in trust.store.records():
        if record.statement.startswith(digest) or record.bundle.startswith(digest):
            found[record.statement] = f"{record.subject_name} {record.statement[:12]}"
        elif record.asset and record.subject_digest.startswith(digest):
            found[record.subject_digest] = record.statement
    files = trust.store.files_named(digest)
    for head in files:
        found[head.sha256] = head.statement
    if len(found) != 1:
        why = f"{digest!r} names {len(found)} things that evidence knows"
        raise ConfigError(reason(RootCause.USAGE, why))
    ((named, other),) = found.items()
    statement = other if is_sha256(other) else named
    name = other if statement == named else f"{digest} ({statement[:12]})"
    judged = {result.statement for head in files
              for result in trust.store.contract_results(head.asset).get(
                  (head.partition, head.sha256), {}).values()}  # fmt: skip
    lineage = trust.lineage()
    roots = [lineage.node(item) for item in (statement, *sorted(judged))]
    return lineage.verify(name, "verify", roots)


def _verify_all(trust: Trust, registry: Registry) -> Verdict:
    """Policies, every asset's newest partitions and, where there is one, the champion."""
    policy = trust.policies.current()
    lineage = trust.lineage(policy)
    roots = [lineage.node(statement) for statement in policy.release_statements]
    wanted: dict[str, set[str]] = {}
    for rule in policy.layout.steps.values():
        if rule.produces:
            roots += asset_roots(trust, rule.produces)
            wanted |= _newest(trust, rule.produces)
    extra = trust.store.problems() + lineage.versions.vanished()
    extra += definition_problems(trust) + online_problems(trust)
    _, chain, unreadable = read_chain(trust)
    extra += unreadable + chain_problems(trust, chain)
    if promotion.was_promoted(trust, registry):
        verdict, champion = promotion.champion_verdict(trust, registry)
        extra += list(verdict.reasons)
        if champion:
            roots += [champion.decision, champion.evidence.signature]
    return lineage.verify("all", "verify", roots, extra, partitions=wanted)
