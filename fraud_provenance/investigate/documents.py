"""What regulators and validators read of a model, made from verified statements alone.

Which lines there are is said by the released policy (`policies/data/documents.json`): each takes
one value of one kind of statement, or of the policy, or says what the policy's authors sign by
releasing it. Each line names the statement that proves it; what no statement says is said to be
missing. The documents are derived: whoever verifies a file makes them again and compares.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import below
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements.statements import Statement
from fraud_provenance.investigate.proof_file import Subject
from fraud_provenance.models.facts import EVALUATION, MODEL
from fraud_provenance.predictions.batch import SCORES, read_batch
from fraud_provenance.predictions.log import batch_about

FOLDER = PLACE = "documents"
MISSING = "missing: no verified statement here says it"
_MARKDOWN = ".md"


@dataclass(frozen=True)
class Line:
    """One thing that is said. `proof`: the statements that say it, none where it is missing."""

    label: str
    value: str
    proof: tuple[str, ...]


def documents_of(trust: Trust, verdict: Verdict, subject: Subject) -> dict[str, bytes]:
    """Name → bytes of the documents about a file's model; none where the policy names none.

    Args:
        trust: The opened home, or that which a file makes.
        verdict: On the subject; one that is not trusted has no documents.
        subject: What the file is about.
    """
    model, links = model_of(trust, subject), [link.statement for link in verdict.links]
    policy = trust.policies.current()
    if not verdict.trusted or not model or f"data/{PLACE}.json" not in policy.contents:
        return {}
    plan = policy.data(PLACE)
    about = _About(plan["sources"], _bundles(trust, links, model), model)
    releases = tuple(sorted(policy.release_statements))
    found = {}
    for name, form in plan["documents"].items():
        parts = [
            (part["heading"], [line for row in part["rows"] for line in
                               _lines(row, about, policy.contents, releases)])
            for part in form["parts"]
        ]  # fmt: skip
        made = _markdown if name.endswith(_MARKDOWN) else _bill
        found[f"{FOLDER}/{name}"] = made(form["title"], model, trust.environment, parts)
    return found


def model_of(trust: Trust, subject: Subject) -> str:
    """The model that a file is about: its subject, or what made its score; else ""."""
    if subject.row is None:
        return subject.model
    newest = trust.store.heads(SCORES).get(subject.row.day, [])[:1]
    batch = batch_about(trust, trust.lineage().node(newest[0].statement)) if newest else None
    return read_batch(batch.signed().statement).model_digest if batch else ""


@dataclass(frozen=True)
class _About:
    sources: Mapping[str, Any]
    bundles: Sequence[VerifiedBundle]
    model: str

    def of(self, name: str) -> list[VerifiedBundle]:
        """The statements of one source, oldest first; the newest alone where it says so."""
        wanted = self.sources[name]
        found = [item for item in self.bundles if self._fits(wanted, item.statement)]
        found.sort(key=lambda item: item.logged)
        return found[-1:] if wanted["newest"] else found

    def _fits(self, wanted: Mapping[str, Any], said: Statement) -> bool:
        if said.predicate_type != wanted["type"]:
            return False
        if wanted["about_model"] and said.subject_digest != self.model:
            return False
        return all(value_at(said.predicate, one["at"]) == one["is"] for one in wanted["where"])


def _bundles(trust: Trust, links: Iterable[str], model: str) -> list[VerifiedBundle]:
    """What was said of this model, or measured of it, and all below: other models' is left out."""
    known = [trust.lineage().node(statement) for statement in links]
    begin = [node for node in known if node.claims.subject == model or (
        (made := node.claims.made) and made.asset == EVALUATION
        and any((item.name, item.digest) == (MODEL, model) for item in made.materials)
    )]  # fmt: skip
    found = (node.claims.bundle for node in below(begin))
    return [bundle for bundle in found if bundle is not None]


def value_at(document: Any, path: Sequence[Any]) -> Any:  # noqa: ANN401 - JSON
    """What stands at a path: names, places in a list, or {at, is}: a list's first item that has it.

    None where nothing does.
    """
    for part in path:
        if isinstance(part, Mapping) and isinstance(document, list):
            fits = [one for one in document if value_at(one, part["at"]) == part["is"]]
            document = fits[0] if fits else None
        elif isinstance(part, str) and isinstance(document, dict):
            document = document.get(part)
        elif isinstance(part, int) and isinstance(document, list) and part < len(document):
            document = document[part]
        else:
            return None
    return document


def _lines(
    row: Mapping[str, Any], about: _About, policy: Mapping[str, bytes], releases: tuple[str, ...]
) -> list[Line]:
    label = str(row["label"])
    if "says" in row:
        return [Line(label, str(row["says"]), releases)]
    if "policy" in row:
        content = policy.get(f"data/{row['policy']}.json")
        value = value_at(encoding.strict_json(content), row["at"]) if content else None
        return [_line(label, value, releases)]
    found = [
        _line(label, value_at(_document(item), row["at"]), (item.statement.digest,))
        for item in about.of(row["from"])
    ]
    told = [line for line in found if line.proof]
    return told or [Line(label, MISSING, ())]


def _line(label: str, value: Any, proof: tuple[str, ...]) -> Line:  # noqa: ANN401 - JSON
    if value is None or value in ("", [], {}):
        return Line(label, MISSING, ())
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, sort_keys=True)
    return Line(label, json.dumps(text, ensure_ascii=True)[1:-1].replace('\\"', '"'), proof)


def _document(bundle: VerifiedBundle) -> dict[str, Any]:
    """A statement as lines may speak of it."""
    said = bundle.statement
    return {
        "subject": said.subject_digest,
        "signer": bundle.identity.subject,
        "signed_at": encoding.utc_text(bundle.signed_at),
        "predicate": said.predicate,
    }


Parts = Sequence[tuple[str, Sequence[Line]]]


def _markdown(title: str, model: str, environment: str, parts: Parts) -> bytes:
    text = [f"# {title}", "", f"Model `{model}`, environment `{environment}`.", ""]
    text += ["Each line names the signed statement that proves it."]
    for heading, lines in parts:
        text += ["", f"## {heading}", ""]
        for line in lines:
            value = line.value.replace("`", "'")
            proof = ", ".join(f"`{item}`" for item in line.proof)
            text.append(f"- **{line.label}**: {value}" + (f" ({proof})" if proof else ""))
    return ("\n".join(text) + "\n").encode("utf-8")


def _bill(title: str, model: str, environment: str, parts: Parts) -> bytes:
    """CycloneDX 1.6: a property for each element, and beside it one with its proof."""
    properties = []
    for heading, lines in parts:
        for line in lines:
            name = f"{heading}: {line.label}"
            properties.append({"name": name, "value": line.value})
            properties += [{"name": f"{name} (proof)", "value": f"sha256:{item}"}
                           for item in line.proof]  # fmt: skip
    component = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{model}",
        "name": title,
        "properties": [{"name": "environment", "value": environment}, *properties],
    }
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component},
    }
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode()
