"""The servers of `make production`: what is written, with which modes, and what is told."""

import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError

from fraud_provenance.attested.core.errors import BackendError, ConfigError
from fraud_provenance.attested.local.processes import Processes, Server
from fraud_provenance.home.settings import settings_from
from fraud_provenance.home.surroundings import POSTGRES_PASSWORD
from fraud_provenance.run import production, site_servers
from fraud_provenance.run.site import DAGSTER, EVIDENCE, MLFLOW, ROOT, Site, closed_to_others
from fraud_provenance_tests.attacks.network import HOST, free_port
from fraud_provenance_tests.conftest import codes
from fraud_provenance_tests.site_server import require_postgres, servers_of_a_site

SECRETS = ("store-root", "store-evidence", "store-mlflow", "database-dagster", "database-mlflow")
_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "home")


@pytest.fixture
def open_site() -> Iterator[Site]:
    with servers_of_a_site() as made:
        yield made


@pytest.fixture
def postgres(open_site: Site) -> site_servers.Postgres:
    require_postgres()
    found = site_servers.Postgres(open_site)
    found.check()
    return found


def quiet(_text: str) -> None:
    """Nobody listens."""


def test_settings_name_every_server_and_are_read_by_the_product(site: Site) -> None:
    site.check()
    given = settings_from(site.variables(), site.write_settings())
    assert not site.is_moved
    assert given.home == site.home
    assert given.evidence.place == f"s3://{EVIDENCE}/home"
    assert given.evidence.endpoint == site.store_address
    assert given.evidence.kept_days > 0
    assert given.data.place == f"s3://{EVIDENCE}/home"
    assert given.data.kept_days == 0
    assert given.mlflow.server == site.mlflow_address
    assert given.postgres.storage()["port"] == site.ports["postgres"]
    assert given.memory.place == f"s3://{EVIDENCE}/home"
    assert len(set(site.ports.values())) == 3
    assert Site(site.home).ports == site.ports
    (site.home / "trust").mkdir()
    Site(site.home).check()  # its demo was broken off
    (site.home / "settings.toml").write_text(site.settings())
    Site(site.home).check()
    assert site.is_moved


def test_secrets_are_random_kept_and_closed_to_others(site: Site, tmp_path: Path) -> None:
    made = {name: site.secret(name) for name in SECRETS}
    site.write_variables()
    site.passwords(MLFLOW)
    assert len(set(made.values())) == len(SECRETS)
    assert {name: Site(site.home).secret(name) for name in SECRETS} == made
    assert Site(tmp_path / "other").secret(SECRETS[0]) != made[SECRETS[0]]
    keys = site.folder / "keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o600}
    variables = site.variables()
    assert variables[POSTGRES_PASSWORD] == made["database-dagster"]
    assert made["store-evidence"] in Path(variables["AWS_SHARED_CREDENTIALS_FILE"]).read_text()
    outside = [path for path in site.home.rglob("*") if path.is_file() and path.parent != keys]
    assert all(made[name] not in path.read_text() for path in outside for name in SECRETS)


def test_no_secret_is_on_a_command_line_or_in_what_is_printed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_servers, "tools_dir", lambda: Path("/tools"))
    servers = [site_servers.store(site), site_servers.mlflow(site)]
    told = [*site_servers.Postgres(site).start_arguments()]
    told += [word for server in servers for word in server.argv] + [repr(one) for one in servers]
    told.append(site.settings())
    assert not [word for word in told for name in SECRETS if site.secret(name) in word]
    store, mlflow = servers
    assert store.argv[0] == "/tools/versitygw-1.8.0"
    assert store.environment["ROOT_SECRET_ACCESS_KEY"] == site.secret(f"store-{ROOT}")
    assert all(str(HOST) in " ".join(server.argv) for server in servers)
    assert "--serve-artifacts" in mlflow.argv
    assert mlflow.environment["MLFLOW_S3_ENDPOINT_URL"] == site.store_address


@pytest.mark.parametrize("what", ["settings.toml", "trust"])
def test_home_of_another_kind_is_refused_as_it_is(site: Site, what: str) -> None:
    site.home.mkdir()
    if what == "trust":
        (site.home / what).mkdir()
    else:
        (site.home / what).write_text('environment = "staging"\n')
    with pytest.raises(ConfigError, match="stays as it is") as caught:
        site.check()
    assert codes(caught.value) == ["USAGE"]
    assert [path.name for path in site.home.iterdir()] == [what]


def test_missing_postgres_is_said_in_a_line_before_anything_is_made(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(site_servers, "programs", lambda: None)
    monkeypatch.setenv("FRAUD_PROVENANCE_HOME", str(site.home))
    assert production.main([]) == 2
    said = capsys.readouterr().err
    assert "PostgreSQL is not installed" in said
    assert site_servers.PACKAGE in said
    assert not site.home.exists()


def test_object_store_that_is_not_built_names_the_target_that_builds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FRAUD_PROVENANCE_TOOLS", str(tmp_path))
    with pytest.raises(ConfigError, match=r"versitygw-[0-9.]+ is not in") as caught:
        site_servers.check_store()
    assert caught.value.reasons[0].remedy == "make object-store"


def test_folder_that_others_cannot_pass_is_named(tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o700)
    assert shut in closed_to_others(shut / "home" / "servers")
    shut.chmod(0o711)
    assert shut not in closed_to_others(shut / "home" / "servers")


def test_commands_get_no_key_of_another_store(site: Site) -> None:
    environ = {"AWS_ACCESS_KEY_ID": "other", "AWS_PROFILE": "other", "PATH": "/bin"}
    production.surround(site, environ)
    assert environ == {"PATH": "/bin"} | site.variables()


@pytest.mark.parametrize(
    "program", ["print('no room left'); exit(3)", "import time; time.sleep(9)"]
)
def test_server_that_does_not_come_up_is_named_with_its_log(site: Site, program: str) -> None:
    site.folder.mkdir(parents=True)
    port = free_port()
    server = Server("one", [sys.executable, "-c", program], port, f"http://{HOST}:{port}/")
    try:
        with pytest.raises(BackendError, match=r"one (ended|does not answer)") as caught:
            site_servers.ensure(site, server, 1, quiet)
    finally:
        site_servers.stop(site, [server])
    found = caught.value.reasons[0]
    assert str(Processes(site.folder).log("one")) in found.remedy
    assert ("no room left" in found.message) == ("no room" in program)


def test_what_a_killed_server_left_is_ended_and_what_runs_is_not(site: Site) -> None:
    site.folder.mkdir(parents=True)
    processes = Processes(site.folder)
    server = Server("parent", [sys.executable, "-c", _PARENT], 1, "http://127.0.0.1:1/")
    other = Server("other", [*server.argv, "other"], 1, "http://127.0.0.1:1/")
    started = {one.name: processes.start(one) for one in (server, other)}
    try:
        children = {name: _child(process) for name, process in started.items()}
        site_servers.end_strays(site.folder)
        assert all(child.is_running() for child in children.values())
        started["parent"].kill()
        started["parent"].wait(5)
        assert children["parent"].is_running()
        site_servers.end_strays(site.folder)
        psutil.wait_procs([children["parent"]], timeout=5)
        assert not children["parent"].is_running()
        assert children["other"].is_running()
    finally:
        site_servers.stop(site, [server, other])
    assert not children["other"].is_running()


def _child(process: psutil.Process) -> psutil.Process:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if found := process.children():
            return found[0]
        time.sleep(0.05)
    raise AssertionError("it started nothing")


def _asked(site: Site, role: str, secret: str) -> tuple[str, bool] | None:
    import psycopg2

    place = {"host": HOST, "port": site.ports["postgres"], "dbname": role}
    with psycopg2.connect(**place, user=role, password=secret, connect_timeout=10) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "select current_user, (select rolsuper from pg_roles where rolname = %s)", [role]
        )
        found: tuple[str, bool] | None = cursor.fetchone()
        return found


@pytest.mark.integration
def test_databases_are_made_whole_after_a_kill_and_let_their_roles_in_only(
    open_site: Site, postgres: site_servers.Postgres
) -> None:
    import psycopg2

    half = open_site.folder / "postgres.new-1" / "data"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("15\n")
    postgres.start(quiet)
    assert not list(open_site.folder.glob("postgres.new*"))
    for role in (DAGSTER, MLFLOW):
        assert _asked(open_site, role, open_site.secret(f"database-{role}")) == (role, False)
    other = open_site.secret(f"database-{MLFLOW}")
    for role in (DAGSTER, "postgres"):
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            _asked(open_site, role, other)
    pid = postgres.pid()
    postgres.start(quiet)
    assert postgres.pid() == pid
    assert pid is not None
    psutil.Process(pid).kill()
    psutil.Process(pid).wait(10) if psutil.pid_exists(pid) else None
    postgres.start(quiet)
    assert postgres.pid() not in (None, pid)
    assert _asked(open_site, MLFLOW, other) == (MLFLOW, False)
    postgres.stop()
    assert postgres.pid() is None
    assert (open_site.folder / "postgres" / "data" / "PG_VERSION").exists()


@pytest.mark.integration
def test_database_that_cannot_start_is_named_with_its_logs(
    open_site: Site, postgres: site_servers.Postgres
) -> None:
    postgres.start(quiet)
    postgres.stop()
    (open_site.folder / "postgres" / "data" / "global" / "pg_control").unlink()
    with pytest.raises(BackendError, match="STORAGE_UNAVAILABLE") as caught:
        postgres.start(quiet)
    remedy = caught.value.reasons[0].remedy
    assert str(open_site.folder / "pg_ctl.log") in remedy
    assert str(open_site.folder / "postgres" / "log") in remedy


@pytest.mark.integration
def test_users_of_the_store_can_do_what_they_need_and_no_more(open_site: Site) -> None:
    place = open_site.folder / "store"
    for name in ("iam", "versions", "root"):
        (place / name).mkdir(parents=True)
    try:
        os.setxattr(place, "user.kept", b"1")
    except OSError:
        pytest.skip("the file system keeps no user attributes, which the object store needs")
    server = site_servers.store(open_site)
    for _ in range(2):  # the second finds what is there
        site_servers.ensure(open_site, server, 30, quiet)
        site_servers.furnish(open_site)
    writer, mlflow = (site_servers.client(open_site, name) for name in (EVIDENCE, MLFLOW))
    written = writer.put_object(Bucket=EVIDENCE, Key="home/x", Body=b"1", IfNoneMatch="*")
    refused = [
        lambda: writer.delete_object(Bucket=EVIDENCE, Key="home/x", VersionId=written["VersionId"]),
        lambda: writer.delete_object(Bucket=EVIDENCE, Key="home/x"),
        lambda: writer.put_object(Bucket=MLFLOW, Key="x", Body=b"1"),
        lambda: mlflow.get_object(Bucket=EVIDENCE, Key="home/x"),
        lambda: mlflow.put_bucket_policy(
            Bucket=MLFLOW, Policy=site_servers.policy(MLFLOW, ["s3:*"])
        ),
    ]
    for ask in refused:
        with pytest.raises(ClientError, match="AccessDenied"):
            ask()
    mlflow.put_object(Bucket=MLFLOW, Key="artifacts/x", Body=b"1")
    mlflow.delete_object(Bucket=MLFLOW, Key="artifacts/x")
    root = site_servers.client(open_site, ROOT)
    lock = root.get_object_lock_configuration(Bucket=EVIDENCE)
    assert lock["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"


def pids(site: Site) -> dict[str, int | None]:
    return {name: pid for name, pid, _ in site_servers.status(site)}


@pytest.mark.e2e
def test_servers_are_found_at_work_and_come_back_after_a_kill(
    open_site: Site, postgres: site_servers.Postgres, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    production.begin(open_site)
    first = pids(open_site)
    assert None not in first.values()
    assert postgres.pid() == first["postgres"]
    client = MlflowClient(open_site.mlflow_address, open_site.mlflow_address)
    run = client.create_run(client.create_experiment("by hand")).info
    assert run.artifact_uri.startswith("mlflow-artifacts:/")
    client.log_text(run.run_id, "kept", "note.txt")
    listed = site_servers.client(open_site, MLFLOW).list_objects_v2(Bucket=MLFLOW)
    assert [item["Key"].rpartition("/")[2] for item in listed["Contents"]] == ["note.txt"]
    production.begin(open_site)
    assert pids(open_site) == first
    for name in ("mlflow", "store"):
        killed = first[name]
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
    production.begin(open_site)
    again = pids(open_site)
    assert again["postgres"] == first["postgres"]
    assert None not in again.values()
    assert {again["mlflow"], again["store"]}.isdisjoint(first.values())
    kept = client.download_artifacts(run.run_id, "note.txt", str(tmp_path))
    assert Path(kept).read_text() == "kept"
    site_servers.stop(open_site, [site_servers.mlflow(open_site), site_servers.store(open_site)])
    postgres.stop()
    assert set(pids(open_site).values()) == {None}
