"""What people decide and sign: `approve`, `accept`, `waive`, `rollback`, `revoke`."""

from typing import Annotated

import typer

from fraud_provenance.cli.terminal import (
    Json,
    open_workspace,
    out,
    print_json,
    print_revoked,
)

Email = Annotated[str, typer.Option("--as", help="Your e-mail identity.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(approve)
    app.command()(accept)
    app.command()(waive)
    app.command()(rollback)
    app.command()(revoke)


def approve(
    subject: Annotated[str, typer.Argument(help="model@candidate, model:VERSION, or policies.")],
    environment: Annotated[str, typer.Option("--environment", help="Where it may run.")],
    email: Email,
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


def accept(
    asset: Annotated[str, typer.Argument(help="raw_transactions or transaction_features")],
    day: Annotated[str, typer.Argument(help="The day that is held, YYYY-MM-DD.")],
    why: Annotated[str, typer.Option("--reason", help="Why it is right; signed.")],
    email: Email = "",
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
        f"acceptance {signed['statement'][:12]}; the next run uses it, or the daemon",
        markup=False,
    )
    return 0


def waive(
    asset: Annotated[str, typer.Argument(help="raw_transactions")],
    day: Annotated[str, typer.Argument(help="The day without transactions, YYYY-MM-DD.")],
    why: Annotated[str, typer.Option("--reason", help="Why; it is signed with the waiver.")],
    email: Email = "",
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


def rollback(
    asset: Annotated[str, typer.Argument(help="raw_transactions, or what is made of it.")],
    partition: Annotated[str, typer.Argument(help="The day, YYYY-MM-DD, or train, evaluation.")],
    to: Annotated[
        str, typer.Option("--to", help="SHA-256 of a raw day's version, or its first digits.")
    ] = "",
    email: Email = "",
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


def revoke(
    subject: Annotated[
        str,
        typer.Argument(
            help="asset/partition, model@alias, model:VERSION, a digest (of a statement such as an "
            "approval, a model or a file), log:INDEX, identity:NAME or principal:ID."
        ),
    ],
    why: Annotated[str, typer.Option("--reason", help="Why; it is signed with the revocation.")],
    email: Email = "",
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
