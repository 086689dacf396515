"""Two machines that work on one home: they share a store, a memory, an index and locks, no disk."""

import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from fraud_provenance.attested.core.errors import BackendError, ProvenanceError
from fraud_provenance.attested.ports.chain_memory import ChainMemory
from fraud_provenance.attested.ports.memory import ProcessMemory
from fraud_provenance.attested.ports.object_store import ObjectBlobs
from fraud_provenance.attested.store.databases import SqliteDatabase
from fraud_provenance.attested.store.store import EvidenceStore
from fraud_provenance.home.postgres import PostgresDatabase, Server
from fraud_provenance.home.server_settings import Postgres
from fraud_provenance.home.settings import Place
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.resources import ProvenanceResource
from fraud_provenance.run import moving
from fraud_provenance_tests.conftest import (
    DAYS,
    FEATURES,
    PROJECT,
    RAW,
    Chain,
    Forger,
    codes,
    featurise,
    ingest,
    judge,
    raw_path,
)
from fraud_provenance_tests.object_server import BUCKET, ObjectServer
from fraud_provenance_tests.postgres_server import PASSWORD, PostgresServer

pytestmark = pytest.mark.integration

REMEMBERED = ("heads.json", "releases.json", "prediction_log.json")


@dataclass
class Machines:
    """A home's settings for two machines, of which the second has an empty disk."""

    first: Chain
    second: Path

    def here(self) -> Chain:
        """The first machine, opened anew."""
        return replace(self.first, workspace=self._opened(self.first.workspace.home))

    def there(self) -> Chain:
        """The second one."""
        return replace(self.first, workspace=self._opened(self.second))

    def _opened(self, home: Path) -> Workspace:
        workspace = Workspace(replace(self.first.workspace.settings, home=home))
        workspace.attestor = self.first.workspace.attestor
        return workspace


@pytest.fixture
def machines(
    chain: Chain, object_store: ObjectServer, postgres: PostgresServer, tmp_path: Path
) -> Machines:
    place = Place(place=f"s3://{BUCKET}/{tmp_path.name}", endpoint=object_store.endpoint)
    settings = replace(
        chain.workspace.settings,
        evidence=place,
        data=place,
        memory=place,
        postgres=Postgres(address=postgres.address),
        postgres_password=SecretStr(PASSWORD),
    )
    home, second = chain.workspace.home, tmp_path / "second"
    moving.copy_evidence(settings, lambda _: None)
    workspace = Workspace(settings)
    workspace.attestor = chain.workspace.attestor
    moving.copy_data(workspace, lambda _: None)
    gone = shutil.ignore_patterns("evidence", "data", "landing", "objects", *REMEMBERED)
    shutil.copytree(home, second, ignore=gone)
    shutil.rmtree(home / "evidence")
    first = replace(chain, workspace=workspace)
    ingest(first.trust, {DAYS[1]: b"what this home remembers goes with it"})
    assert not (second / "data").exists()
    return Machines(first, second)


def test_an_empty_disk_verifies_what_another_machine_made(machines: Machines) -> None:
    there = machines.there()
    assert there.verdict().trusted
    assert there.trust.lineage().versions.problems(RAW) == []
    assert (machines.second / "data" / raw_path(DAYS[0])).exists()


def test_a_day_goes_from_machine_to_machine(machines: Machines) -> None:
    there = machines.there()
    made = ingest(there.trust, {DAYS[0]: b"newer"})
    assert made.sequence == 3
    here = machines.here()  # an older version lies on its disk
    judged = judge(here.trust, RAW, DAYS)
    assert all(here.verdict(result).trusted for result in judged.values())
    assert (here.workspace.home / "data" / raw_path(DAYS[0])).read_bytes() == b"newer"
    features = featurise(machines.there().trust, DAYS)
    assert machines.here().verdict(features.bundle).trusted
    assert [*machines.here().trust.store.heads(FEATURES)] == [*DAYS]


def test_what_is_open_elsewhere_sees_what_is_signed_here(machines: Machines) -> None:
    here, there = machines.here(), machines.there()
    assert [head.sequence for head in there.trust.store.heads(RAW)[DAYS[0]]] == [1]
    made = ingest(here.trust, {DAYS[0]: b"newer"})
    assert there.verdict(made.bundle).trusted
    assert [head.sequence for head in there.trust.store.heads(RAW)[DAYS[0]]] == [3]


def test_both_at_once_make_one_chain(machines: Machines) -> None:
    open_at_once = [machines.here, machines.there] * 3

    def work(number: int) -> int:
        trust = open_at_once[number]().trust
        return ingest(trust, {f"2018-05-0{number + 1}": b"%d" % number}).sequence

    with ThreadPoolExecutor(len(open_at_once)) as pool:
        sequences = list(pool.map(work, range(len(open_at_once))))
    assert sorted(sequences) == list(range(3, 3 + len(open_at_once)))
    for chain in (machines.here(), machines.there()):
        assert chain.trust.lineage().versions.problems(RAW) == []


def test_bytes_that_nobody_attested_are_refused_on_each_disk(machines: Machines) -> None:
    path = machines.first.workspace.home / "data" / raw_path(DAYS[0])
    path.write_bytes(b"edited")
    here = machines.here()
    head = here.trust.store.heads(RAW)[DAYS[0]][0]
    assert codes(here.verdict(here.trust.lineage().node(head.statement).bundle)) == [
        "DIGEST_MISMATCH"
    ]
    assert path.read_bytes() == b"edited"


def test_a_memory_that_is_put_back_is_missed(
    machines: Machines, object_store: ObjectServer
) -> None:
    here = machines.here()
    ingest(here.trust, {DAYS[0]: b"newer"})
    prefix = here.workspace.settings.memory.place.removeprefix(f"s3://{BUCKET}/")
    names = f"{prefix}/chains/trust/heads.json/"
    listed = object_store.client.list_objects_v2(Bucket=BUCKET, Prefix=names)["Contents"]
    object_store.client.delete_object(Bucket=BUCKET, Key=max(item["Key"] for item in listed))
    with pytest.raises(ProvenanceError) as caught:
        ingest(machines.here().trust, {DAYS[0]: b"newest"})
    assert codes(caught.value) == ["EVIDENCE_ROLLBACK"]


def test_a_link_that_says_less_is_left_behind_as_the_documentation_has_it(
    machines: Machines,
) -> None:
    """By the commands of docs/production.md, Several machines, one home."""
    here, there = machines.here(), machines.there()
    assert there.verdict().trusted
    bucket = here.workspace.settings.memory.bucket()
    assert bucket is not None
    chains = ObjectBlobs(replace(bucket, prefix=f"{bucket.prefix}/chains"))
    ChainMemory(chains, ProcessMemory()).change(
        "trust/heads.json", lambda _: b'{"heads":{},"version":1}'
    )
    assert not machines.here().verdict().trusted
    with pytest.raises(ProvenanceError, match="says less") as caught:
        machines.here().trust.lineage().versions.seen.all()
    assert "Several machines, one home" in caught.value.reasons[0].remedy

    text = (PROJECT / "docs" / "production.md").read_text()
    commands = [
        line for line in text.splitlines() if line.startswith(("for seen in", "rm -f run/*.seen"))
    ]
    assert len(commands) == 2
    subprocess.run(["sh", "-ec", "\n".join(commands)], cwd=here.workspace.home, check=True)
    for seen in machines.second.rglob("*.seen"):
        seen.unlink()
    place = here.workspace.settings.memory
    moved = place.model_copy(update={"place": f"{place.place}-anew"})
    settings = replace(here.workspace.settings, memory=moved)
    machines.first.workspace.settings = settings
    assert machines.here().verdict().trusted
    made = ingest(machines.there().trust, {DAYS[0]: b"newer"})
    assert (made.sequence, machines.here().verdict(made.bundle).trusted) == (3, True)


def test_an_older_version_that_is_asked_for_leaves_the_newest_where_it_lies(
    machines: Machines,
) -> None:
    here = machines.here()
    ingest(here.trust, {DAYS[0]: b"newer"})
    older = here.trust.lineage().node(machines.first.raw.bundle.statement.digest)
    assert older.manifest is not None
    entry = next(item for item in older.manifest.entries if item.partition == DAYS[0])
    with pytest.raises(ProvenanceError, match="newer version's"):
        here.trust.lineage().artifacts.read(older, entry)
    assert (here.workspace.home / "data" / raw_path(DAYS[0])).read_bytes() == b"newer"


def test_a_file_that_is_written_once_is_never_replaced(machines: Machines) -> None:
    here = machines.here()
    made = Forger(here.trust).raw()
    assert here.verdict(made).trusted
    (path,) = (here.workspace.home / "forged").rglob("*.parquet")
    path.write_bytes(b"edited")
    assert codes(machines.here().verdict(made)) == ["DIGEST_MISMATCH"]
    assert path.read_bytes() == b"edited"


def test_a_sensors_glance_changes_when_another_machine_signs(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = machines.here().workspace.settings
    monkeypatch.setattr("fraud_provenance.resources.settings_from", lambda _: settings)
    before = ProvenanceResource().glance()
    assert ProvenanceResource().glance() == before
    ingest(machines.there().trust, {DAYS[0]: b"newer"})
    assert ProvenanceResource().glance() != before


def asked(store: EvidenceStore, statement: str) -> list[Any]:
    """One answer to each question that an index is asked."""
    return [
        sorted(store.known().items()),
        store.carriers(statement),
        [store.records(), store.records(asset=RAW), store.records(statement=statement)],
        [store.heads(RAW), store.heads(FEATURES), store.heads("nothing")],
        [store.versions(RAW), store.versions(RAW, DAYS[0])],
        store.replaced(RAW),
        [store.chain(RAW), store.chain("revocations")],
        [store.files_named(""), store.files_named(store.versions(RAW)[0].sha256[:8])],
        store.statement_of_file(store.versions(RAW)[-1].sha256),
        store.contract_results(RAW),
        [store.newest_result(RAW, suite) for suite in ("raw_schema", "nothing")],
        [sorted(store.logged_since(b"log", 0)), sorted(store.stored_statements())],
    ]


@pytest.fixture
def database(postgres: PostgresServer, tmp_path: Path) -> Callable[[], PostgresDatabase]:
    server = Server(Postgres(address=postgres.address), SecretStr(PASSWORD))
    return lambda: PostgresDatabase(server, str(tmp_path))


def test_both_databases_give_the_same_answers(
    chain: Chain, database: Callable[[], PostgresDatabase], tmp_path: Path
) -> None:
    ingest(chain.trust, {DAYS[0]: b"newer"})
    judge(chain.trust, RAW, DAYS)
    blobs, log = chain.workspace.blobs("evidence"), [bytes.fromhex(_log_of(chain))]
    for logs in ([], log):
        here = EvidenceStore(blobs, SqliteDatabase(tmp_path / f"{len(logs)}.sqlite"), logs)
        there = EvidenceStore(blobs, database(), logs)
        statement = chain.raw.bundle.statement.digest
        assert asked(there, statement) == asked(here, statement)
        assert all(asked(here, statement)[:4])


def _log_of(chain: Chain) -> str:
    return chain.trust.store.records()[0].log


def test_tables_of_another_version_are_made_anew(
    database: Callable[[], PostgresDatabase],
) -> None:
    tables = {"seen": ("name text primary key",)}
    first = database()
    first.prepare(1, tables, ())
    first.write([("insert into seen values (?)", [("a",), ("B",)])])
    again = database()
    again.prepare(1, tables, ())
    assert again.query("select name from seen order by name") == [{"name": "B"}, {"name": "a"}]
    before = first.state()
    again.prepare(2, tables, ())
    assert again.query("select name from seen") == []
    assert first.state() != before


def test_a_write_that_fails_leaves_nothing_and_the_next_one_works(
    database: Callable[[], PostgresDatabase],
) -> None:
    found = database()
    found.prepare(1, {"seen": ("name text primary key", "n bigint")}, ())
    insert = "insert into seen values (?, ?)"
    with pytest.raises(ValueError, match="cannot be kept"):
        found.write([(insert, [("a", 1)]), (insert, [("b", 1 << 70)])])
    assert found.query("select * from seen") == []
    with pytest.raises(BackendError, match="STORAGE_UNAVAILABLE"):
        found.query("select * from nowhere")
    found.write([(insert, [("a", 1)])])
    assert found.query("select n from seen where name = ?", ("a",)) == [{"n": 1}]


def test_a_server_that_was_started_again_is_used_again(
    database: Callable[[], PostgresDatabase], postgres: PostgresServer
) -> None:
    found = database()
    found.prepare(1, {"seen": ("name text primary key",)}, ())
    postgres.stop()
    with pytest.raises(BackendError, match="STORAGE_UNAVAILABLE"):
        found.state()
    postgres.start()
    assert found.query("select name from seen") == []
