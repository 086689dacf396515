"""The commands that hand evidence over: `export`, and `verify FILE --offline` of what it wrote.

Exit codes are those of all commands: 0 proven or done, 1 not proven or refused, 2 could not decide.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from fraud_provenance.attested.core import files
from fraud_provenance.terminal import (
    Json,
    err,
    open_workspace,
    out,
    print_json,
    print_reasons,
    verdict_json,
)

_MAX_ROOT_BYTES = 1 << 20
_EXAMPLES = """\b
Examples:
  fraud-provenance export 48213 --out score.zip
  fraud-provenance export model@champion --out champion.zip
  fraud-provenance verify score.zip --offline --trust-root trusted_root.json
  python3 verify_bundle.py score.zip --root-digest SHA256
"""


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(epilog=_EXAMPLES)(export)


def export(
    subject: Annotated[
        str,
        typer.Argument(
            help="A transaction id that was scored, asset/partition, model@ALIAS, model:VERSION, "
            "or the beginning of a digest (of a decision, an approval, a statement)."
        ),
    ],
    target: Annotated[Path, typer.Option("--out", help="The file to write; mode 0600.")],
    as_json: Json = False,
) -> int:
    """Write one file that proves a subject to somebody who has nothing else.

    It holds every signed statement below the subject with timestamp and log proof, their manifests,
    the releases of policy and trust root, the revocations and, of a score, its one row with its way
    to the signed root. No data files, no keys. What does not verify is not exported: `verify` and
    `trace` say why. Tell the state's digest, which is printed, by another way than the file.
    """
    from fraud_provenance.due.planning import registry_of
    from fraud_provenance.investigate.exporting import export as exported

    workspace = open_workspace(whole=True)
    found = exported(workspace, registry_of(workspace), subject)
    files.write_atomic(target, found.content, mode=0o600)
    standing, count = found.checked.standing, len(found.checked.verdict.links)
    if as_json:
        print_json(
            {
                "subject": found.subject.name,
                "file": str(target),
                "bytes": len(found.content),
                "statements": count,
                "trusted_root": standing.trusted_root,
                "release": standing.release,
                "state": standing.digest,
                "exit_code": 0,
            }
        )
        return 0
    out.print(f"{found.subject.name}: {count} links, {len(found.content)} bytes", markup=False)
    out.print(f"wrote {target}", markup=False)
    out.print(f"trusted root sha256:{standing.trusted_root}", markup=False)
    out.print(f"release {standing.version}    sha256:{standing.release}", markup=False)
    out.print(f"state        sha256:{standing.digest}", markup=False)
    return 0


def verify_offline(path: Path, trust_root: Path | None, root_digest: str, as_json: bool) -> int:
    """Verify a file that `export` wrote, by nothing but itself and what the reader knows."""
    from fraud_provenance.investigate.offline import Pin, check_file
    from fraud_provenance.investigate.proof_file import read_proof

    given = files.read_once(trust_root, limit_bytes=_MAX_ROOT_BYTES) if trust_root else None
    found = check_file(read_proof(path), Pin(given, root_digest))
    verdict = found.verdict
    if as_json:
        more: dict[str, Any] = {
            "rests_on": list(found.rests_on),
            "standing": found.standing.model_dump(mode="json"),
            "state": found.standing.digest,
            "exit_code": verdict.exit_code,
        }
        print_json(verdict_json(verdict) | more)
        return verdict.exit_code
    if not verdict.trusted:
        out.print(f"NOT proven: {verdict.subject}", style="red", markup=False)
        print_reasons(verdict.reasons, out)
        return verdict.exit_code
    text = f"proven: {verdict.subject}, by {len(verdict.links)} signed statements"
    out.print(text, style="green", markup=False)
    for item in found.rests_on:
        err.print(f"· as far as this is what you know: {item}", markup=False)
    return 0
