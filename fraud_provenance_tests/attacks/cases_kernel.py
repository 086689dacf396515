"""K1: what the kernel takes for verified."""

from collections.abc import Generator
from typing import Any

from fraud_provenance.evidence import encoding, statements
from fraud_provenance.evidence.layout import StepRule
from fraud_provenance.evidence.lineage import LineageVerifier
from fraud_provenance.evidence.manifest import FileEntry, Manifest
from fraud_provenance.evidence.nodes import Node
from fraud_provenance.evidence.statements import Material, Provenance
from fraud_provenance.gates import promotion
from fraud_provenance.gates.facts import MODEL
from fraud_provenance_tests.attacks.cases_other_models import evaluated_itself
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import promote
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import both, without
from fraud_provenance_tests.attacks.serving import (
    unchanged,
)

_material = LineageVerifier._material


def _any_material(
    self: LineageVerifier, node: Node, provenance: Provenance, material: Material, rule: StepRule
) -> Generator[str, Node, Manifest]:
    if material.role == "source":
        return (yield from _material(self, node, provenance, material, rule))
    node.children.append((yield material.decision))
    return self._manifest(material.digest, material.name)


any_statement_decides = both(
    lambda: patched(LineageVerifier, "_material", _any_material),
    without(promotion, "skew_problems", []),
)
"""A mutant: whatever valid statement a material names, it let the material be read."""


def unattested_training(kind: str, asset: str = "") -> Attack:
    """An attack: a model of bytes that nobody attested, read on the word of another statement.

    It is evaluated, registered and approved while the check is off, so that promotion judges it.
    """

    def attack(home: Home) -> None:
        store = home.workspace().store
        forged = encoding.digest_bytes(b"rows of the trainer's own")
        entry = FileEntry(path="training_set/x.parquet", partition="train", size=1, sha256=forged)
        view = Manifest.of("training_set", [entry])
        store.put_manifest(view)
        instead = store.records(predicate_type=kind, asset=asset)[0].statement

        def lie(predicate: dict[str, Any]) -> None:
            for item in predicate["buildDefinition"]["resolvedDependencies"]:
                if item["annotations"]["role"] == "input":
                    item["digest"]["sha256"] = view.digest
                    item["annotations"]["decision"] = instead

        with any_statement_decides():
            evaluated_itself(home, unchanged, lie=lie, made_from=[forged])

    return attack


CASES = [
    *(
        Case("K1", unattested_training(kind, asset), promote(), evaluated_itself,
             any_statement_decides, state="approved", variant=variant, quick=variant == "contract")
        for variant, kind, asset in (
            ("contract", statements.TEST_RESULT, ""),
            ("earlier model", statements.PROVENANCE, MODEL),
            ("policy release", statements.POLICY_RELEASE, ""),
        )
    ),
]  # fmt: skip
