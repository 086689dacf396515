"""The commands of an investigation: `trace`, `diff`, `blame`, `recall` and `reproduce`.

They print; what they print is found by `investigate`. Exit codes are those of all commands: 0
trusted or done, 1 not trusted, 2 could not decide.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError
from fraud_provenance.cli.answers import (
    print_blame,
    print_diff,
    print_rebuild,
    print_recall,
    print_reproduced,
    print_trace,
)
from fraud_provenance.cli.terminal import (
    All,
    Json,
    err,
    open_workspace,
    print_json,
    print_revoked,
    progress,
    verdict_json,
)

if TYPE_CHECKING:
    from fraud_provenance.investigate.causes import Blame
    from fraud_provenance.investigate.difference import Difference
    from fraud_provenance.investigate.page import Page
    from fraud_provenance.investigate.recalling import Recall
    from fraud_provenance.investigate.reproducing import Reproduced
    from fraud_provenance.investigate.trace import Trace

Html = Annotated[
    Path | None,
    typer.Option("--html", help="Also write it as one page that needs no network."),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(trace)
    app.command()(diff)
    app.command()(blame)
    app.command()(recall)
    app.command()(reproduce)


def write_page(path: Path, page: "Page") -> None:
    """Write a page; it may show transactions, so nobody else on this machine may read it."""
    from fraud_provenance.attested.core import files

    files.write_atomic(path, page.html().encode(), mode=0o600)
    err.print(f"· wrote {path}", markup=False)


# --- trace -----------------------------------------------------------------------------------


def trace(
    subject: Annotated[
        str,
        typer.Argument(
            help="A transaction id that was scored, asset[/day], model:VERSION, model@ALIAS, "
            "batch:NUMBER, alert:ID, the beginning of a digest (of a decision, an approval, a "
            "statement or a file), or a file."
        ),
    ],
    why: Annotated[
        bool,
        typer.Option("--why", help="Take a score apart: each feature's share and its raw rows."),
    ] = False,
    unfolded: All = False,
    html: Html = None,
    as_json: Json = False,
) -> int:
    """Follow a score, or anything else, back to the landing files; each link is verified.

    The first line names the first link that is broken or worth a look. With --why the score is
    computed again, bit for bit, and each feature's share of it (TreeSHAP) stands beside the raw
    transactions that it was made of, with their labels as they were known then.

    Example: fraud-provenance trace 48213 --why
    """
    from fraud_provenance.due.planning import registry_of
    from fraud_provenance.investigate.trace import is_transaction, trace_score, trace_subject

    workspace = open_workspace()
    if is_transaction(subject):
        found = trace_score(workspace.trust, int(subject), why=why)
    elif why:
        raise typer.BadParameter("--why takes a score apart: name a transaction id")
    else:
        found = trace_subject(workspace.trust, registry_of(workspace), subject)
    if html is not None:
        from fraud_provenance.investigate.page import of_trace

        write_page(html, of_trace(workspace.trust, found))
    if as_json:
        print_json(_trace_json(found))
    else:
        print_trace(found, unfolded)
    return found.verdict.exit_code


def _trace_json(found: "Trace") -> dict[str, Any]:
    from dataclasses import asdict

    chain = [
        {"role": item.role, "rests_on": list(item.rests_on), "odd": list(item.odd)}
        | item.link.model_dump(mode="json")
        for item in found.joints
    ]
    document: dict[str, Any] = {
        "subject": found.verdict.subject,
        "headline": found.headline,
        "about": list(found.about),
        "chain": chain,
        "verdict": verdict_json(found.verdict),
    }
    if (score := found.score) is not None:
        document |= {
            "transaction_id": score.transaction_id,
            "day": score.day,
            "score": {name: str(value) for name, value in score.row.items()},
            "proof": {
                "index": score.index,
                "rows": score.rows,
                "merkle_root": score.merkle_root,
                "inclusion_path": list(score.inclusion_path),
            },
        }
    if found.why is not None:
        document["why"] = asdict(found.why) | {"bit_for_bit": found.why.tolerance == 0}
    return document


# --- diff ------------------------------------------------------------------------------------


def diff(
    a: Annotated[
        str,
        typer.Argument(
            help="asset/day, model:VERSION, model@ALIAS, a model's digest, run:ID, a transaction "
            "id, or release:NUMBER."
        ),
    ],
    b: Annotated[str, typer.Argument(help="What it is compared with, of the same kind.")],
    unfolded: All = False,
    html: Html = None,
    as_json: Json = False,
) -> int:
    """Tell in what two models, runs, days, scores or releases differ, and nothing else.

    By signed facts: inputs with their rows and columns, code, lock, parameters, contracts, policy,
    approvals, environment, outputs, metrics. Distances of columns are Kolmogorov-Smirnov's.

    Example: fraud-provenance diff model:1 model:2
    """
    from fraud_provenance.due.planning import registry_of
    from fraud_provenance.investigate.difference import compare

    workspace = open_workspace()
    found = compare(workspace.trust, registry_of(workspace), workspace.project, a, b)
    if html is not None:
        from fraud_provenance.investigate.page import of_difference

        write_page(html, of_difference(workspace.trust, found))
    if as_json:
        print_json(diff_json(found))
    else:
        print_diff(found, unfolded)
    return found.exit_code


def diff_json(found: "Difference") -> dict[str, Any]:
    """A difference for machines."""
    from dataclasses import asdict

    return {
        "a": found.a.subject,
        "b": found.b.subject,
        "headline": found.headline,
        "trusted": found.trusted,
        "verdicts": [verdict_json(side.verdict) for side in (found.a, found.b)],
        "changes": [asdict(change) for change in found.changes],
        "files": [_finite(asdict(item)) for item in found.moved],
        "code": found.files,
        "notes": found.notes,
    }


def _finite(value: Any) -> Any:  # noqa: ANN401 - JSON
    """JSON has no NaN: a statistic of no values is null."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- blame -----------------------------------------------------------------------------------


def blame(
    symptom: Annotated[
        str,
        typer.Argument(
            help="What is wrong: model@ALIAS, model:VERSION or a model's digest (a metric fell, or "
            "a gate refused it), transaction_scores/DAY or a transaction id (scores moved), "
            "raw_transactions/DAY (a contract failed, or holds the day), alert:ID."
        ),
    ],
    against: Annotated[
        str,
        typer.Option(
            "--against",
            help="What was good, of the same kind. Default: the newest earlier one that was good.",
        ),
    ] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="Rank by the shift of the inputs; make nothing again.")
    ] = False,
    html: Html = None,
    as_json: Json = False,
) -> int:
    r"""Tell what caused it: the set of changes that explain a symptom, each on a verified path.

    What changed since things were good is put back, one by one and together: features, training
    and scoring are made again from verified bytes, and a change is named if the effect goes with
    it. What changed and does not matter is listed as such. "Nothing changed that explains it" is an
    answer, and so is a fault of disk, clock, log or registry. A link that does not hold is itself
    the cause.

    \b
    Examples:
      fraud-provenance blame model@candidate
      fraud-provenance blame model:3 --against model:1 --html why.html
      fraud-provenance blame transaction_scores/2018-05-15 --quick
      fraud-provenance blame raw_transactions/2018-05-16
      fraud-provenance blame alert:3f2a91c0
    """
    from fraud_provenance.due.planning import registry_of
    from fraud_provenance.investigate.blame import Question, not_to_be_asked
    from fraud_provenance.investigate.blame import blame as blame_for

    try:
        workspace = open_workspace()
        trust = workspace.trust
        asked = Question(trust, registry_of(workspace), workspace.project, against, quick)
        found = blame_for(asked, symptom)
    except ConfigError:
        raise
    except ProvenanceError as error:
        if html is not None:
            raise  # a page shows what was verified
        found = not_to_be_asked(symptom, error)
    if html is not None:
        from fraud_provenance.investigate.page import of_blame

        write_page(html, of_blame(trust, found))
    if as_json:
        print_json(blame_json(found))
    else:
        print_blame(found)
    return found.exit_code


def blame_json(found: "Blame") -> dict[str, Any]:
    """An answer for machines."""
    from fraud_provenance.investigate.causes import as_json

    document = {
        "subject": found.subject,
        "against": found.good,
        "headline": found.headline,
        "effect": found.effect,
        "causes": [as_json(item) for item in found.causes],
        "immaterial": [as_json(item) for item in found.immaterial],
        "chance": found.chance,
        "unexplained": found.unexplained,
        "quick": found.is_quick,
        "runs": found.runs,
        "notes": found.notes,
        "alert": found.alert.id if found.alert else "",
        "verdict": verdict_json(found.verdict),
        "exit_code": found.exit_code,
    }
    return dict(_finite(document))


# --- recall ----------------------------------------------------------------------------------


def recall(
    subject: Annotated[
        str,
        typer.Argument(
            help="asset/day, a file, a digest, model:VERSION, model@ALIAS, commit:ID, "
            "package:NAME[==VERSION], person:EMAIL, identity:NAME, policy:DIGEST or release:NUMBER."
        ),
    ],
    rows: Annotated[
        bool, typer.Option("--rows", help="Only rows whose windows really hold a row of it.")
    ] = False,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Withdraw it, and so all that was built on it.")
    ] = False,
    why: Annotated[str, typer.Option("--reason", help="With --revoke: why; it is signed.")] = "",
    email: Annotated[str, typer.Option("--as", help="With --revoke: your e-mail identity.")] = "",
    unfolded: All = False,
    html: Html = None,
    as_json: Json = False,
) -> int:
    """Tell what was built on a day, file, model, commit, package, person or policy.

    Down to single score files, and with --rows down to single scores: a transaction counts only if
    its windows really hold a row that is recalled. With --revoke one signed statement withdraws it
    all, and what must be made again is listed.

    Example: fraud-provenance recall raw_transactions/2018-05-01 --rows
    """
    from fraud_provenance.due.planning import registry_of
    from fraud_provenance.investigate.recalling import recall as recall_subject

    workspace = open_workspace()
    trust, registry = workspace.trust, registry_of(workspace)
    found = recall_subject(trust, registry, workspace.project, subject, rows=rows)
    if html is not None:
        from fraud_provenance.investigate.page import of_recall

        write_page(html, of_recall(found, trust))
    signed: dict[str, Any] = {}
    if revoke:
        from fraud_provenance.people.revoking import revoke_recalled

        signed = revoke_recalled(workspace, found, why, email)
    if as_json:
        print_json(recall_json(found) | ({"revoked": signed} if signed else {}))
    else:
        print_recall(found, unfolded)
        if signed:
            print_revoked(signed)
            print_rebuild(found)
    return found.exit_code


def recall_json(found: "Recall") -> dict[str, Any]:
    """A recall for machines."""
    reach = found.reach
    files = [
        {"asset": item.asset, "partition": item.entry.partition, "path": item.entry.path,
         "sha256": item.entry.sha256, "statement": item.node.statement,
         "through": sorted(item.through), "current": item.is_current}
        for item in reach.touched
    ]  # fmt: skip
    problems = [*found.problems, *reach.refused]
    document: dict[str, Any] = {
        "subject": found.subject,
        "headline": found.headline,
        "kind": found.kind,
        "digests": list(found.digests),
        "files": files,
        "statements": [node.link().model_dump(mode="json") for node in reach.statements],
        "scores": reach.scores,
        "batches": found.batches,
        "rebuild": found.rebuild,
        "problems": [item.model_dump(mode="json") for item in problems],
        "exit_code": found.exit_code,
    }
    if found.rows is not None:
        document["rows"] = found.rows.ids
        document["in_windows"] = found.rows.in_windows
    return document


# --- reproduce -------------------------------------------------------------------------------


def reproduce(
    model: Annotated[
        str, typer.Argument(help="model@ALIAS, model:VERSION or the beginning of a model's digest.")
    ],
    as_json: Json = False,
) -> int:
    r"""Make a model again from its raw days and compare all bytes: features, training set, model.

    Each step is done by the commit that its verified statement names, checked out from git's own
    objects, in the environment of that commit's lock: today's where the signed packages are these,
    else one that is built with the lock's hashes and kept in the home. The answer is the same bytes
    at every step, or the first step, file and column (or path in a document) that differ.

    Exit 0: the same bytes. 1: they differ, or a link is broken. 2: could not decide.

    \b
    Examples:
      fraud-provenance reproduce model@champion
      fraud-provenance reproduce model:1 --json
    """
    from fraud_provenance.due.planning import registry_of
    from fraud_provenance.investigate.reproducing import reproduce as make_again

    workspace = open_workspace()
    with progress() as say:
        trust, registry = workspace.trust, registry_of(workspace)
        found = make_again(trust, registry, workspace.project, model, say)
    if as_json:
        print_json(reproduced_json(found))
    else:
        print_reproduced(found)
    return found.exit_code


def reproduced_json(found: "Reproduced") -> dict[str, Any]:
    """What came out, for machines."""
    from dataclasses import asdict

    odd = found.different
    return {
        "subject": found.subject,
        "headline": found.headline,
        "same": found.exit_code == 0,
        "raw_days": found.raw,
        "files": [asdict(item) for item in found.files],
        "first_difference": asdict(odd) if odd else None,
        "ran": found.ran,
        "not_compared": found.not_compared,
        "verdict": verdict_json(found.verdict),
        "exit_code": found.exit_code,
    }
