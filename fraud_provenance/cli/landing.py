"""The commands that land transactions: `generate`, `import`."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from fraud_provenance.cli.terminal import (
    Json,
    day_of,
    err,
    open_workspace,
    out,
    print_json,
    progress,
)
from fraud_provenance.data.wanted import table as columns_table


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(generate)
    app.command("import", epilog=f"\b\nThe columns of a file, in any order:\n{columns_table()}")(
        import_command
    )


def generate(
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="How many days.")] = 60,
    rows_per_day: Annotated[
        int, typer.Option("--rows-per-day", min=10, max=1_000_000, help="Mean rows a day.")
    ] = 2000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same bytes.")] = 0,
    start: Annotated[str, typer.Option("--start", help="First day, YYYY-MM-DD.")] = "2018-04-01",
    as_json: Json = False,
) -> int:
    """Put deterministic sample transactions into the landing zone."""
    from fraud_provenance.data import landing

    workspace = open_workspace()
    with progress() as say:
        landed = landing.generate(workspace.landing, days, rows_per_day, seed, day_of(start), say)
    _print_landed(landed, as_json)
    return 0


def import_command(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files, or folders of them.")],
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", help="A landing.toml; default: the home's, if it has one."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="The days become exactly what these files say.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Say what would happen, and land nothing.")
    ] = False,
    propose: Annotated[
        bool, typer.Option("--propose", help="Print a landing.toml that may fit the file.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Merge transactions into the landing zone, by UTC day.

    Files may be packed (.gz, .zst) and folders nested. Rows are merged by transaction id: nothing
    that landed before vanishes, unless --replace says so. What has one meaning is converted and
    told; what has not is refused, naming file, column, line and remedy, and then nothing changes.
    Other columns, times of another zone or text identifiers need a landing.toml: see --propose.
    """
    from fraud_provenance.data import importing, proposing
    from fraud_provenance.data.mapping import NAME, load

    if propose:
        fitting = proposing.propose(files[0])
        if as_json:
            print_json({NAME: fitting})
        else:
            print(fitting, end="")
        return 0
    workspace = open_workspace()
    own = workspace.home / NAME
    named = mapping or (own if own.exists() else None)
    with progress() as say:
        delivery = importing.import_files(
            workspace.landing, files, say, mapping=load(named) if named else None,
            replace=replace, check=check,
        )  # fmt: skip
    for line in delivery.told:
        err.print(f"· {line}", markup=False)
    _print_landed(delivery.days, as_json, told=delivery.told, check=check)
    return 0


def _print_landed(
    landed: Sequence[Any], as_json: bool, *, told: Sequence[str] = (), check: bool = False
) -> None:
    states = {state: sum(1 for day in landed if day.state == state) for state in
              ("new", "changed", "unchanged")}  # fmt: skip
    rows = sum(day.rows for day in landed)
    if as_json:
        days = [asdict(day) for day in landed]
        print_json({"days": days, "rows": rows, "told": list(told), "check": check} | states)
        return
    from fraud_provenance.due.planning import in_days

    first, last = (landed[0].day, landed[-1].day) if landed else ("", "")
    out.print(
        f"{'would land' if check else 'landed'} {in_days(landed)} ({first} … {last}), {rows:,} "
        f"rows: {states['new']} new, {states['changed']} changed, {states['unchanged']} unchanged",
        markup=False,
    )
    for day in [day for day in landed if day.state == "changed"][:20]:
        what = f"{day.added} rows added, {day.corrected} corrected, {day.dropped} dropped"
        out.print(f"  {day.day}: {what}", markup=False)
