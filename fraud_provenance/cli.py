"""The command line. Exit 0: trusted or done; 1: not trusted or refused; 2: could not decide.

Heavy libraries are imported by the commands that need them. The commands of an investigation are in
`inquiries`.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NoReturn

import typer
from rich.table import Table

from fraud_provenance import inquiries, news, proofs, ui
from fraud_provenance.alerts import Outbox
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ProvenanceError, Reason, reason, storage_error
from fraud_provenance.data.wanted import table as columns_table
from fraud_provenance.terminal import (
    Json,
    err,
    open_workspace,
    out,
    print_json,
    print_links,
    print_reasons,
    print_revoked,
    progress,
    verdict_json,
)
from fraud_provenance.workspace import Workspace

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,  # brackets in our help are brackets
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=(
        "Signed, logged, policy-gated lineage for fraud models.\n\n"
        "First steps: `up`, then `generate --days 60 --rows-per-day 2000 --seed 1` or "
        "`import FILE`, then `run`, `approve model@candidate …`, `run`, `verify model@champion`, "
        "`trace TRANSACTION_ID`. Exit codes: 0 trusted or done, 1 not trusted or refused, "
        "2 could not decide or bad usage."
    ),
)


def main() -> NoReturn:
    """Run the command line and end the process with its exit code.

    Whatever it or a library leaves in temporary files goes with it.
    """
    sys.warnoptions.append("ignore:resource_tracker")  # dbt's lock ends with this process, too
    with ExitStack() as ends:
        with suppress(OSError):  # where none can be made, the command itself says what is wrong
            scratch = TemporaryDirectory(prefix="fraud-provenance-", ignore_cleanup_errors=True)
            tempfile.tempdir = ends.enter_context(scratch)
        code = execute()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a server that hangs must not keep a finished command alive through its threads


def execute(arguments: Sequence[str] | None = None) -> int:
    """Run one command; every error ends here, with its reasons and remedies.

    With `--json` a refusal is one document on standard output, too.

    Returns:
        The exit code: 0 trusted or done, 1 not trusted or refused, 2 could not decide.
    """
    try:
        result = app(arguments, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except ProvenanceError as error:
        print_reasons(error.reasons)
        reasons, code = error.reasons, error.exit_code
    except Exception as error:
        reasons, code = _foreign_error(error)
    if "--json" in (sys.argv[1:] if arguments is None else arguments):
        print_json(_refusal_json(reasons, code))
    return code


def _foreign_error(error: Exception) -> tuple[Sequence[Reason], int]:
    """Errors of typer and of the fraud package; anything else is shown whole."""
    show = getattr(error, "show", None)  # typer's usage errors know how to present themselves
    if callable(show):
        show()
        return [reason(RootCause.USAGE, error.format_message())], 2  # type: ignore[attr-defined]  # as `show`
    if type(error).__name__ == "Abort":
        err.print("aborted")
        return [reason(RootCause.USAGE, "aborted")], 2
    if type(error).__name__ == "DataError":
        err.print("refused", style="red", end=" ")
        err.print(str(error), markup=False)
        names = {
            "code": "code",
            "message": "placed_message",
            "remedy": "remedy",
            "artifact": "file",
        }
        return [Reason(**{ours: getattr(error, name) for ours, name in names.items()})], 1
    if (storage := storage_error(error)) is not None:
        print_reasons(storage.reasons)
        return storage.reasons, storage.exit_code
    import traceback

    err.print("".join(traceback.format_exception(error)), markup=False)
    return [reason(RootCause.VERIFY_ERROR, repr(error))], 2


def _refusal_json(reasons: Sequence[Reason], code: int) -> dict[str, Any]:
    """A refusal for machines, in a verdict's words."""
    return {
        "trusted": False,
        "decided": code == 1,
        "root_cause": reasons[0].code if reasons else None,
        "reasons": [item.model_dump(mode="json") for item in reasons],
        "exit_code": code,
    }


# --- servers ---------------------------------------------------------------------------------


def _print_servers(
    servers: Sequence[Any], as_json: bool, more: dict[str, Any] | None = None
) -> None:
    rows = [
        {"name": s.name, "state": s.state, "port": s.port, "pid": s.pid, "detail": s.detail}
        for s in servers
    ]
    if as_json:
        print_json({"servers": rows} | (more or {}))
        return
    table = Table("server", "state", "port", "pid", "")
    for row in rows:
        colour = {"running": "green", "crashed": "red"}.get(str(row["state"]), "yellow")
        table.add_row(
            str(row["name"]),
            f"[{colour}]{row['state']}[/{colour}]",
            str(row["port"]),
            str(row["pid"] or ""),
            str(row["detail"] or ""),
        )
    out.print(table)
    if more is not None:
        alerts = more["alerts"]
        counts = ", ".join(f"{count} {name}" for name, count in alerts.items())
        out.print(f"alerts: {counts}")


@app.command()
def up(
    restored: Annotated[
        bool,
        typer.Option("--restore", help="First put the trust root of the release in force back."),
    ] = False,
    as_json: Json = False,
) -> int:
    """Start the local Sigstore; on first use create the home, its trust root and policy release."""
    from fraud_provenance.people.governing import found, restore

    workspace = open_workspace()
    workspace.create_folders()
    with progress() as say:
        if restored:
            names = restore(workspace)
            say(f"put back: {', '.join(names) or 'nothing was changed'}")
            workspace = open_workspace()
        servers = workspace.sigstore.up(say)
        release = found(workspace)
        if release:
            say(f"signed release 1: policy {release.expectations.policies[:12]}")
    _print_servers(servers, as_json)
    return 0


@app.command()
def down(as_json: Json = False) -> int:
    """Stop every server that `up` started, by process id."""
    _print_servers(open_workspace().sigstore.down(), as_json)
    return 0


@app.command()
def home(
    dagster: Annotated[
        bool, typer.Option("--dagster", help="Print Dagster's folder instead.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Print the home's folder (FRAUD_PROVENANCE_HOME)."""
    from fraud_provenance.run.pipeline import open_instance

    workspace = open_workspace()
    if dagster:
        workspace.create_folders()
        open_instance(workspace).dispose()
    folder = str(workspace.dagster if dagster else workspace.home)
    if as_json:
        print_json({"folder": folder})
    else:
        out.print(folder, markup=False)
    return 0


@app.command()
def status(as_json: Json = False) -> int:
    """Show servers and waiting alerts, and check that policy and trust root are the released ones.

    Exit 1 if a server is not running or something is not as it was released.
    """
    workspace = open_workspace()
    servers = workspace.sigstore.status()
    outbox = Outbox(workspace.home)
    alerts = {
        "waiting": len(outbox.pending()),
        "delivered": len(outbox.delivered()),
        "acknowledged": len(outbox.acknowledged()),
    }
    code = 0 if servers and all(server.state == "running" for server in servers) else 1
    reasons: Sequence[Reason] = ()
    try:
        if servers:
            workspace.start_check()
    except ProvenanceError as error:
        reasons, code = error.reasons, error.exit_code
    refused = [] if reasons or not servers else _refused_releases(workspace)
    more = {
        "reasons": [item.model_dump(mode="json") for item in reasons],
        "refused_releases": [item.model_dump(mode="json") for item in refused],
        "exit_code": code,
    }
    _print_servers(servers, as_json, {"alerts": alerts} | more)
    print_reasons([*reasons, *refused])
    return code


def _refused_releases(workspace: Workspace) -> list[Reason]:
    """Why releases that enough people signed do not bind; nothing else is wrong with the home."""
    chain = workspace.releases.chain()
    return [why for one in chain.open_refusals if one.release.authors for why in one.reasons]


# --- data ------------------------------------------------------------------------------------


@app.command()
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
        landed = landing.generate(workspace.landing, days, rows_per_day, seed, _day(start), say)
    _print_landed(landed, as_json)
    return 0


@app.command("import", epilog=f"\b\nThe columns of a file, in any order:\n{columns_table()}")
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


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a day (YYYY-MM-DD)") from error


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


# --- the graph -------------------------------------------------------------------------------


@app.command()
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
    as_json: Json = False,
) -> int:
    """Run the graph for everything that is due: ingest, contracts, features, training, scores.

    Promotes the candidate if it has its approval. A stage that is refused stops no other. Exits 1
    if something was refused or a day was found broken or unusual (held) in this run, 2 if something
    could not be decided.
    """
    from fraud_provenance.run.pipeline import Pipeline, RunOptions

    options = RunOptions(
        train_start=str(_day(train_start)) if train_start else "",
        train_days=train_days,
        delay_days=delay_days,
        test_days=test_days,
        retrain_after_days=retrain_after_days,
        score=tuple(str(_day(day)) for day in score or ()),
    )
    workspace = open_workspace()
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
    out.print(f"champion: {report.champion or 'none yet'}")


@app.command()
def approve(
    subject: Annotated[str, typer.Argument(help="model@candidate, model:VERSION, or policies.")],
    environment: Annotated[str, typer.Option("--environment", help="Where it may run.")],
    email: Annotated[str, typer.Option("--as", help="Your e-mail identity.")],
    why: Annotated[str, typer.Option("--reason", help="Why; it is signed with the approval.")],
    as_json: Json = False,
) -> int:
    """Sign an approval as a person, bound to exactly this model, evidence, policy and environment.

    `approve policies` signs the policy folder, the trust root and the tools as they are now. A
    change is in force once two different policy authors have run it; until then everything that
    needs the policy is refused. Authors are those of the release that is in force, so nobody can
    appoint themselves. Going back to older files is a new release, too.
    """
    from fraud_provenance.people.approving import approve_subject

    signed = approve_subject(open_workspace(whole=True), subject, environment, email, why)
    if as_json:
        print_json(signed)
        return 0
    out.print(
        f"approved {signed['subject']} ({signed['digest'][:12]}) for {environment} as "
        f"{signed['signer']}, log index {signed['log_index']}",
        markup=False,
    )
    if "next" in signed:
        out.print(signed["next"], markup=False)
    return 0


# --- verification ----------------------------------------------------------------------------


@app.command()
def verify(
    subject: Annotated[
        str,
        typer.Argument(
            help="asset[/partition], model[:version|@alias], policies, predictions, batch:NUMBER, "
            "a file, a bundle, the beginning of a digest, or all."
        ),
    ] = "all",
    full: Annotated[
        bool, typer.Option("--full", help="Every signature again, not only what is new or changed.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="SUBJECT is a file of `export`: ask nothing else.")
    ] = False,
    trust_root: Annotated[
        Path | None,
        typer.Option("--trust-root", help="With --offline: the trusted root that you know."),
    ] = None,
    root_digest: Annotated[
        str,
        typer.Option(
            "--root-digest",
            help="With --offline: SHA-256 of the trusted root, of the release or of the state.",
        ),
    ] = "",
    as_json: Json = False,
) -> int:
    """Verify a subject down to the raw data; names the broken link and its root cause.

    With --offline a file that `export` wrote, without home or network. It must rest on a root that
    you know from elsewhere.

    Example: fraud-provenance verify score.zip --offline --trust-root trusted_root.json
    """
    if offline:
        return proofs.verify_offline(Path(subject), trust_root, root_digest, as_json)
    if trust_root or root_digest:
        raise typer.BadParameter("--trust-root and --root-digest go with --offline")
    from fraud_provenance.due.planning import registry_of
    from fraud_provenance.investigate.subjects import verify_subject

    workspace = open_workspace(whole=full)
    verdict = verify_subject(workspace.trust, registry_of(workspace), subject)
    if as_json:
        print_json(verdict_json(verdict))
    else:
        _print_verdict(verdict)
    return verdict.exit_code


def _print_verdict(verdict: Any) -> None:  # noqa: ANN401 - Verdict, imported late
    print_links([(link.kind, link) for link in verdict.links])
    if verdict.trusted:
        out.print(f"trusted: {verdict.subject} ({len(verdict.links)} links)", style="green")
        return
    out.print(f"NOT trusted: {verdict.subject}", style="red", markup=False)
    print_reasons(verdict.reasons, out)


@app.command("audit")
def audit_command(
    full: Annotated[
        bool, typer.Option("--full", help="Every leaf and bundle again, not only what is new.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Hold the transparency log against the evidence store, and the scores against their log.

    The log must have grown from every head remembered so far, each entry under one of our
    identities must have its bundle, each bundle its entry. What is in order is countersigned by
    the witness and remembered. No score may have been edited, left out or cut off, and MLflow's
    tags must say what was signed. What is not in order becomes an alert.
    """
    from datetime import UTC, datetime

    from fraud_provenance.attested.sigstore.log_audit import Depth
    from fraud_provenance.due.planning import registry_of
    from fraud_provenance.investigate.audit import audit

    workspace = open_workspace(whole=True)
    workspace.store.refresh()
    depth = Depth.FULL if full else Depth.REMEMBERED
    with progress() as say:
        registry, outbox = registry_of(workspace), Outbox(workspace.home)
        report = audit(workspace.trust, registry, outbox, datetime.now(UTC), depth, say)
    if as_json:
        code = {"trusted": report.trusted, "exit_code": report.exit_code}
        print_json(report.model_dump(mode="json") | code)
        return report.exit_code
    table = Table("log", "entries", "looked at", "ours", "bundles", "only announced", "heads")
    for log in report.logs:
        numbers = (log.size, log.entries, log.ours, log.bundles, log.journalled, log.checkpoints)
        table.add_row(log.origin, *(str(number) for number in numbers))
    out.print(table)
    if report.trusted:
        text = "in order: log and evidence explain each other, scores and copies are as signed"
        out.print(text, style="green")
    else:
        print_reasons(report.reasons, out)
    return report.exit_code


@app.command()
def revoke(
    subject: Annotated[
        str,
        typer.Argument(
            help="asset/partition, model@alias, model:VERSION, a digest (of a statement such as an "
            "approval, a model or a file), log:INDEX, identity:NAME or principal:ID."
        ),
    ],
    why: Annotated[str, typer.Option("--reason", help="Why; it is signed with the revocation.")],
    email: Annotated[str, typer.Option("--as", help="Your e-mail identity.")] = "",
    since: Annotated[
        str, typer.Option("--from", help="identity and principal: from this UTC time on (now).")
    ] = "",
    as_json: Json = False,
) -> int:
    """Withdraw something for good: it and everything made from it is refused from then on.

    In the local environment --as defaults to the first person who may revoke.
    """
    from fraud_provenance.people.revoking import revoke_subject

    signed = revoke_subject(open_workspace(), subject, why, email, since)
    if as_json:
        print_json(signed)
        return 0
    print_revoked(signed)
    return 0


@app.command()
def waive(
    asset: Annotated[str, typer.Argument(help="raw_transactions")],
    day: Annotated[str, typer.Argument(help="The day without transactions, YYYY-MM-DD.")],
    why: Annotated[str, typer.Option("--reason", help="Why; it is signed with the waiver.")],
    email: Annotated[str, typer.Option("--as", help="Your e-mail identity.")] = "",
    as_json: Json = False,
) -> int:
    """Declare a day empty, such as a holiday: it is no gap then, and training goes past it.

    In the local environment --as defaults to the first person who may waive.
    """
    from fraud_provenance.people.waiving import waive_day

    signed = waive_day(open_workspace(), asset, day, why, email)
    if as_json:
        print_json(signed)
        return 0
    out.print(
        f"declared {asset}/{day} empty as {signed['signer']}, log index {signed['log_index']}; "
        f"waiver {signed['statement'][:12]}",
        markup=False,
    )
    return 0


@app.command()
def accept(
    asset: Annotated[str, typer.Argument(help="raw_transactions or transaction_features")],
    day: Annotated[str, typer.Argument(help="The day that is held, YYYY-MM-DD.")],
    why: Annotated[str, typer.Option("--reason", help="Why it is right; signed.")],
    email: Annotated[str, typer.Option("--as", help="Your e-mail identity.")] = "",
    as_json: Json = False,
) -> int:
    """Accept a day that was found unusual: these bytes with these findings may be used then.

    In the local environment --as defaults to the first data owner. `revoke` withdraws it.
    """
    from fraud_provenance.people.accepting import accept_day

    signed = accept_day(open_workspace(), asset, day, why, email)
    if as_json:
        print_json(signed)
        return 0
    for item in signed["findings"]:
        out.print(
            f"  {item['code']}: not true that {item['check'].replace('_', ' ')}", markup=False
        )
    out.print(
        f"accepted {asset}/{day} as {signed['signer']}, log index {signed['log_index']}; "
        f"acceptance {signed['statement'][:12]}; run again to use it",
        markup=False,
    )
    return 0


@app.command()
def rollback(
    asset: Annotated[str, typer.Argument(help="raw_transactions, or what is made of it.")],
    partition: Annotated[str, typer.Argument(help="The day, YYYY-MM-DD, or train, evaluation.")],
    to: Annotated[
        str, typer.Option("--to", help="SHA-256 of a raw day's version, or its first digits.")
    ] = "",
    email: Annotated[str, typer.Option("--as", help="Your e-mail identity.")] = "",
    why: Annotated[str, typer.Option("--reason", help="Why; signed.")] = "rolled back by hand",
    as_json: Json = False,
) -> int:
    """Bring an attested version back from DVC.

    raw_transactions: an earlier version becomes a new one, as you decide it; your decision is
    signed. transaction_features, training_set, transaction_scores: the version in force is put
    back where its file is gone or changed. In the local environment --as defaults to the first
    person who may decide it.
    """
    from fraud_provenance.people import rollback as versions

    workspace = open_workspace()
    if asset != versions.ASSET:
        names = versions.put_back(workspace, asset, partition, to)
        if as_json:
            print_json({"restored": names})
        else:
            told = ", ".join(names) or "nothing: the files are as attested"
            out.print(f"put back {told}", markup=False)
        return 0
    made = versions.rollback_day(workspace, partition, to, email, why)
    if as_json:
        print_json(made)
        return 0
    out.print(
        f"restored {asset}/{partition} to {made['sha256'][:12]} as sequence {made['sequence']}; "
        "run again to rebuild what was made from it",
        markup=False,
    )
    return 0


inquiries.register(app)
news.register(app)
proofs.register(app)
ui.register(app)


if __name__ == "__main__":
    main()
