"""`make demo`: the product's own commands, one after another, each shown before it runs."""

import os
import subprocess
import sys
import time

import fraud_provenance.causes  # noqa: F401 - no refusal is shown without its remedy
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import Workspace, opened_from
from fraud_provenance.models.registry import CANDIDATE, CHAMPION

APPROVER = "risk.officer@example.com"
DAYS = 60


def command(*arguments: str, **variables: str) -> None:
    """Show and run one command, with more variables; the demo ends where it fails."""
    print(f"\n$ fraud-provenance {' '.join(arguments)}", flush=True)
    done = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "fraud_provenance.cli", *arguments],
        env={**os.environ, **variables},
        check=False,
    )
    if done.returncode != 0:
        sys.exit(done.returncode)


def is_waiting(workspace: Workspace) -> bool:
    """Whether the newest candidate is not the champion yet."""
    registry = registry_of(workspace)
    candidate, champion = registry.alias(CANDIDATE), registry.alias(CHAMPION)
    return candidate is not None and (champion is None or champion.model_id != candidate.model_id)


def riskiest(workspace: Workspace) -> int:
    """The transaction with the highest score of the newest scored day."""
    import polars as pl

    newest = max((workspace.data / "transaction_scores").glob("*.parquet"))
    scores = pl.read_parquet(newest).sort("score", "transaction_id", descending=[True, False])
    return int(scores["transaction_id"][0])


def play(workspace: Workspace, days: int = DAYS) -> int:
    """Servers, so many days of data, graph, approval, promotion, scores, verification, trace.

    Returns the transaction that was traced.
    """
    command("up")
    command("generate", "--days", str(days), "--rows-per-day", "2000", "--seed", "1")
    command("run")
    if is_waiting(workspace):
        environment = ["--environment", workspace.environment]
        why = ["--reason", "metrics and contracts reviewed in the demo"]
        command("approve", "model@candidate", *environment, "--as", APPROVER, *why)
        command("run")
    command("verify", "model@champion")
    transaction = riskiest(workspace)
    command("trace", str(transaction))
    return transaction


def main() -> None:
    """Play it in the home that the environment names, and say what to open next."""
    workspace = opened_from(os.environ)
    began = time.monotonic()
    transaction = play(workspace)
    print(
        f"\ndone in {time.monotonic() - began:.0f} s. What to open next:\n"
        "  make ui                                    the same graph in Dagster, sensors ticking\n"
        f"  {workspace.reports / 'data_docs'}  contract reports\n"
        f"  fraud-provenance trace {transaction} --json     the same chain for machines\n"
        "  make down                                  stop the local servers"
    )


if __name__ == "__main__":
    main()
