"""`make production`: a demo's home moves to servers of this machine, and goes on there.

PostgreSQL, an object store, MLflow's server and the local Sigstore, on 127.0.0.1, in a home of its
own. What was done is not done again, what runs already is used; `--down` ends each server by its
process id and keeps the data.
"""

import os
import sys
import time
from collections.abc import MutableMapping, Sequence

import fraud_provenance.causes  # noqa: F401 - no refusal is shown without its remedy
from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.core.files import exclusive_lock
from fraud_provenance.home.settings import PROJECT
from fraud_provenance.home.surroundings import HOME_VARIABLE, place_of
from fraud_provenance.home.workspace import opened_from
from fraud_provenance.run import demo, site_servers
from fraud_provenance.run.site import MLFLOW, Site

_NAME = ".fraud_provenance-production"


def site_of(environ: MutableMapping[str, str]) -> Site:
    """The site in the home that an environment names, or in the one beside the demo's."""
    return Site(place_of(environ.get(HOME_VARIABLE) or str(PROJECT / _NAME)))


def begin(site: Site) -> None:
    """Everything that is needed, in order; nothing is started where something is missing.

    Raises:
        ConfigError: USAGE, TOOL_UNAVAILABLE.
        BackendError: STORAGE_UNAVAILABLE, a server did not come up.
    """
    site_servers.Postgres(site).check()
    site_servers.check_store()
    site.check()
    site.folder.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(site.folder / "lock"):
        site.write_variables()
        site_servers.start(site, lambda text: print(text, flush=True))


def surround(site: Site, environ: MutableMapping[str, str]) -> None:
    """Give the commands their home and its keys, and no key of another store."""
    for name in [name for name in environ if name.startswith("AWS_")]:
        del environ[name]
    environ.update(site.variables())


def move(site: Site) -> None:
    """Bring the home to its servers."""
    chosen = str(site.write_settings())
    around = {"PGPASSFILE": str(site.passwords(MLFLOW))}
    demo.command("move-home", chosen, "--mlflow-database", site.mlflow_database, **around)


def down(site: Site) -> None:
    """End every server of this home by its process id; the data stay."""
    if not (site.folder / "ports.json").exists():
        print(f"{site.home} has no servers")
        return
    surround(site, os.environ)
    with exclusive_lock(site.folder / "lock"):
        opened_from(os.environ).sigstore.down()
        site_servers.stop(site, [site_servers.mlflow(site), site_servers.store(site)])
        site_servers.Postgres(site).stop()
    print(f"stopped; the data are kept in {site.home}")


def show(site: Site, transaction: int) -> None:
    """What runs where, how to look at it, how to stop it."""
    rows = [*site_servers.status(site)]
    rows += [
        (item.name, item.pid, f"http://127.0.0.1:{item.port}")
        for item in opened_from(os.environ).sigstore.status()
    ]
    print("\nwhat runs here, each on 127.0.0.1:")
    for name, pid, address in rows:
        print(f"  {name:<10} process {pid or '-':<8} {address}")
    program = "fraud-provenance"
    print(
        f"\nsettings   {site.home / 'settings.toml'}\n"
        f"logs       {site.folder}/*.log\n"
        "for a shell, with the keys of this home:\n"
        f"  set -a; . {site.write_variables()}; set +a; PATH=$PWD/.venv/bin:$PATH\n"
        f"  {program} ui                     Dagster with its daemon; MLflow is at "
        f"{site.mlflow_address}\n"
        f"  {program} trace {transaction} --json\n"
        "make production-down                    stops all of it; the data are kept"
    )


def main(arguments: Sequence[str]) -> int:
    """Start, or with `--down` stop."""
    try:
        site = site_of(os.environ)
        if "--down" in arguments:
            down(site)
            return 0
        began = time.monotonic()
        begin(site)
        surround(site, os.environ)
        ready = time.monotonic()
        if not site.is_moved:
            demo.play(opened_from(os.environ))
            played = time.monotonic()
            move(site)
            print(
                f"\nservers {ready - began:.0f} s, the demo {played - ready:.0f} s, "
                f"its move {time.monotonic() - played:.0f} s"
            )
        moved = time.monotonic()
        transaction = demo.play(opened_from(os.environ), demo.DAYS + 1)
        print(f"\nthe next day, on the servers {time.monotonic() - moved:.0f} s")
        show(site, transaction)
    except ProvenanceError as error:
        for item in error.reasons:
            print(f"{item}\n  remedy: {item.remedy}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
