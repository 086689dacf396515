"""The flow a newcomer sees, and what an outsider can check of it with other people's tools."""

import json
import subprocess
from pathlib import Path

import polars as pl
import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.gates import cosign
from fraud_provenance.attested.lineage.nodes import Verified
from fraud_provenance.attested.local import tool
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models import promotion
from fraud_provenance_tests.product import TRAINER, Product

pytestmark = pytest.mark.e2e


def scored(product: Product) -> tuple[str, int]:
    """(day, transaction id) of the riskiest score."""
    path = max((product.home / "data" / "transaction_scores").glob("*.parquet"))
    frame = pl.read_parquet(path).sort("score", descending=True)
    return path.stem, int(frame["transaction_id"][0])


def test_everything_after_promotion_is_trusted(product: Product) -> None:
    verdict = product.ok("verify", "--json").json()
    assert verdict["trusted"] is True
    assert {link["kind"] for link in verdict["links"]} >= {
        "materialisation", "contract", "decision", "approval", "policy", "model signature",
    }  # fmt: skip


def test_champion_verifies_down_to_the_raw_days(product: Product) -> None:
    verdict = product.ok("verify", "model@champion", "--json").json()
    names = {link["name"] for link in verdict["links"]}
    assert {"fraud_model", "training_set", "transaction_features", "raw_transactions"} <= names
    assert all(link["signer"] and link["log_index"] is not None for link in verdict["links"])


@pytest.mark.parametrize("subject", ["release_candidate", "model@candidate"])
def test_candidate_verifies_with_its_registration(product: Product, subject: str) -> None:
    verdict = product.ok("verify", subject, "--json").json()
    names = {link["name"] for link in verdict["links"]}
    assert {"release decision on fraud_model", "fraud_model", "raw_transactions"} <= names


def test_trace_leads_from_the_score_to_the_landing_files(product: Product) -> None:
    day, transaction = scored(product)
    found = product.ok("trace", str(transaction), "--why", "--json").json()
    assert found["why"]["bit_for_bit"] is True
    assert all(share["rows"] for share in found["why"]["shares"] if share["value"])
    roles = [item["role"] for item in found["chain"]]
    for role in ("scores", "prediction batch", "model", "release decision", "approval",
                 "training set", "features", "raw days", "landing file"):  # fmt: skip
        assert role in roles
    assert found["day"] == day
    assert found["verdict"]["trusted"] is True
    assert roles.index("model") < roles.index("raw days") < roles.index("landing file")


def test_model_and_its_code_and_library_reach_the_scores(product: Product) -> None:
    day, _ = scored(product)
    model = product.ok("trace", "model@champion", "--json").json()
    commit = next(item["git_commit"] for item in model["chain"] if item["role"] == "model")
    for subject in ("model@champion", f"commit:{commit}", "package:numpy", "package:xgboost"):
        found = product.ok("recall", subject, "--rows", "--json").json()
        assert day in found["scores"], subject
        assert len(found["rows"]["transaction_scores"][day]) == found["scores"][day]


def test_raw_days_differ_and_a_day_does_not_from_itself(product: Product) -> None:
    days = sorted(path.stem for path in (product.home / "landing").glob("*.parquet"))[:2]
    found = product.ok("diff", *(f"raw_transactions/{day}" for day in days), "--json").json()
    assert [item["asset"] for item in found["files"]] == ["raw_transactions"]
    same = product.ok("diff", *[f"raw_transactions/{days[0]}"] * 2, "--json").json()
    assert (same["changes"], same["files"], same["code"]) == ([], [], [])


def test_trace_of_an_unscored_transaction_is_refused(product: Product) -> None:
    done = product.run("trace", "999999999")
    assert done.code == 1
    assert "EVIDENCE_MISSING" in done.text


def test_second_run_does_nothing(product: Product) -> None:
    before = {path.name for path in (product.home / "evidence" / "bundles").iterdir()}
    report = product.ok("run", "--json").json()
    assert {stage["name"] for stage in report["stages"]} == {"verify", "verify champion", "log"}
    assert {path.name for path in (product.home / "evidence" / "bundles").iterdir()} == before


def test_commands_leave_nothing_in_the_temporary_folder(product: Product, tmp_path: Path) -> None:
    for command in ("verify", "run"):
        done = product.run(command, TMPDIR=str(tmp_path))
        assert done.code == 0, done.text
    assert list(tmp_path.iterdir()) == []


def test_import_of_the_same_rows_changes_nothing(product: Product) -> None:
    again = product.ok(
        "generate", "--days", "45", "--rows-per-day", "1200", "--seed", "7", "--json"
    ).json()
    assert again["unchanged"] == 45


def test_trainers_own_principal_may_not_approve(product: Product) -> None:
    done = product.run("approve", "model@champion", "--environment", "local",
                       "--as", TRAINER, "--reason", "mine")  # fmt: skip
    assert done.code == 1
    assert "SELF_APPROVAL" in done.text


def test_approval_for_another_environment_is_refused(product: Product) -> None:
    done = product.run("approve", "model@champion", "--environment", "production",
                       "--as", "risk.officer@example.com", "--reason", "x")  # fmt: skip
    assert done.code == 1
    assert "APPROVAL_ENV" in done.text


def test_unknown_person_may_not_approve(product: Product) -> None:
    done = product.run("approve", "model@champion", "--environment", "local",
                       "--as", "stranger@example.com", "--reason", "x")  # fmt: skip
    assert done.code == 1
    assert "APPROVAL_UNKNOWN_PERSON" in done.text


def test_cosign_accepts_every_bundle_in_the_store(product: Product) -> None:
    workspace = Workspace(Settings(home=product.home, project=product.project))
    trust = workspace.trust
    records = trust.store.records()
    assert len(records) > 15
    for record in records:
        node = trust.lineage().node(record.statement)
        done = subprocess.run(
            cosign.bundle_arguments(trust, tool("cosign"), node.trusted(Verified).bundle),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{record.subject_name}: {done.stderr}"


def test_model_signing_accepts_the_champion(product: Product, tmp_path: Path) -> None:
    from model_signing import verifying

    workspace = Workspace(Settings(home=product.home, project=product.project))
    from fraud_provenance.due.planning import registry_of

    champion = promotion.find_champion(workspace.trust, registry_of(workspace))
    model, signature = champion.evidence.model, champion.evidence.signature
    assert model.provenance is not None
    assert signature.bundle is not None
    identity, issuer = workspace.bundles.certificate_identity(signature.bundle.identity)
    folder = product.home / model.provenance.outputs["location"]
    bundle = workspace.store.bundle_path(signature.bundle.bundle_digest)
    check = verifying.Config().use_sigstore_verifier(
        identity=identity, oidc_issuer=issuer, trust_config=workspace.sigstore.trust_config
    )
    check.verify(folder, bundle)


def test_scores_are_provable_one_by_one(product: Product) -> None:
    from fraud_provenance.attested.tlog import merkle
    from fraud_provenance.predictions.log import leaves

    day, transaction = scored(product)
    proof = product.ok("trace", str(transaction), "--json").json()["proof"]
    frame = pl.read_parquet(product.home / "data" / "transaction_scores" / f"{day}.parquet")
    row = leaves(frame.filter(pl.col("transaction_id") == transaction))[0]
    path = proof["inclusion_path"]
    root = merkle.root_from_path(row, proof["index"], proof["rows"], path)
    assert root == proof["merkle_root"]
    forged = row.replace(b",", b",1", 1)
    assert merkle.root_from_path(forged, proof["index"], proof["rows"], path) != root


def test_evidence_names_commit_lock_and_resolved_parameters(product: Product) -> None:
    workspace = Workspace(Settings(home=product.home, project=product.project))
    record = workspace.store.records(asset="fraud_model")[-1]
    node = workspace.trust.lineage().node(record.statement)
    assert node.provenance is not None
    assert node.provenance.parameters["tree_method"] == "exact"
    assert node.provenance.parameters["base_score"] == 0.5
    roles = {material.role for material in node.provenance.materials}
    assert {"input", "source_code", "lock", "environment", "tool", "policy"} <= roles
    assert len(node.provenance.outputs["git_commit"]) == 40
    assert node.provenance.outputs["git_dirty"] is False


def test_bill_of_materials_is_signed_for_the_file_with_the_trees(product: Product) -> None:
    opened = Workspace(Settings(home=product.home, project=product.project))
    lineage = opened.trust.lineage()
    model = lineage.node(opened.store.records(asset="fraud_model")[-1].statement)
    assert model.provenance is not None
    folder = product.home / str(model.provenance.outputs["location"])
    bom = lineage.node(str(model.provenance.outputs["ml_bom"]))
    assert (bom.kind, [*bom.reasons]) == ("bill of materials", [])
    assert bom.bundle is not None
    statement = bom.bundle.statement
    assert statement.subject_digest == encoding.digest_bytes((folder / "model.ubj").read_bytes())
    assert statement.predicate == json.loads((folder / "ml_bom.json").read_text("utf-8"))


def test_mlflow_shows_commit_data_version_and_lock(product: Product) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{product.home / 'mlflow' / 'mlflow.db'}")
    version = client.get_model_version_by_alias("fraud_model", "champion")
    tags = client.get_run(version.run_id).data.tags
    assert len(tags["git_commit"]) == 40
    assert len(tags["data_version"]) == 64
    assert len(tags["lock_sha256"]) == 64
    assert json.loads(json.dumps(client.get_run(version.run_id).data.metrics))["auc_roc"] > 0.7
