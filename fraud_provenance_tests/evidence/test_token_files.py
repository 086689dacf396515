"""Tokens that somebody else lays into files: the real authority takes them, and no others do."""

import time
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fraud_provenance.attested.core.errors import BackendError, VerificationError
from fraud_provenance.attested.sigstore.token_files import TokenFiles
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.conftest import DAYS, RAW, Chain, ingest

pytestmark = pytest.mark.integration
STEPS = ("/steps/ingest", "/gates/data_access")


def lay(chain: Chain, folder: Path, *subjects: str) -> None:
    """A token of the home's own issuer for each identity, as a platform would project it."""
    for subject in subjects:
        path = folder / "workloads" / subject.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(chain.workspace.sigstore.workload_token(subject) + "\n")


def opened(chain: Chain, folder: Path) -> Chain:
    """The home, signing by nothing but these files."""
    workspace = Workspace(replace(chain.workspace.settings, tokens=folder))
    workspace.attestor = chain.workspace.attestor
    return replace(chain, workspace=workspace)


def refused(folder: Path, identity: Identity) -> str:
    with pytest.raises(BackendError) as caught:
        TokenFiles(folder)(identity)
    (reason,) = caught.value.reasons
    assert reason.code == "AUTHORITY_UNAVAILABLE"
    assert str(folder) in reason.remedy
    return reason.message


def test_a_step_signs_by_the_tokens_that_were_laid_for_it(chain: Chain, tmp_path: Path) -> None:
    lay(chain, tmp_path, *STEPS)
    made = ingest(opened(chain, tmp_path).trust, {DAYS[0]: b"newer"})
    assert made.bundle.identity == Identity(issuer="workloads", subject="/steps/ingest")
    assert chain.verdict(made.bundle).trusted


def test_a_step_without_its_token_signs_nothing(chain: Chain, tmp_path: Path) -> None:
    lay(chain, tmp_path, STEPS[1])
    with pytest.raises(BackendError, match="no token in workloads/steps/ingest"):
        ingest(opened(chain, tmp_path).trust, {DAYS[0]: b"newer"})


def test_a_token_of_another_step_publishes_nothing(chain: Chain, tmp_path: Path) -> None:
    lay(chain, tmp_path, *STEPS)
    other = chain.workspace.sigstore.workload_token("/steps/train")
    (tmp_path / "workloads" / "steps" / "ingest").write_text(other)
    with pytest.raises(VerificationError, match="IDENTITY_NOT_AUTHORIZED_FOR_STEP"):
        ingest(opened(chain, tmp_path).trust, {DAYS[0]: b"newer"})
    assert [head.sequence for head in chain.trust.store.heads(RAW)[DAYS[0]]] == [1]
    assert chain.verdict().trusted


IDENTITY = Identity(issuer="workloads", subject="/steps/train")


def token(ends_s: int) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode({"sub": "x", "exp": int(time.time()) + ends_s}, key, algorithm="ES256")


def project(folder: Path, content: str, version: str) -> None:
    """As kubelet does it: a folder a version, and links to the newest that are moved."""
    real = folder / f"..{version}" / "steps"
    real.mkdir(parents=True)
    (real / "train").write_text(content)
    link = folder / "..new"
    link.symlink_to(f"..{version}")
    link.rename(folder / "..data")
    if not (folder / "steps").is_symlink():
        (folder / "steps").symlink_to("..data/steps")


def test_a_token_that_is_rotated_is_read_afresh(tmp_path: Path) -> None:
    project(tmp_path / "workloads", first := token(60), "1")
    tokens = TokenFiles(tmp_path)
    assert tokens(IDENTITY) == first
    project(tmp_path / "workloads", second := token(600), "2")
    assert tokens(IDENTITY) == second


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "holds no token"), ("not.a.token", "holds no token"), ("\u00e9", "holds no token"),
        (token(-60), "ran out at"), ("x" * (1 << 17), "limit"),
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused(tmp_path: Path, content: str, told: str) -> None:
    project(tmp_path / "workloads", content, "1")
    assert told in refused(tmp_path, IDENTITY)


def test_no_link_and_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    (folder / "workloads" / "steps").mkdir(parents=True)
    (tmp_path / "other").write_text(token(60))
    (folder / "workloads" / "steps" / "train").symlink_to(tmp_path / "other")
    assert "leads out" in refused(folder, IDENTITY)
    assert "leads out" in refused(folder, Identity(issuer="people", subject="../../other"))
    assert "cannot read" in refused(folder, Identity(issuer="people", subject="ann@example.com"))


@pytest.mark.parametrize(
    ("issuer", "subject", "claims"),
    [
        ("workloads", "/steps/train", {"iss": "https://w", "sub": "https://w/steps/ingest"}),
        ("workloads", "/steps/train", {"iss": "https://w", "sub": "https://other/steps/train"}),
        ("kubernetes", "https://kubernetes.io/namespaces/fraud/serviceaccounts/train",
         {"kubernetes.io": {"namespace": "other", "serviceaccount": {"name": "train"}}}),
        ("kubernetes", "https://kubernetes.io/namespaces/fraud/serviceaccounts/train",
         {"kubernetes.io": {"namespace": "fraud", "serviceaccount": "train"}}),
    ],
)  # fmt: skip
def test_a_token_that_says_that_it_is_anothers_is_not_used(
    tmp_path: Path, issuer: str, subject: str, claims: dict[str, object]
) -> None:
    path = tmp_path / issuer / subject.rpartition("://")[2].lstrip("/")
    path.parent.mkdir(parents=True)
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_text(jwt.encode({"exp": time.time() + 60} | claims, key, algorithm="ES256"))
    with pytest.raises(VerificationError, match="IDENTITY_NOT_AUTHORIZED_FOR_STEP") as caught:
        TokenFiles(tmp_path)(Identity(issuer=issuer, subject=subject))
    assert f"Lay the token of {subject}" in caught.value.reasons[0].remedy


@pytest.mark.parametrize("claims", [{}, {"kubernetes.io": "unknown"}])
def test_a_token_that_does_not_say_whose_it_is_is_left_to_the_authority(
    tmp_path: Path, claims: dict[str, object]
) -> None:
    subject = "https://kubernetes.io/namespaces/fraud/serviceaccounts/train"
    path = tmp_path / "kubernetes" / subject.rpartition("://")[2]
    path.parent.mkdir(parents=True)
    key = ec.generate_private_key(ec.SECP256R1())
    laid = jwt.encode({"exp": time.time() + 60} | claims, key, algorithm="ES256")
    path.write_text(laid)
    assert TokenFiles(tmp_path)(Identity(issuer="kubernetes", subject=subject)) == laid
