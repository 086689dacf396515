"""K1, AP-10: what the kernel takes for verified, and what it goes by when it looks for bytes."""

from collections.abc import Callable, Generator
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.lineage import demands
from fraud_provenance.attested.lineage.artifacts import Artifacts
from fraud_provenance.attested.lineage.demands import Demands
from fraud_provenance.attested.lineage.nodes import Draft, Node
from fraud_provenance.attested.rules.layout import StepRule
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.statements import Material, Provenance
from fraud_provenance.attested.step.inputs import VerifiedInput
from fraud_provenance.attested.step.step import Step
from fraud_provenance.models import promotion
from fraud_provenance.models.facts import MODEL
from fraud_provenance_tests.attacks.cases_evidence import approve
from fraud_provenance_tests.attacks.cases_other_models import evaluated_itself, sign_model
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import promote
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import both, without
from fraud_provenance_tests.attacks.serving import (
    TREES,
    load,
    model_folder,
    other_trees,
    resign,
    unchanged,
)

_material = Demands._material


def _any_material(
    self: Demands, draft: Draft, provenance: Provenance, material: Material, rule: StepRule
) -> Generator[str, Node, Manifest]:
    if material.role == "source":
        return (yield from _material(self, draft, provenance, material, rule))
    draft.children.append((yield material.decision))
    return self.permissions.manifest(material.digest, material.name)


any_statement_decides = both(
    lambda: patched(Demands, "_material", _any_material),
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


def overwrite(change: Callable[[bytes], bytes]) -> Attack:
    """An attack: the model's bytes are changed after the approval and signed under the same id."""

    def attack(home: Home) -> None:
        folder = model_folder(home)
        trees = folder / TREES
        trees.write_bytes(change(trees.read_bytes()))
        outputs = {"model_id": folder.parent.name}
        with home.surroundings():
            resign(home, MODEL, outputs | {"model_signature": sign_model(home, folder)}, folder)

    return attack


def signed_again(home: Home) -> None:
    """The twin: the same bytes are attested once more, looked at and approved anew."""
    overwrite(bytes)(home)
    approve(home)


def _read_newest(self: Step, statement: str, purpose: str = "") -> VerifiedInput:
    node = self.lineage.node(statement)
    return self.read(node.name, node.manifest.partitions if node.manifest else (), purpose)


newest_counts = both(
    without(Demands, "_check_written_once", ()),
    lambda: patched(demands, "is_written_once", lambda _node: False),
    lambda: patched(Artifacts, "check", lambda *_arguments: []),
    lambda: patched(Step, "read_statement", _read_newest),
)
"""A mutant: a model's id stands for the newest bytes under it, and a newer statement for files."""

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
    Case("AP-10", overwrite(other_trees), promote(), signed_again, newest_counts,
         state="approved", variant="promotion"),
    Case("AP-10", overwrite(other_trees), load, overwrite(bytes), newest_counts, variant="load",
         quick=True),
]  # fmt: skip
