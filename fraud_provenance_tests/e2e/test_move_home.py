"""A home that began in a folder goes on with servers: its champion, its scores, its next day."""

import shutil
from collections.abc import Iterator

import pytest

from fraud_provenance.run import site_servers
from fraud_provenance.run.site import MLFLOW, Site
from fraud_provenance_tests.attacks import faults
from fraud_provenance_tests.attacks.arena import TRAINED, Arena
from fraud_provenance_tests.attacks.home import opened
from fraud_provenance_tests.site_server import around, running_site

pytestmark = pytest.mark.e2e


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as made:
        yield made


def test_a_home_moves_and_goes_on(arena: Arena, site: Site) -> None:
    servers = around(site) | {"PGPASSFILE": str(site.passwords(MLFLOW))}
    with opened(arena, "scored") as home:
        day = faults.land_next_day(home)
        chosen = home.path / "scratch" / "servers.toml"
        chosen.write_text(site.settings())
        move = ("move-home", str(chosen), "--mlflow-database", site.mlflow_database)

        site_servers.stop(site, [site_servers.store(site)])
        said = home.command(*move, **servers)
        assert (said.code, said.codes) == (2, ("STORAGE_UNAVAILABLE",))
        assert not (home.path / "settings.toml").exists()
        assert home.command("verify", "model@champion").code == 0, "it works as before"

        site_servers.start(site, lambda _text: None)
        said = home.command(*move, **servers)
        assert said.code == 0, said.err
        assert "trusted from there: champion" in said.out
        shutil.rmtree(home.path / "evidence" / "bundles")
        (home.path / "evidence" / "index.sqlite").unlink()
        shutil.rmtree(home.path / "mlflow" / "artifacts")
        assert home.command("verify", "model@champion", **servers).code == 0

        said = home.command("run", *TRAINED, **servers)
        assert said.code == 0, said.err
        said = home.command("verify", f"transaction_scores/{day}", **servers)
        assert said.code == 0, said.err
        assert home.command("audit", **servers).code == 0
        said = home.command(*move, **servers)
        assert said.code == 0, "what is there already is moved again"
