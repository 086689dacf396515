"""What gates are asked: by a pipeline that deploys (`gate`), by steps that read (`keep-gate`)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError, reason
from fraud_provenance.cli.terminal import (
    Json,
    job_summary,
    open_workspace,
    out,
    print_json,
    print_reasons,
    verdict_json,
)

if TYPE_CHECKING:
    from fraud_provenance.investigate.deployable import Answer


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(gate)
    app.command("keep-gate")(keep_gate)


def gate(
    revision: Annotated[
        str,
        typer.Argument(
            metavar="[REV]",
            help="With --commit: the commit's whole id, HEAD, or a full reference such as "
            "refs/heads/main.",
        ),
    ] = "HEAD",
    commit: Annotated[
        bool,
        typer.Option(
            "--commit", help="May the decided model be deployed with this commit's code and policy?"
        ),
    ] = False,
    summary: Annotated[
        Path | None,
        typer.Option(
            "--summary",
            help="Append the answer as Markdown to this file; by default to the one that "
            "GITHUB_STEP_SUMMARY names, if it does.",
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Tell a pipeline whether it may deploy; nothing is signed, nothing moves.

    Asked is about the model of the newest deployment decision in this environment: the decision
    verifies and was made under the release in force, the model verifies down to its raw days, the
    commit has the policy files of that release and the code that the model was made by, and it is
    on the protected branch. What only the registry or a server says counts for nothing here.

    Example: fraud-provenance gate --commit HEAD --summary summary.md
    """
    if not commit:
        raise typer.BadParameter("say what to ask: --commit")
    from fraud_provenance.due.planning import sources_digest
    from fraud_provenance.investigate.deployable import may_deploy
    from fraud_provenance.investigate.job_summary import summary_of, summary_of_refusal
    from fraud_provenance.investigate.past import Past

    place = summary or job_summary()
    try:
        workspace = open_workspace()
        past = Past(workspace.trust, workspace.project)
        answer = may_deploy(workspace.trust, past, revision, sources_digest)
    except ProvenanceError as error:
        _append(place, summary_of_refusal(error.reasons, error.exit_code))
        raise
    _append(place, summary_of(answer))
    _print(answer, as_json)
    return answer.verdict.exit_code


def _append(place: Path | None, text: str) -> None:
    if place is None:
        return
    try:
        with place.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        why = f"the summary could not be written: {error.strerror}"
        remedy = "Name a file that can be written with --summary."
        raise ConfigError(
            reason(RootCause.USAGE, why, artifact=place.name, remedy=remedy)
        ) from error


def _print(answer: "Answer", as_json: bool) -> None:
    verdict = answer.verdict
    if as_json:
        own = answer.model_dump(mode="json", exclude={"verdict"})
        print_json(verdict_json(verdict) | own | {"exit_code": verdict.exit_code})
        return
    for check in answer.checks:
        out.print(f"{'no ' if check.reasons else 'yes'} {check.asked}", markup=False)
    what = f"commit {answer.commit[:12]} in {answer.environment}"
    if verdict.trusted:
        found = answer.deployment
        told = f"model {found.model[:12]}, release {found.release}, {len(verdict.links)} links"
        out.print(f"may be deployed: {what} ({told})", style="green", markup=False)
        return
    word = "may NOT be deployed" if verdict.decided else "could not decide"
    out.print(f"{word}: {what}", style="red", markup=False)
    print_reasons(verdict.reasons, out)


def keep_gate(
    alive: Annotated[
        Path | None,
        typer.Option("--alive", help="A file to touch after each look, for whoever watches."),
    ] = None,
) -> None:
    """Sign, as the data-access gate, what steps ask for, until it is stopped.

    Needed where each run signs by one identity (`[runs] one_identity`): a run announces which
    attested data it would read, and waits. Signed is only what the gate itself comes to, by the
    evidence and the policy in force; else it is told here why not, and the run is refused.
    """
    from fraud_provenance.run.keeping import keep

    keep(open_workspace(), lambda text: out.print(text, markup=False), alive)
