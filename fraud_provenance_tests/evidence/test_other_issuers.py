"""Identities of other issuers: a real authority certifies them, policy names each exactly."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, ObjectIdentifier, UnrecognizedExtension
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

import verify_bundle
from fraud_provenance.attested.core.errors import BackendError, ConfigError, VerificationError
from fraud_provenance.attested.gates import cosign
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Verified
from fraud_provenance.attested.local import tool
from fraud_provenance.attested.sigstore import verification
from fraud_provenance.attested.sigstore.ambient import ambient_token
from fraud_provenance.attested.sigstore.token_files import TokenFiles
from fraud_provenance.attested.statements import identities
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.settings import AMBIENT, Settings, settings_from
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.investigate.exporting import export
from fraud_provenance.investigate.offline import Pin, check_file
from fraud_provenance.investigate.proof_file import parse_proof
from fraud_provenance.people import governing
from fraud_provenance_tests.conftest import (
    DAYS,
    FEATURES,
    RAW,
    Chain,
    copy_home,
    featurise,
    ingest,
    judge,
    open_workspace,
)
from fraud_provenance_tests.other_issuers import (
    BRANCH,
    SUBJECTS,
    WORKFLOW,
    Platforms,
    actions_endpoint,
    add_issuers,
    name_others,
)

STEPS = {
    "/steps/ingest": "github", "/gates/data-access": "gitlab",
    "/steps/contracts": "spiffe", "/steps/features": "kubernetes",
}  # fmt: skip
BYTES = {day: f"transactions of {day}".encode() for day in DAYS}


@dataclass
class Place:
    """A home whose steps are signed by workloads of other issuers."""

    workspace: Workspace
    platforms: Platforms

    def opened(self, **settings: object) -> Trust:
        workspace = Workspace(replace(self.workspace.settings, **settings))
        workspace.attestor = self.workspace.attestor
        return workspace.trust


def identity(issuer: str) -> Identity:
    return Identity(issuer=issuer, subject=SUBJECTS[issuer])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, policy_project: Path) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("others")
    project = Path(shutil.copytree(policy_project, folder / "project"))
    name_others(project / "policies", STEPS)
    workspace = Workspace(Settings(home=folder / "home", project=project))
    workspace.create_folders()
    platforms = add_issuers(workspace)
    workspace.sigstore.up()
    try:
        governing.found(workspace)
        yield Place(workspace, platforms)
    finally:
        workspace.sigstore.down()


@pytest.fixture
def place(built: Place, tmp_path: Path) -> Place:
    home = copy_home(built.workspace.home, tmp_path / "home")
    return Place(open_workspace(home, built.workspace.project), built.platforms)


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Run the test as a job: with these variables, and none of a job that it may really run in."""
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as stack:

        def enter(platform: AbstractContextManager[dict[str, str]]) -> None:
            for name, value in stack.enter_context(platform).items():
                monkeypatch.setenv(name, value)

        yield enter


def lay(place: Place, folder: Path) -> Path:
    """A token for each of the others, as their platforms would lay it."""
    for issuer, subject in SUBJECTS.items():
        path = folder / issuer / subject.rpartition("://")[2]
        path.parent.mkdir(parents=True)
        path.write_text(place.platforms.token(issuer))
    return folder


@pytest.mark.integration
def test_each_step_is_signed_by_a_workload_of_another_issuer(
    place: Place, job: Callable[..., None], tmp_path: Path
) -> None:
    job(actions_endpoint(place.platforms.token("github")))
    raw = ingest(place.opened(tokens=AMBIENT), BYTES)
    trust = place.opened(tokens=lay(place, tmp_path / "tokens"))
    contracts = judge(trust, RAW, DAYS)
    made = featurise(trust, DAYS)
    signers = {raw.bundle.identity, made.bundle.identity}
    assert signers == {identity("github"), identity("kubernetes")}
    assert {item.identity for item in contracts.values()} == {identity("spiffe")}
    builder = raw.bundle.statement.predicate["runDetails"]["builder"]
    assert builder == {"id": SUBJECTS["github"]}
    found = Chain(place.workspace, raw, contracts, made)
    verdict = found.verdict()
    assert verdict.trusted, verdict.reasons
    assert str(identity("gitlab")) in {link.signer for link in verdict.links}
    for node in found.node(made.bundle).walk():
        command = cosign.bundle_arguments(trust, tool("cosign"), node.trusted(Verified).bundle)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    opened = place.workspace
    judge(trust, FEATURES, DAYS, ("feature_schema", "feature_expectations"))
    file = export(opened, registry_of(opened), f"{FEATURES}/{DAYS[0]}")
    root = str(verify_bundle.unpack(file.content)[0]["standing"]["trusted_root"])
    assert check_file(parse_proof(file.content), Pin(digest=root)).verdict.trusted
    assert verify_bundle.verify(file.content, root)[0] == 0


@pytest.mark.integration
@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"job_workflow_ref": f"{WORKFLOW}@refs/heads/other", "ref": "refs/heads/other"},
         "IDENTITY_NOT_AUTHORIZED_FOR_STEP"),
        ({"job_workflow_ref": f"{WORKFLOW.lower()}@{BRANCH}", "repository": "acme/fraud"},
         "IDENTITY_NOT_AUTHORIZED_FOR_STEP"),
        ({"repository": "mallory/fraud"}, "IDENTITY_UNTRUSTED"),
        ({"ref": "refs/pull/7/merge"}, "IDENTITY_UNTRUSTED"),
    ],
    ids=["other branch", "other spelling", "called by another repository", "called by a proposal"],
)  # fmt: skip
def test_job_that_is_another_signs_nothing_that_counts(
    place: Place, job: Callable[..., None], claims: dict[str, str], code: str
) -> None:
    job(actions_endpoint(place.platforms.token("github", **claims)))
    trust = place.opened(tokens=AMBIENT)
    with pytest.raises(VerificationError, match=code):
        ingest(trust, BYTES)
    assert trust.store.heads(RAW) == {}


def certified(place: Place, token: str) -> Certificate:
    """What the real authority certifies for a token."""
    config = place.workspace.sigstore.trust_config.read_text("utf-8")
    context = SigningContext.from_trust_config(ClientTrustConfig.from_json(config))
    with context.signer(IdentityToken(token)) as signer:
        return signer.sign_artifact(b"anything").signing_certificate


@pytest.mark.integration
@pytest.mark.parametrize(
    ("issuer", "claims"),
    [("github", {}), ("gitlab", {}), ("kubernetes", {}), ("spiffe", {}),
     ("github", {"repository": "mallory/fraud"}), ("github", {"ref": "refs/pull/7/merge"}),
     ("gitlab", {"project_path": "mallory/fraud"}), ("gitlab", {"ref_path": "refs/heads/x"})],
    ids=str,
)  # fmt: skip
def test_both_verifiers_read_one_identity_and_ask_for_whom_a_workflow_ran(
    place: Place, issuer: str, claims: dict[str, str]
) -> None:
    certificate = certified(place, place.platforms.token(issuer, **claims))
    second = verify_bundle.Root.__new__(verify_bundle.Root)
    second.roles = {url: name for name, url in place.platforms.urls.items()}
    read = place.opened().bundles.signer_of(certificate.public_bytes(Encoding.DER))
    if claims:
        assert read is None
        with pytest.raises(verify_bundle.Refused, match="another repository or reference"):
            second.identity(certificate)
    else:
        assert read == identity(issuer)
        assert second.identity(certificate) == (issuer, SUBJECTS[issuer])


@pytest.mark.integration
def test_pipeline_of_gitlab_has_its_token_in_a_variable(
    place: Place, monkeypatch: pytest.MonkeyPatch, job: Callable[..., None]
) -> None:
    token = place.platforms.token("gitlab")
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", token)
    assert ambient_token(identity("gitlab")) == token
    home = str(place.workspace.home)
    found = settings_from({"FRAUD_PROVENANCE_HOME": home, "SIGSTORE_ID_TOKEN": token,
                           "FRAUD_PROVENANCE_TOKENS": "ambient"})  # fmt: skip
    assert found.tokens == AMBIENT


@pytest.mark.parametrize("status", [403, 500])
def test_platform_that_gives_no_token_leaves_it_undecided(
    job: Callable[..., None], status: int
) -> None:
    job(actions_endpoint("x", status))
    with pytest.raises(BackendError, match="no token for") as error:
        ambient_token(identity("github"))
    assert error.value.exit_code == 2
    assert "id-token: write" in error.value.reasons[0].remedy


@pytest.mark.usefixtures("job")
def test_what_is_no_job_has_no_token() -> None:
    with pytest.raises(BackendError, match="no job of a platform"):
        ambient_token(identity("github"))


def test_home_without_tokens_of_an_issuer_says_so(tmp_path: Path) -> None:
    workspace = Workspace(Settings(home=tmp_path))
    with pytest.raises(BackendError, match="has no tokens"):
        workspace.token(identity("spiffe"))
    ambient = Workspace(Settings(home=tmp_path, tokens=AMBIENT))
    with pytest.raises(ConfigError):  # our own issuers' are not asked of the platform
        ambient.token(Identity(issuer="workloads", subject="/steps/train"))


def test_relative_folder_of_tokens_is_no_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ambient"):
        settings_from({"FRAUD_PROVENANCE_HOME": str(tmp_path), "FRAUD_PROVENANCE_TOKENS": "here"})


def test_file_of_a_token_is_named_without_the_scheme(tmp_path: Path) -> None:
    for issuer, subject in SUBJECTS.items():
        with pytest.raises(BackendError) as error:
            TokenFiles(tmp_path)(identity(issuer))
        assert error.value.reasons[0].artifact == f"{issuer}/{subject.rpartition('://')[2]}"
        assert identities.is_exact(identity(issuer))


@pytest.mark.parametrize("size", [0, 1, 0x7F, 0x80, 0xFF])
def test_text_of_an_extension_is_read_by_both_verifiers(size: int) -> None:
    header = bytes((0x0C, size)) if size < 0x80 else bytes((0x0C, 0x81, size))
    assert texts(header + b"x" * size) == ("x" * size, "x" * size)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x0c", b"\x16\x01x", b"\x0c\x02x", b"\x0c\x01xx", b"\x0c\x81\x01x",
        b"\x0c\x82\x01\x00" + b"x" * 256, b"\x0c\x81\x7f" + b"x" * 127, b"\x0c\x80" + b"x" * 128,
        b"\x16\x81\x80" + b"x" * 128, b"x" * 300,
    ],
)  # fmt: skip
def test_extension_that_is_no_text_in_its_one_form_says_nothing(content: bytes) -> None:
    assert texts(content) == ("", "")


def texts(content: bytes) -> tuple[str, str]:
    extension = UnrecognizedExtension(ObjectIdentifier("1.2.3"), content)
    return verification._text(extension), verify_bundle.utf8(extension)


def test_person_of_another_issuer_is_the_same_to_both_verifiers() -> None:
    for issuer, subject in (*SUBJECTS.items(), ("people", "A+b@C.d"), ("workloads", "/steps/x")):
        found = identities.person(Identity(issuer=issuer, subject=subject))
        assert verify_bundle.person(issuer, subject) == (found.issuer, found.subject)
    assert verification._text(None) == verify_bundle.utf8(None) == ""
