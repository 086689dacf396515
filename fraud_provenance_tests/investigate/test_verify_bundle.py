"""The second verifier comes to the same verdict, and neither accepts a file that was changed."""

import ast
import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import verify_bundle
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.sigstore import bundle_form
from fraud_provenance.due.planning import registry_of
from fraud_provenance.investigate.exporting import Exported, export
from fraud_provenance.investigate.offline import Pin, check_file
from fraud_provenance.investigate.proof_file import parse_proof
from fraud_provenance.investigate.token_form import check_token
from fraud_provenance_tests.conftest import open_workspace
from fraud_provenance_tests.investigate.forging import forged, packed
from fraud_provenance_tests.investigate.story import Story
from fraud_provenance_tests.mutations import OTHERS, paths, removed, replaced, value_at

PROGRAM = Path(verify_bundle.__file__)
_FEW = 40
EXAMPLES = int(os.environ.get("FRAUD_PROVENANCE_MUTATIONS", _FEW))
STANDING = "standing"


def both(content: bytes, digest: str) -> tuple[int, int]:
    """What the product and the second verifier say of a file: exit codes."""
    try:
        own = check_file(parse_proof(content), Pin(digest=digest)).verdict.exit_code
    except ProvenanceError as error:
        own = error.exit_code
    return own, verify_bundle.verify(content, digest)[0]


def root_of(content: bytes) -> str:
    """The weakest thing that a reader may know: the trusted root alone."""
    return str(verify_bundle.unpack(content)[0][STANDING]["trusted_root"])


@pytest.fixture(scope="session")
def small(judged: Story) -> Exported:
    """The file of one raw day."""
    workspace = open_workspace(judged.trust.home, judged.workspace.project)
    return export(workspace, registry_of(workspace), f"raw_transactions/{judged.days[2]}")


# --- it stands alone -------------------------------------------------------------------------


def test_it_imports_the_standard_library_and_cryptography_alone() -> None:
    tree = ast.parse(PROGRAM.read_text())
    names = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [item.name for item in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert names - set(sys.stdlib_module_names) == {"cryptography"}


def test_the_program_proves_an_exported_score(
    exported: Exported, judged: Story, tmp_path: Path
) -> None:
    path = tmp_path / "score.zip"
    path.write_bytes(exported.content)
    root = judged.trust.home / "trust" / "trusted_root.json"

    done = subprocess.run(
        [sys.executable, "-I", str(PROGRAM), str(path), "--trust-root", str(root)],
        capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    count = len(exported.checked.verdict.links)
    assert f"proven: {exported.subject.name}, by {count} signed statements" in done.stdout
    assert done.stdout.count("as far as this is what you know") == 2


@pytest.mark.parametrize("field", ["trusted_root", "release", "state"])
def test_both_leave_the_same_to_the_file(exported: Exported, field: str) -> None:
    standing = exported.checked.standing
    digest = standing.digest if field == "state" else getattr(standing, field)
    own = check_file(parse_proof(exported.content), Pin(digest=digest)).rests_on

    code, _, left = verify_bundle.verify(exported.content, digest)

    assert (code, len(left)) == (0, len(own))


def test_without_a_root_neither_decides(exported: Exported) -> None:
    assert both(exported.content, "") == (2, 2)
    assert both(exported.content, "b" * 64) == (1, 1)


def test_both_agree_on_other_subjects(judged: Story) -> None:
    """Partitions, and a statement of each kind that there is."""
    workspace = open_workspace(judged.trust.home, judged.workspace.project)
    kinds = {record.predicate_type: record.statement for record in workspace.store.records()}
    assert len(kinds) >= 7
    for subject in (
        f"transaction_features/{judged.days[1]}",
        "training_set/train",
        *kinds.values(),
    ):
        found = export(workspace, registry_of(workspace), subject)
        assert both(found.content, found.checked.standing.digest) == (0, 0), subject


# --- nothing that was changed is accepted ------------------------------------------------------


_BOUND = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large,
                           HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)  # fmt: skip


def refused(honest: Exported, other: Exported, data: st.DataObject) -> None:
    """A file that differs from an honest one, be it by other evidence, is refused by both."""
    donor = parse_proof(other.content).members
    what, content = data.draw(forged(honest.content, donor))

    assert both(content, root_of(honest.content)) == (1, 1), what


@_BOUND
@given(data=st.data())
def test_no_changed_file_of_a_day_is_accepted(
    small: Exported, exported: Exported, data: st.DataObject
) -> None:
    refused(small, exported, data)


@settings(_BOUND, max_examples=max(EXAMPLES // 4, 10))
@given(data=st.data())
def test_no_changed_file_of_a_score_is_accepted(
    small: Exported, exported: Exported, data: st.DataObject
) -> None:
    refused(exported, small, data)


@pytest.mark.parametrize("of", ["small", "exported"])
def test_no_field_beside_the_members_is_free(of: str, request: pytest.FixtureRequest) -> None:
    """Each of them is taken away, is something else, is what only looks the same."""
    honest = request.getfixturevalue(of)
    listing, members = verify_bundle.unpack(honest.content)
    about = {name: value for name, value in listing.items() if name != "members"}
    root = root_of(honest.content)
    for place, path in enumerate(paths(about)):
        value = value_at(about, path)
        more = [value + 1] if isinstance(value, int) else [f"{value}x"] * isinstance(value, str)
        others = [
            item for item in (*OTHERS, *more) if type(item) is not type(value) or item != value
        ]
        alike = [item for item in others if item == value]  # true is 1, and no number
        chosen = others if EXAMPLES > _FEW else others[place % 5 :: 5] + alike
        for other in [removed(about, path), *(replaced(about, path, item) for item in chosen)]:
            assert both(packed(other, members), root) == (1, 1), (path, value_at(other, path[:-1]))


def test_the_files_that_are_changed_were_accepted(small: Exported, exported: Exported) -> None:
    for found in (small, exported):
        assert both(found.content, root_of(found.content)) == (0, 0)


def test_each_member_is_needed(small: Exported) -> None:
    listing, members = verify_bundle.unpack(small.content)
    for name in [*members][:: max(1, len(members) // 25)]:
        rest = {item: data for item, data in members.items() if item != name}
        assert both(packed(listing, rest), root_of(small.content)) == (1, 1), name


def _edited(exported: Exported, **row: Any) -> bytes:
    listing, members = verify_bundle.unpack(exported.content)
    listing["subject"]["row"] |= row
    return packed(listing, members)


def test_another_row_does_not_lead_to_the_signed_root(exported: Exported) -> None:
    row = exported.subject.row
    assert row is not None
    number, rest = row.leaf.split(",", 1)
    for change in (
        {"transaction_id": row.transaction_id + 1},
        {"transaction_id": row.transaction_id + 1, "leaf": f"{int(number) + 1},{rest}"},
        {"leaf": f"{row.leaf[:-1]}{1 - int(row.leaf[-1])}"},
        {"index": row.index + 1},
        {"rows": row.rows + 1},
        {"path": list(row.path)[:-1]},
        {"path": [item.upper() for item in row.path]},
    ):
        assert both(_edited(exported, **change), root_of(exported.content)) == (1, 1), change


def test_no_bit_of_a_timestamp_is_free(small: Exported, judged: Story) -> None:
    """Version numbers, names of algorithms, certificates: what the token's signature leaves out."""
    listing, members = verify_bundle.unpack(small.content)
    document = next(json.loads(data) for name, data in members.items() if "bundles" in name)
    stamp = document["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"][0]
    token = verify_bundle.unbase64(stamp["signedTimestamp"])
    signature = verify_bundle.unbase64(document["dsseEnvelope"]["signatures"][0]["sig"])
    stampers = verify_bundle.Evidence(listing, members).root.stampers
    verifier = judged.workspace.bundles
    accepted = []
    for place in range(len(token)):
        other = token[:place] + bytes([token[place] ^ 1 << place % 8]) + token[place + 1 :]
        with pytest.raises(verify_bundle.Refused):
            verify_bundle.stamped_at(other, signature, stampers)
        if place < 60 or place > len(token) - 100 or abs(place - 781) < 9:
            stamp["signedTimestamp"] = base64.b64encode(other).decode()
            content = verify_bundle.canonical(document)
            try:
                verifier.verify(content)
            except ProvenanceError:
                continue
            accepted.append(place)
            with pytest.raises(ProvenanceError, match="TIMESTAMP_INVALID"):
                check_token(bundle_form.read(content), verifier)

    assert accepted  # the library alone lets some pass: that is why the form is looked at
    assert verify_bundle.stamped_at(token, signature, stampers)
