"""A site of `make production` for a test: its folder, and the end of whatever was started there."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fraud_provenance.home.surroundings import HOME_VARIABLE
from fraud_provenance.run import site_servers
from fraud_provenance.run.site import Site


@contextmanager
def servers_of_a_site() -> Iterator[Site]:
    """A site that other users can come to, for PostgreSQL runs as one of them."""
    with tempfile.TemporaryDirectory(prefix="site-") as folder:
        Path(folder).chmod(0o755)
        made = Site(Path(folder) / "home")
        made.folder.mkdir(parents=True)
        try:
            yield made
        finally:
            site_servers.Postgres(made).stop()
            site_servers.stop(made, [site_servers.mlflow(made), site_servers.store(made)])


@contextmanager
def running_site() -> Iterator[Site]:
    """PostgreSQL, an object store and MLflow's server, new and empty."""
    require_postgres()
    with servers_of_a_site() as made:
        site_servers.start(made, lambda _text: None)
        yield made


def around(site: Site) -> dict[str, str]:
    """The variables with the keys of its servers, for a home that lies elsewhere."""
    return {name: text for name, text in site.variables().items() if name != HOME_VARIABLE}


def require_postgres() -> None:
    """Skip where there is none on this machine."""
    if site_servers.programs() is None:
        pytest.skip(f"PostgreSQL is not installed: {site_servers.PACKAGE}")
