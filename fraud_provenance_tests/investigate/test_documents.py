"""The documents of a model in an exported file: each line proven, and none that nobody proves."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import verify_bundle
from fraud_provenance.attested.lineage.nodes import Materialisation
from fraud_provenance.attested.statements.manifest import is_sha256
from fraud_provenance.due.planning import registry_of
from fraud_provenance.investigate.documents import value_at
from fraud_provenance.investigate.exporting import Exported, export
from fraud_provenance_tests.conftest import copy_home, open_workspace, release
from fraud_provenance_tests.fraud.test_bom import problems
from fraud_provenance_tests.investigate.forging import packed
from fraud_provenance_tests.investigate.story import Story
from fraud_provenance_tests.investigate.test_verify_bundle import both, root_of

BILL, CARD, RISK = (
    f"documents/{name}" for name in ("ml-bom.json", "model-card.md", "model-risk.md")
)
ELEMENTS = {
    "Metadata": "SBOM author, SBOM author signature, SBOM version, SBOM data format, SBOM tool, "
    "SBOM tool version, Generation context, SBOM timestamp, Dependency relationship",
    "System level properties": "System name, System components, System producer, System version, "
    "System timestamp, Data flow, Data usage, Input properties, Output properties, "
    "Intended application area",
    "Models": "Model name, Model identifier, Model version, Model timestamp, Model producer, "
    "Model description, Model hash value, Model hash algorithm, Model properties, "
    "Model input properties, Model output properties, Training properties, Model license, "
    "External references",
    "Dataset properties": "Dataset name, Dataset description, Dataset content, Dataset identifier, "
    "Dataset hash value, Dataset hash algorithm, Dataset provenance, Statistical properties, "
    "Sensitivity, Dataset dependencies, Dataset license",
    "Infrastructure": "Software, Hardware",
    "Security properties": "Security controls, Security compliance, "
    "Cybersecurity policy information, Vulnerability referencing",
    "Key performance indicators": "Security metrics, Alert rate",
}
"""The minimum elements of an SBOM for AI (G7, May 2026), by cluster; source: the open schema
that shiftleftcyber/ai-bom derived from them."""
LINE = re.compile(r"- \*\*(?P<label>[^*]+)\*\*: (?P<value>.+?)(?: \((?P<proof>`[^()]+`)\))?")


def papers(exported: Exported) -> dict[str, bytes]:
    """The documents of a file by their names."""
    members = verify_bundle.unpack(exported.content)[1]
    return {name: data for name, data in members.items() if name.startswith("documents/")}


def statements(exported: Exported) -> set[str]:
    """The statements that a file holds."""
    listing, members = verify_bundle.unpack(exported.content)
    return set(verify_bundle.Evidence(listing, members).bundles)


def test_a_score_brings_the_documents_of_its_model(exported: Exported, judged: Story) -> None:
    found = papers(exported)
    assert sorted(found) == [BILL, CARD, RISK]
    for content in found.values():
        assert judged.deployed.digest in content.decode("ascii")


@pytest.mark.parametrize("name", [CARD, RISK])
def test_each_line_names_a_statement_in_the_file_or_is_missing(
    exported: Exported, name: str
) -> None:
    known, proven, missing = statements(exported), 0, 0
    lines = [line for line in papers(exported)[name].decode().splitlines() if line[:2] == "- "]
    for line in lines:
        told = LINE.fullmatch(line)
        assert told, line
        if told["value"].startswith("missing: "):
            assert told["proof"] is None
            missing += 1
        else:
            assert {item.strip("` ") for item in told["proof"].split(",")} <= known, line
            proven += 1
    assert proven > 15
    assert missing > 0


def test_lines_say_what_was_signed(exported: Exported, judged: Story) -> None:
    text = papers(exported)[RISK].decode()
    node = judged.trust.lineage().node(judged.deployed.model.bundle.statement.digest)
    parameters = json.dumps(node.expect(Materialisation).provenance.parameters, sort_keys=True)
    assert f"- **Parameters**: {parameters} (`{node.statement}`)" in text
    assert "- **Approved by**: risk.officer@example.com (`" in text
    bar = judged.trust.policies.current().data("thresholds")["metrics"]["auc_roc"]["value"]
    assert f"- **AUC ROC at least**: {bar} (`" in text
    assert "- **AUC ROC**: missing: " in text, "this home's evaluation signed no metrics"


def test_the_bill_is_cyclonedx_with_all_clusters_and_proofs(exported: Exported) -> None:
    bill = json.loads(papers(exported)[BILL])
    assert problems(bill) == ""
    told = bill["metadata"]["component"]["properties"]
    rows: dict[str, set[str]] = {}
    for item in told:
        cluster, _, element = item["name"].partition(": ")
        rows.setdefault(cluster, set()).add(element)
    for cluster, elements in ELEMENTS.items():
        assert rows[cluster] >= set(elements.split(", ")), cluster
    known, values = statements(exported), {item["name"]: item["value"] for item in told}
    for name, value in values.items():
        if name.endswith(" (proof)"):
            assert value.removeprefix("sha256:") in known
        elif name != "environment":
            assert value.startswith("missing: ") is (f"{name} (proof)" not in values), name
    assert is_sha256(values["Models: Model hash value"])


def test_a_file_about_no_model_has_no_documents(judged: Story) -> None:
    workspace = open_workspace(judged.trust.home, judged.workspace.project)
    found = export(workspace, registry_of(workspace), f"raw_transactions/{judged.days[2]}")
    assert papers(found) == {}
    listing, members = verify_bundle.unpack(found.content)
    more = packed(listing, members | {CARD: b"# Model card\n"})
    assert both(more, root_of(found.content)) == (1, 1)


def _said_better(content: bytes) -> bytes:
    return content.replace(b"missing: no verified statement here says it", b"0.99")


def _one_digit(content: bytes) -> bytes:
    (place, digit) = next((at, byte) for at, byte in enumerate(content) if byte in b"01")
    return content[:place] + (b"1" if digit == ord("0") else b"0") + content[place + 1 :]


def _one_more_line(content: bytes) -> bytes:
    return content + b"- **Fairness**: shown\n"


@pytest.mark.parametrize("name", [BILL, CARD, RISK])
@pytest.mark.parametrize("change", [_said_better, _one_digit, _one_more_line, lambda _: b""])
def test_no_changed_document_is_accepted_by_either(
    exported: Exported, name: str, change: Callable[[bytes], bytes]
) -> None:
    listing, members = verify_bundle.unpack(exported.content)
    other = change(members[name])
    assert other != members[name]
    changed = packed(listing, members | {name: other})
    assert both(changed, root_of(exported.content)) == (1, 1)


def test_a_document_left_out_exchanged_or_added_is_not_accepted(exported: Exported) -> None:
    listing, members = verify_bundle.unpack(exported.content)
    root = root_of(exported.content)
    without = {item: data for item, data in members.items() if item != RISK}
    assert both(packed(listing, without), root) == (1, 1)
    assert both(packed(listing, members | {RISK: members[CARD]}), root) == (1, 1)
    more = members | {"documents/another.md": members[CARD]}
    assert both(packed(listing, more), root) == (1, 1)


def test_a_policy_that_asks_for_no_documents_gives_none(judged: Story, tmp_path: Path) -> None:
    """Homes of before, and files that they made: nothing is added, nothing is missed."""
    project = tmp_path / "project"
    shutil.copytree(judged.workspace.project, project)
    for folder in ("data", "schemas"):
        (project / "policies" / folder / "documents.json").unlink()
    workspace = open_workspace(copy_home(judged.trust.home, tmp_path / "home"), project)
    release(workspace, "as it was")
    workspace = open_workspace(workspace.home, project)
    score = int(judged.scored()["transaction_id"][3])
    found = export(workspace, registry_of(workspace), str(score))
    assert papers(found) == {}
    assert both(found.content, root_of(found.content)) == (0, 0)


def test_a_path_that_leads_nowhere_gives_nothing() -> None:
    document = {"list": [{"role": "lock", "digest": "a"}, {"role": "tool"}], "value": 1}
    wanted = {"at": ["role"], "is": "lock"}
    assert value_at(document, ["list", wanted, "digest"]) == "a"
    assert value_at(document, ["list", 1, "role"]) == "tool"
    for path in (["list", 2], ["list", {"at": ["role"], "is": "none"}, "digest"], ["value", "x"],
                 ["value", 0], [wanted], ["nowhere"], ["nowhere", "at all"]):  # fmt: skip
        assert value_at(document, path) is None
        assert verify_bundle.Papers.at(verify_bundle.Papers.__new__(verify_bundle.Papers),
                                       document, path) is None  # fmt: skip
