"""What evidence says of a model, a run, a day, a score or a release: signed facts, by section.

Only statements that verified, down to the raw data, are read; what did not is in the verdict.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, reason
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Judgement, Materialisation, Node, Verified
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.statements.predicates import OF_PEOPLE
from fraud_provenance.investigate.chain import used_files
from fraud_provenance.investigate.subjects import verify_subject
from fraud_provenance.investigate.trace import Score, heads_of, is_transaction, trace_score
from fraud_provenance.investigate.why import Why
from fraud_provenance.models.champion import decisions_on
from fraud_provenance.models.facts import EVALUATION, MODEL
from fraud_provenance.models.registry import Registry

SECTIONS = (
    "inputs", "code", "lock", "parameters", "contracts", "policy", "approvals", "environment",
    "outputs", "metrics",
)  # fmt: skip
_RUN = re.compile(r"run:(?P<id>[0-9a-zA-Z-]{4,64})\Z")
_RELEASE = re.compile(r"release:(?P<version>[1-9][0-9]{0,5})\Z")
_TOLD_ELSEWHERE = frozenset(
    ("location", "git_commit", "git_dirty", "rows", "metrics", "environment_problems", "library",
     "dvc_md5", "decision", "model_signature", "ml_bom", "mlflow_run_id", "model_id")
)  # fmt: skip
"""Outputs that stand in a section of their own, or that are new with each run."""


@dataclass(frozen=True)
class Source:
    """One attested file that the subject is or was made from."""

    node: Materialisation
    entry: FileEntry
    rows: int | None = None


@dataclass
class Facts:
    """One subject. `sections`: section → name → value, all JSON; `files`: asset → place → file."""

    subject: str
    verdict: Verdict
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, dict[str, Source]] = field(default_factory=dict)
    focus: str = ""
    """The asset that the subject is a file of, where it is one."""
    score: Score | None = None
    why: Why | None = None

    def put(self, section: str, name: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
        """One fact; where a name has several values, because several runs made it, all of them."""
        known = self.sections.setdefault(section, {})
        if name in known and known[name] != value:
            values = known[name] if isinstance(known[name], list) else [known[name]]
            value = sorted({*map(str, values), str(value)})
        known[name] = value


def facts_of(trust: Trust, registry: Registry, subject: str) -> Facts:
    """Everything that is signed about one subject.

    Args:
        trust: The opened home.
        registry: Its model registry.
        subject: A transaction id, `asset/day`, a model, `run:ID`, `release:NUMBER`, or whatever
            else `subjects.verify_subject` knows.

    Raises:
        ConfigError: USAGE, nothing is known under this name.
    """
    if match := _RELEASE.match(subject):
        return _of_release(trust, int(match["version"]))
    if is_transaction(subject):
        traced = trace_score(trust, int(subject), why=True)
        facts = Facts(subject, traced.verdict, score=traced.score, why=traced.why)
        day = traced.score.day if traced.score else ""
        asked = trust.store.heads("transaction_scores").get(day, [])
    else:
        match = _RUN.match(subject)
        verdict = _of_run(trust, match["id"]) if match else verify_subject(trust, registry, subject)
        facts = Facts(subject, verdict)
        asked = heads_of(trust, subject)
    nodes = [trust.lineage().node(link.statement) for link in facts.verdict.links if link.statement]
    facts.focus = asked[0].asset if asked else ""
    models = {node.claims.subject for node in nodes
              if (made := node.claims.made) and made.asset == MODEL}  # fmt: skip
    known = {node.statement: node for node in [*nodes, *_decided(trust, models)]}
    _collect(
        facts, [node for node in known.values() if node.is_sound], {head.sha256 for head in asked}
    )
    return facts


def _decided(trust: Trust, models: Collection[str | None]) -> list[Node]:
    """The approvals that the deployment decisions on these models rest on."""
    decisions = decisions_on(trust, trust.policies.current(), "deploy")
    return [
        child
        for node in decisions
        if node.is_sound and node.claims.subject in models
        for child in node.children
        if child.kind == "approval"
    ]


def _of_run(trust: Trust, run: str) -> Verdict:
    """All that one run made."""
    lineage = trust.lineage()
    found = [
        node
        for record in trust.store.records(predicate_type=statements.PROVENANCE)
        if (made := (node := lineage.node(record.statement)).claims.made)
        and made.run_id.startswith(run)
    ]
    if not found:
        raise ConfigError(reason(RootCause.USAGE, f"no run {run} left evidence that verifies"))
    return lineage.verify(f"run:{run}", "diff", found, with_files=False)


def _collect(facts: Facts, nodes: Sequence[Node], asked: Collection[str]) -> None:
    used = used_files(nodes, asked)
    for node in nodes:
        mine = [entry for entry in node.entries if entry.sha256 in used]
        if isinstance(node, Materialisation) and mine:
            _materialisation(facts, node, mine)
        elif isinstance(node, Judgement) and mine:
            _contract(facts, node, mine)
        elif isinstance(node, Verified) and node.kind in OF_PEOPLE:
            said = node.bundle.statement.predicate
            facts.put("approvals", f"{node.kind} of {node.name}",
                      f"{node.bundle.identity.subject}: {said.get('reason', '')}")  # fmt: skip


def _materialisation(facts: Facts, node: Materialisation, entries: Iterable[FileEntry]) -> None:
    made = node.provenance
    asset, outputs = made.asset, made.outputs
    rows = outputs.get("rows")
    for entry in entries:
        if not entry.path.endswith(".leaves"):  # they follow from the scores beside them
            place = "the file" if asset == facts.focus else _place(asset, entry)
            count = rows.get(entry.partition) if isinstance(rows, dict) else None
            facts.files.setdefault(asset, {})[place] = Source(node, entry, count)
    facts.put("code", f"{asset}.commit", str(outputs.get("git_commit", "")))
    facts.put("code", f"{asset}.changed work tree", bool(outputs.get("git_dirty")))
    for name, value in made.parameters.items():
        if name != "partitions":
            facts.put("parameters", f"{asset}.{name}", value)
    for material in made.materials:
        if material.role in ("lock", "policy"):
            facts.put(material.role, asset, material.digest)
        if material.role in ("environment", "tool"):
            facts.put("environment", material.name, material.digest)
    for name in ("environment_problems", "library"):
        if outputs.get(name):
            facts.put("environment", f"{asset}.{name}", outputs[name])
    for name, value in _numbers(outputs.get("metrics", {})).items():
        facts.put("metrics", name, value)
    for name in sorted(outputs.keys() - _TOLD_ELSEWHERE):
        is_metric = asset == EVALUATION and isinstance(outputs[name], float)
        if not isinstance(outputs[name], dict) or not _is_by_partition(outputs[name], node):
            facts.put("metrics" if is_metric else "outputs", f"{asset}.{name}", outputs[name])


def _place(asset: str, entry: FileEntry) -> str:
    """A file's place that is the same in two versions; a model's id is another for each model."""
    if asset == MODEL:
        return entry.path
    return "the evaluation" if asset == EVALUATION else entry.partition


def _is_by_partition(value: Mapping[str, Any], node: Materialisation) -> bool:
    """Whether an output tells something of each partition: the files are compared, not this."""
    return not set(node.manifest.partitions).isdisjoint(value)


def _numbers(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if not isinstance(value, dict | list)}


def _contract(facts: Facts, node: Judgement, judged: Sequence[FileEntry]) -> None:
    found = node.contract
    days = {entry.partition for entry in judged}
    name = f"{found.suite} on {node.manifest.asset}"
    facts.put("contracts", f"{name}.suite", found.suite_digest)
    facts.put("contracts", f"{name}.checks", found.checks)
    for kind, findings in (("failed", found.failures), ("held", found.held),
                           ("warned", found.warnings)):  # fmt: skip
        told = sorted({f"{item.code}: {item.check}" for item in findings if item.day in days})
        if told:
            facts.put("contracts", f"{name}.{kind}", told)


def _of_release(trust: Trust, version: int) -> Facts:
    """One release: policy, trust root and tools, and who signed it."""
    known = {item.expectations.version: item for item in trust.policies.releases.chain().releases}
    if version not in known:
        why = f"there is no release {version}, the newest is {max(known, default=0)}"
        raise ConfigError(reason(RootCause.USAGE, why))
    release = known[version]
    nodes = [trust.lineage().node(statement) for statement in release.statements]
    facts = Facts(f"release:{version}", trust.lineage().verify(f"release:{version}", "diff", nodes))
    expected = release.expectations
    facts.put("policy", "policies", expected.policies)
    for name, digest in {**expected.trust, **expected.tools}.items():
        facts.put("environment", name, digest)
    for node in nodes:
        if (bundle := node.claims.bundle) is not None:
            why = str(bundle.statement.predicate.get("reason", ""))
            facts.put("approvals", bundle.identity.subject, why)
    return facts
