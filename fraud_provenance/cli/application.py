"""The program `fraud-provenance`: every group of commands, and where every error ends."""

import gc
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import typer

import fraud_provenance.causes  # noqa: F401 - no refusal is shown without its remedy
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ProvenanceError, Reason, reason, storage_error
from fraud_provenance.cli import (
    gating,
    home,
    inquiries,
    landing,
    news,
    people,
    proofs,
    running,
    ui,
    verifying,
)
from fraud_provenance.cli.terminal import (
    err,
    print_json,
    print_reasons,
)

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
    gc.set_threshold(50_000, 20, 50)  # loading libraries makes many objects, none of them garbage
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


for group in (home, landing, running, people, verifying, gating, inquiries, proofs, news, ui):
    group.register(app)
