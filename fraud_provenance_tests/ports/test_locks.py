"""What every form of `Locks` promises: one holder at a time, and a free lock after any end."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from fraud_provenance.attested.core.errors import BackendError
from fraud_provenance.attested.ports.locks import FolderLocks, Locks, ProcessLocks
from fraud_provenance.home.postgres import PostgresLocks, Server
from fraud_provenance.home.server_settings import Postgres
from fraud_provenance_tests.postgres_server import PASSWORD, PostgresServer

pytestmark = pytest.mark.integration


def of(server: PostgresServer, place: str = "s3://evidence/home") -> PostgresLocks:
    return PostgresLocks(Server(Postgres(address=server.address), SecretStr(PASSWORD)), place)


@pytest.fixture(params=["folder", "postgres", "process"])
def locks(request: pytest.FixtureRequest, tmp_path: Path) -> Locks:
    match request.param:
        case "folder":
            return FolderLocks(tmp_path / "run")
        case "process":
            return ProcessLocks()
    return of(request.getfixturevalue("postgres"))


def test_of_many_one_holds_it(locks: Locks) -> None:
    inside, most = [0], [0]

    def work(_: int) -> None:
        with locks.held("promotion"):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            threading.Event().wait(0.005)
            inside[0] -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    assert most == [1]


def test_another_name_is_another_lock(locks: Locks) -> None:
    with locks.held("promotion"), locks.held("raw_transactions"):
        pass


def test_it_is_free_after_an_error(locks: Locks) -> None:
    with pytest.raises(ValueError, match="broken"), locks.held("promotion"):
        raise ValueError("broken")
    with locks.held("promotion"):
        pass


def test_homes_of_one_server_do_not_wait_for_each_other(postgres: PostgresServer) -> None:
    with of(postgres).held("promotion"), of(postgres, "s3://evidence/other").held("promotion"):
        pass


def test_a_machine_that_is_gone_is_missed_within_a_minute(postgres: PostgresServer) -> None:
    server = Server(Postgres(address=postgres.address), SecretStr(PASSWORD))
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        told = {}
        for name in ("idle", "interval", "count"):
            cursor.execute(f"show tcp_keepalives_{name}")
            told[name] = int(cursor.fetchone()[0])
    assert told["idle"] + told["interval"] * told["count"] <= 60


def test_a_server_that_is_away_lets_nobody_in() -> None:
    away = Server(Postgres(address="postgresql://ann@127.0.0.1:9/runs"), SecretStr("p"))
    locks = PostgresLocks(away, "s3://evidence/home")
    with (
        pytest.raises(BackendError, match="STORAGE_UNAVAILABLE") as caught,
        locks.held("promotion"),
    ):
        raise AssertionError("nobody holds it")
    assert "[postgres]" in caught.value.reasons[0].remedy


def test_a_holder_whose_server_stopped_ends_well_and_the_next_one_holds_it(
    postgres: PostgresServer,
) -> None:
    with of(postgres).held("promotion"):
        postgres.stop()
        postgres.start()
    with of(postgres).held("promotion"):
        pass
