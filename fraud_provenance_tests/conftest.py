"""A real home with its own local Sigstore, an honest small chain in it, and a forger of lies.

The servers start once a session. A test that tampers works on a copy of the home: the copy keeps
the trust root, so what it signs goes to the same servers.
"""

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import fraud_provenance.causes  # noqa: F401 - as every entry point
from fraud_provenance.attested.attestors.ran import Attestor
from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.statements import Identity, Material
from fraud_provenance.attested.step.step import Materialisation, Step
from fraud_provenance.fraud.model import XGBoostParameters
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.surroundings import refuse_overrides
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.people import governing

if TYPE_CHECKING:
    from fraud_provenance_tests.attacks.arena import Arena
    from fraud_provenance_tests.mlflow_server import MlflowServer
    from fraud_provenance_tests.object_server import ObjectServer
    from fraud_provenance_tests.postgres_server import PostgresServer

PROJECT = Path(__file__).resolve().parent.parent
DAYS = ("2018-04-01", "2018-04-02")
RAW, FEATURES = "raw_transactions", "transaction_features"
RAW_SUITES = ("raw_schema", "raw_expectations")
AUTHOR, REVIEWER = "policy.author@example.com", "policy.reviewer@example.com"


@dataclass
class Chain:
    """A home in which two days went from the landing zone to features, all of it honest."""

    workspace: Workspace
    raw: Materialisation
    contracts: Mapping[str, VerifiedBundle]
    features: Materialisation

    @property
    def trust(self) -> Trust:
        return self.workspace.trust

    def node(self, bundle: VerifiedBundle) -> Node:
        """The node of a statement, verified anew."""
        self.trust.forget()
        return self.trust.lineage().node(bundle.statement.digest)

    def verdict(self, bundle: VerifiedBundle | None = None) -> Verdict:
        """The verdict on a statement (on the features by default), verified anew."""
        node = self.node(bundle or self.features.bundle)
        return self.trust.lineage().verify("subject", "test", [node])


def codes(found: Verdict | Node | ProvenanceError) -> list[str]:
    """The root-cause codes of whatever refused, the primary one first."""
    return [item.code for item in found.reasons]


def raw_path(day: str) -> str:
    return f"{RAW}/{day}.parquet"


_BOUNDS = {"partitions": [DAYS[0], DAYS[-1]]}
PARAMETERS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("ingest", "features", "score"), _BOUNDS),
    "feature_store": _BOUNDS | {"feature_service": "fraud_model_v1"},
    "training_set": {
        "train_start": DAYS[0], "train_days": 7, "delay_days": 7, "test_days": 7,
        "feature_service": "fraud_model_v1",
    },
    "train": XGBoostParameters().model_dump(mode="json") | {"cards_per_day": 100},
}  # fmt: skip
"""What each step's statement must carry, by the layout."""


def ingest(trust: Trust, days: Mapping[str, bytes]) -> Materialisation:
    """Land and ingest some bytes a day."""
    landing = trust.home / "landing"
    landing.mkdir(exist_ok=True)
    for day, content in days.items():
        (landing / f"{day}.parquet").write_bytes(content)
    with Step(trust, "ingest", "run-ingest", {"partitions": [*days]}) as step:
        read = step.read_source("landing", {day: landing / f"{day}.parquet" for day in days})
        for item in read.files:
            step.write(item.partition, raw_path(item.partition), item.content, [item.sha256])
        return step.commit({"rows": dict.fromkeys(days, 3)})


def judge(
    trust: Trust,
    asset: str,
    days: Sequence[str],
    suites: Sequence[str] = RAW_SUITES,
    *,
    failures: Sequence[Mapping[str, Any]] = (),
    checks: tuple[str, ...] = ("amounts_are_not_negative",),
    rows: int = 3,
) -> dict[str, VerifiedBundle]:
    """Run contracts that find what they are told to find."""
    with Step(trust, "contracts", "run-contracts") as step:
        view = step.read(asset, days).view
        pending = {
            suite: step.attest_contract(
                view,
                suite=suite,
                suite_digest=step.policy.layout.contract(suite).suite_digests[-1],
                checks=checks,
                failures=[dict(item) for item in failures],
                rows=dict.fromkeys(days, rows),
            )
            for suite in suites
        }
        step.join_reads()
        return {suite: item.result() for suite, item in pending.items()}


def featurise(trust: Trust, days: Sequence[str]) -> Materialisation:
    """Make features of raw days through the gate."""
    with Step(trust, "features", "run-features", {"partitions": [*days]}) as step:
        read = step.read(RAW, days)
        for item in read.files:
            path = f"{FEATURES}/{item.partition}.parquet"
            step.write(item.partition, path, b"features of " + item.content, [item.sha256])
        return step.commit({"rows": dict.fromkeys(days, 3)})


def release(workspace: Workspace, why: str = "reviewed") -> None:
    """Release the policy folder as it is now, by both policy authors."""
    for email in (AUTHOR, REVIEWER):
        governing.sign_release(workspace, email, why)


def build_chain(workspace: Workspace) -> Chain:
    """Two honest days in a home whose policy is released."""
    raw = ingest(workspace.trust, {day: f"transactions of {day}".encode() for day in DAYS})
    contracts = judge(workspace.trust, RAW, DAYS)
    return Chain(workspace, raw, contracts, featurise(workspace.trust, DAYS))


def copy_home(home: Path, target: Path) -> Path:
    """A copy without the servers' own files."""
    shutil.copytree(home, target, ignore=shutil.ignore_patterns("run", "log"))
    return target


def open_workspace(home: Path, project: Path) -> Workspace:
    """A home opened anew; what code runs is measured once a session, for it takes half a second."""
    workspace = Workspace(Settings(home=home, project=project))
    workspace.attestor = _ATTESTORS.setdefault(project, workspace.attestor)
    return workspace


_ATTESTORS: dict[Path, Attestor] = {}


@dataclass
class Forger:
    """Signs lies with real identities through the real servers. Each method is one kind of lie."""

    trust: Trust
    environment: str = "local"
    made: int = 0  # whatever is forged differs from all before: statements are named by content

    def sign(
        self, predicate_type: str, name: str, digest: str, predicate: Mapping[str, Any], who: str
    ) -> VerifiedBundle:
        """Sign any statement as `who`: a workload's path or a person's e-mail address."""
        issuer = "workloads" if who.startswith("/") else "people"
        statement = statements.build_statement(predicate_type, name, digest, predicate)
        return self.trust.signing.sign(statement, Identity(issuer=issuer, subject=who))

    def entry(self, path: str, day: str, content: bytes, made_from: Sequence[str]) -> FileEntry:
        """A file written behind the gate's back, in a folder of its own."""
        target = self.trust.home / self.folder_of(path) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return FileEntry(
            path=path,
            partition=day,
            size=len(content),
            sha256=encoding.digest_bytes(content),
            made_from=tuple(made_from),
        )

    @staticmethod
    def folder_of(path: str) -> str:
        """The location of a forged file: other files in it would be refused as unattested."""
        return f"forged/{Path(path).stem}"

    def source(self, content: bytes = b"landed", name: str = "landing") -> tuple[Material, str]:
        """A landing file as material, and its digest."""
        digest = encoding.digest_bytes(content)
        item = FileEntry(path="landing/x", partition=DAYS[0], size=len(content), sha256=digest)
        view = Manifest.of(name, [item])
        self.trust.store.put_manifest(view)
        return Material(name=name, digest=view.digest, role="source"), digest

    def provenance(
        self,
        made: str,
        by: str,
        entries: Sequence[FileEntry],
        materials: Sequence[Material],
        **lies: Any,
    ) -> VerifiedBundle:
        """A materialisation; `lies` replace fields, `who` the signer, `manifest` the subject."""
        manifest = lies.pop("manifest", Manifest.of(lies.get("asset", made), entries))
        self.trust.store.put_manifest(manifest)
        who = lies.pop("who", f"/steps/{by}")
        subject = lies.pop("subject", made)
        sequence, previous = self.trust.lineage().versions.next(made)
        now = encoding.utc_text(self.trust.clock())
        honest: dict[str, Any] = {
            "builder_id": "urn:forger",
            "environment": self.environment,
            "asset": made,
            "step": by,
            "parameters": PARAMETERS.get(by, {}),
            "sequence": sequence,
            "previous": previous,
            "run_id": "run-forger",
            "materials": materials,
            "started_at": now,
            "finished_at": now,
            "outputs": {"location": self.folder_of(entries[0].path) if entries else "data"},
        }
        predicate = statements.provenance_predicate(**(honest | lies))
        return self.sign(statements.PROVENANCE, subject, manifest.digest, predicate, who)

    def forged_entry(self, made_from: Sequence[str], day: str = DAYS[0]) -> FileEntry:
        """A file of the first day under a name of its own."""
        self.made += 1
        return self.entry(f"{self.made}.parquet", day, b"forged", made_from)

    def raw(self, **lies: Any) -> VerifiedBundle:
        """A raw day from a landing file."""
        material, digest = self.source()
        entry = self.forged_entry([digest], f"forged-{self.made}")  # no honest day is replaced
        given = {"entries": [entry], "materials": [material]} | lies
        return self.provenance(RAW, "ingest", **given)

    def contract(
        self,
        view: Manifest,
        suite: str,
        inputs: Sequence[VerifiedBundle],
        *,
        who: str = "/steps/contracts",
        name: str = RAW,
        annotations: Mapping[str, Any] | None = None,
        **lies: Any,
    ) -> VerifiedBundle:
        """A contract's result; `annotations` replace single facts after it was built."""
        self.trust.store.put_manifest(view)
        self.made += 1
        rule = self.trust.policies.current().layout.contracts.get(suite)
        honest: dict[str, Any] = {
            "suite": suite,
            "suite_digest": rule.suite_digests[-1] if rule else "0" * 64,
            "environment": self.environment,
            "step": "contracts",
            "checks": ("amounts_are_not_negative",),
            "failures": [],
            "rows": dict.fromkeys(view.partitions, 3),
            "run_id": f"run-forger-{self.made}",
        }
        if "decision" not in lies:
            judges = {"step": "contracts", "asset": view.asset, "partitions": [*view.partitions]}
            allowed = self.decision(view, inputs, facts=judges)
            honest["decision"] = allowed.statement.digest
        predicate = statements.contract_predicate(**(honest | lies))
        predicate["annotations"] |= dict(annotations or {})
        return self.sign(statements.TEST_RESULT, name, view.digest, predicate, who)

    def decision(
        self,
        view: Manifest,
        inputs: Sequence[VerifiedBundle],
        *,
        who: str = "/gates/data-access",
        **lies: Any,
    ) -> VerifiedBundle:
        """A decision that the features step may read `view`."""
        self.trust.store.put_manifest(view)
        self.made += 1
        honest: dict[str, Any] = {
            "verifier_id": f"urn:forger:{self.made}",
            "at": encoding.utc_text(self.trust.clock()),
            "resource": f"urn:fraud-provenance:asset:{view.asset}",
            "policy_digest": self.trust.policies.current().digest,
            "inputs": [item.statement.digest for item in inputs],
            "allowed": True,
            "environment": self.environment,
            "gate": "data_access",
            "facts": {"step": "features", "asset": view.asset, "partitions": [*view.partitions]},
            "reasons": [],
        }
        predicate = statements.summary_predicate(**(honest | lies))
        return self.sign(statements.VERIFICATION_SUMMARY, view.asset, view.digest, predicate, who)

    def features(
        self,
        view: Manifest,
        decision: VerifiedBundle | None,
        **lies: Any,
    ) -> VerifiedBundle:
        """Features of the first file of `view`, read with `decision`."""
        self.trust.store.put_manifest(view)
        first = view.entries[0]
        material = Material(
            name=view.asset,
            digest=view.digest,
            role="input",
            decision=decision.statement.digest if decision else "",
        )
        if "entries" not in lies:
            own_day = f"forged-{self.made}"  # a folder of its own is written once
            lies["entries"] = [self.forged_entry([first.sha256], own_day)]
        return self.provenance(FEATURES, "features", **({"materials": [material]} | lies))


@pytest.fixture(scope="session")
def policy_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a home needs of the project: policies and lock, outside git."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(PROJECT / "policies", folder / "policies")
    shutil.copyfile(PROJECT / "requirements.lock", folder / "requirements.lock")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _no_proxy() -> Iterator[None]:
    """Requests to 127.0.0.1 must not take a proxy that the surroundings name."""
    before = os.environ.get("NO_PROXY")
    os.environ["NO_PROXY"] = "127.0.0.1"
    yield
    if before is None:
        del os.environ["NO_PROXY"]
    else:
        os.environ["NO_PROXY"] = before


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a person reads: the console keeps the stream that it found when it was made."""
    from fraud_provenance.cli import terminal

    text = io.StringIO()
    monkeypatch.setattr(terminal.err, "_file", text)
    return text


@pytest.fixture(scope="module", autouse=True)
def _nothing_left() -> Iterator[None]:
    """A module that leaves an override behind fails itself, not whoever runs next to it."""
    before = dict(os.environ)
    yield
    left = {name: value for name, value in os.environ.items() if before.get(name) != value}
    refuse_overrides(left, PROJECT)


@pytest.fixture(autouse=True)
def _no_mlflow_left() -> Iterator[None]:
    """MLflow keeps the store that it used last; for the next test it would be an override."""
    yield
    if "mlflow" in sys.modules:
        import mlflow

        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # the way to none at all
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def home_with_servers(
    tmp_path_factory: pytest.TempPathFactory, policy_project: Path
) -> Iterator[Workspace]:
    """A running home without anything in it but a released policy. Tests do not write into it."""
    home = tmp_path_factory.mktemp("home") / "home"
    workspace = Workspace(Settings(home=home, project=policy_project))
    workspace.create_folders()
    workspace.sigstore.up()
    try:
        governing.found(workspace)
        yield workspace
    finally:
        workspace.sigstore.down()


@pytest.fixture(scope="session")
def honest(
    home_with_servers: Workspace, tmp_path_factory: pytest.TempPathFactory, policy_project: Path
) -> Chain:
    """The honest chain, for reading only."""
    home = copy_home(home_with_servers.home, tmp_path_factory.mktemp("honest") / "home")
    return build_chain(open_workspace(home, policy_project))


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Arena]":
    """The one home of the session that the real pipeline built, with its saved states."""
    from fraud_provenance_tests.attacks.arena import open_arena

    with open_arena(tmp_path_factory.mktemp("arena")) as made:
        yield made


@pytest.fixture
def open_copy(honest: Chain, tmp_path: Path, policy_project: Path) -> Callable[[], Chain]:
    """Copies of the honest home, each opened anew."""

    def copy() -> Chain:
        target = tmp_path / f"home-{len(list(tmp_path.glob('home-*')))}"
        home = copy_home(honest.workspace.home, target)
        return replace(honest, workspace=open_workspace(home, policy_project))

    return copy


@pytest.fixture(scope="module")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[ObjectServer]":
    """A real object store, and the variables by which clients find its credentials."""
    from fraud_provenance_tests.object_server import credentials, object_server

    with object_server(tmp_path_factory.mktemp("objects")) as found, credentials():
        yield found


@pytest.fixture(scope="session")
def postgres() -> "Iterator[PostgresServer]":
    """A real PostgreSQL for all tests of the session; skips where none is installed."""
    from fraud_provenance_tests.postgres_server import postgres_server

    with postgres_server() as found:
        yield found


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[MlflowServer]":
    """A real MLflow server for all tests of the session."""
    from fraud_provenance_tests import mlflow_server as server

    with server.mlflow_server(tmp_path_factory.mktemp("mlflow")) as found:
        yield found


@pytest.fixture
def chain(open_copy: Callable[[], Chain]) -> Chain:
    """A copy of the honest home that a test may tamper with."""
    return open_copy()


@pytest.fixture
def forger(chain: Chain) -> Forger:
    """Signs lies into `chain`."""
    return Forger(chain.trust)


@pytest.fixture
def fresh(home_with_servers: Workspace, tmp_path: Path, policy_project: Path) -> Workspace:
    """A home without data, with the policy released."""
    return open_workspace(copy_home(home_with_servers.home, tmp_path / "fresh"), policy_project)


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory, policy_project: Path) -> Iterator[Workspace]:
    """Another home with servers of its own: whatever it signs is foreign here."""
    home = tmp_path_factory.mktemp("stranger") / "home"
    workspace = Workspace(Settings(home=home, project=policy_project))
    workspace.create_folders()
    workspace.sigstore.up()
    try:
        governing.found(workspace)
        yield workspace
    finally:
        workspace.sigstore.down()
