"""`run`: whatever is due by the evidence, headless."""

import os
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from fraud_provenance.cli.terminal import (
    Json,
    day_of,
    open_workspace,
    out,
    print_json,
    print_reasons,
    progress,
)
from fraud_provenance.run.report import RunOptions, Stage


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(run)


def run(
    train_start: Annotated[
        str,
        typer.Option(
            "--train-start",
            help="First train day; default: the handbook's, else the newest that fit.",
        ),
    ] = "",
    train_days: Annotated[int, typer.Option("--train-days", min=1)] = 7,
    delay_days: Annotated[int, typer.Option("--delay-days", min=7)] = 7,
    test_days: Annotated[int, typer.Option("--test-days", min=1)] = 7,
    retrain_after_days: Annotated[
        int,
        typer.Option("--retrain-after-days", min=1, help="So many new days make a training due."),
    ] = 1,
    score: Annotated[
        list[str] | None,
        typer.Option("--score", help="A day to score; repeat for more. Default: the newest."),
    ] = None,
    stage: Annotated[
        list[Stage] | None,
        typer.Option(
            "--stage",
            help="This part alone, on a machine that does no more; repeat for more. Default: all.",
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Run the graph for everything that is due: ingest, contracts, features, training, scores.

    Promotes the candidate if it has its approval. A stage that is refused stops no other. Exits 1
    if something was refused or a day was found broken or unusual (held) in this run, 2 if something
    could not be decided.
    """
    from fraud_provenance.run.jobs import refuse_one_identity
    from fraud_provenance.run.pipeline import Pipeline

    options = RunOptions(
        train_start=str(day_of(train_start)) if train_start else "",
        train_days=train_days,
        delay_days=delay_days,
        test_days=test_days,
        retrain_after_days=retrain_after_days,
        score=tuple(str(day_of(day)) for day in score or ()),
        stages=tuple(stage or ()),
    )
    workspace = open_workspace()
    refuse_one_identity(workspace)
    with progress() as say:
        pipeline = Pipeline(workspace, options, say)
        try:
            pipeline.run()
        finally:
            pipeline.deliver_alerts(os.environ)
            if not as_json:
                _print_stages(pipeline.report.stages)
                for note in pipeline.report.notes:
                    out.print(note, markup=False)
    _print_run(pipeline.report, as_json)
    return pipeline.report.exit_code


def _print_stages(stages: Sequence[tuple[str, float, str]]) -> None:
    table = Table("stage", "seconds", "")
    for name, seconds, detail in stages:
        table.add_row(name, f"{seconds:.1f}", detail)
    table.add_row("total", f"{sum(item[1] for item in stages):.1f}", "")
    out.print(table)


def _print_run(report: Any, as_json: bool) -> None:  # noqa: ANN401 - RunReport, imported late
    if as_json:
        print_json(
            {
                "stages": [{"name": n, "seconds": s, "detail": d} for n, s, d in report.stages],
                "refused": [item.model_dump(mode="json") for item in report.refused],
                "candidate": report.candidate,
                "champion": report.champion,
                "notes": report.notes,
            }
        )
        return
    print_reasons(report.refused, out)
    if report.candidate:
        out.print(f"candidate waiting for approval: {report.candidate}")
        out.print(
            "  next: fraud-provenance approve model@candidate --environment "
            "ENV --as risk.officer@example.com --reason '…'",
            markup=False,
        )
    if report.champion is not None:
        out.print(f"champion: {report.champion or 'none yet'}")
