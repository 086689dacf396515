"""What people signed, withdrew, or edited in the policy without a signature."""

from fraud_provenance_tests.incidents.acts import (
    CONTRACTS,
    RAW,
    SCORES,
    THRESHOLDS,
    bar,
    bundle_kind,
    edit,
    file_of,
    limit,
    new_day,
    said,
    then,
    turned,
    unsigned_limit,
)
from fraud_provenance_tests.incidents.model import Incident
from fraud_provenance_tests.incidents.place import Place, Plant, day

SCORED = f"{SCORES}/{day(45)}"
WHY = ("--reason", "it was wrong")


def median_at_most(value: int) -> tuple[str, str]:
    """(before, after) of the limit on the median amount of a raw day."""
    head, tail = '"amount_median_maximum": {\n      "value": ', ',\n      "reason": "In cents'
    return f"{head}1000{tail}", f"{head}{value}{tail}"


def withdrawn(subject: str, *more: str) -> Plant:
    return said("revoke", subject, *WHY, *more)


def withdrawn_approval(place: Place) -> None:
    """Whoever approved the champion takes it back."""
    digest = bundle_kind("approval:")(place).name.split(".")[0]
    place.say("revoke", digest, *WHY)


def forged(person: str, *lies: str) -> Plant:
    """An approval that no command would sign, and the graph runs."""

    def plant(place: Place) -> None:
        place.script("forging", person, *lies)
        place.run()

    return plant


def other_author(place: Place) -> None:
    """One author alone signs another bar."""
    place.edit(*bar("average_precision", "0.2", "0.1"))
    place.say("approve", "policies", "--environment", "local", "--as",
              "policy.author@example.com", *WHY)  # fmt: skip


def revocation(*names: str) -> frozenset[str]:
    return frozenset(f"revocation {name}" for name in names)


def raw(number: int) -> str:
    return f"{RAW}/{day(number)}"


CASES = (
    Incident("revoked", "a day is withdrawn", withdrawn(raw(40)), SCORED, revocation(raw(40))),
    Incident("revoked-learnt", "a day that was learnt from is withdrawn", withdrawn(raw(27)),
             "model@champion", revocation(raw(27))),
    Incident("revoked-two", "two days are withdrawn", then(withdrawn(raw(40)), withdrawn(raw(41))),
             SCORED, revocation(raw(40), raw(41))),
    Incident("revoked-model", "the champion is withdrawn", withdrawn("model@champion"), SCORED,
             revocation("fraud_model")),
    Incident("revoked-approval", "the approval is taken back", withdrawn_approval,
             "model@champion", revocation("approval")),
    Incident("revoked-signer", "the trainer's key is withdrawn",
             withdrawn("identity:/steps/train", "--from", "2020-01-01T00:00:00Z"),
             "model@champion", revocation("/steps/train")),
    Incident("revoked-edited", "a day is withdrawn, another one was edited",
             then(withdrawn(raw(40)), turned(file_of(RAW, day(33)))), SCORED,
             revocation(raw(40)) | {f"tampering {raw(33)}"}),
    Incident("policy", "a threshold was edited and not released",
             unsigned_limit(*bar("average_precision", "0.2", "0.1")), "model@champion",
             frozenset((f"tampering {THRESHOLDS}",))),
    Incident("policy-two", "a threshold and a rule were edited and not released",
             then(unsigned_limit(*bar("auc_roc", "0.7", "0.6")),
                  edit("policies/model_deployment/model_deployment.rego", "default allow := false",
                       "default allow := true")), "model@champion",
             frozenset((f"tampering {THRESHOLDS}",
                        "tampering policies/model_deployment/model_deployment.rego"))),
    Incident("one-author", "one author alone signed another bar", other_author, "model@champion",
             frozenset((f"tampering {THRESHOLDS}",))),
    Incident("policy-back", "a release asked for more, and somebody puts the older files back",
             then(limit(*bar("auc_roc", "0.7", "0.75")),
                  unsigned_limit(*bar("auc_roc", "0.75", "0.7"))), "model@champion",
             frozenset((f"tampering {THRESHOLDS}",))),
    Incident("bar", "a release asks for more than any model has",
             then(limit(*bar("average_precision", "0.2", "0.9")), new_day()), "alert",
             frozenset(("policy thresholds.json: metrics.average_precision.value",)),
             must_stop=True),
    Incident("limit", "a release allows smaller amounts than days have",
             then(limit(CONTRACTS, *median_at_most(40)), new_day()), f"{RAW}/{day(46)}",
             frozenset(("policy contracts.json: raw_expectations.amount_median_maximum.value",)),
             must_stop=True),
    Incident("self-approval", "the trainer approves the candidate",
             forged("ml.engineer@example.com"), "alert",
             frozenset(("approval SELF_APPROVAL",)), must_stop=True, base="next-day"),
    Incident("forged-approval", "somebody whom nobody knows approves the candidate",
             forged("mallory@example.com"), "alert",
             frozenset(("approval APPROVAL_UNKNOWN_PERSON",)), must_stop=True, base="next-day"),
)  # fmt: skip
