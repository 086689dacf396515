"""MA, DS-01: the model as a file, judged where it is evaluated, promoted and loaded."""

import base64
import json
import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sigstore.dsse import Statement as DsseStatement

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.sigstore import verification
from fraud_provenance.attested.statements import statements
from fraud_provenance.fraud import model
from fraud_provenance.models import facts, promotion
from fraud_provenance_tests.attacks import mutants
from fraud_provenance_tests.attacks.bundles import (
    MODEL,
    as_of_now,
    changed_bundle,
    document_of,
    forget_index,
    newest,
    payload_of,
)
from fraud_provenance_tests.attacks.bundles import rewritten as rewritten_bundle
from fraud_provenance_tests.attacks.cases_log import TRAIN
from fraud_provenance_tests.attacks.cases_other_models import evaluated_itself
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import champion, promote
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import (
    both,
    nothing_verified,
    policy_without,
    without,
)
from fraud_provenance_tests.attacks.serving import (
    TREES,
    FilesChange,
    candidate,
    evaluate,
    files_unchecked,
    forged_model,
    json_of,
    load,
    model_folder,
    registry_rows,
    resigned_signature,
    rewritten,
    unchanged,
)


def flip_one_byte(home: Home) -> None:
    path = model_folder(home) / TREES
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def pickled_function(files: dict[str, bytes]) -> None:
    """MLflow's own format for any Python object, beside the trees."""
    files["python_model.pkl"] = pickle.dumps({"predict": print})
    files["MLmodel"] = files["MLmodel"].replace(b"mlflow.xgboost", b"mlflow.pyfunc.model")


def other_loader(files: dict[str, bytes]) -> None:
    files["MLmodel"] = files["MLmodel"].replace(b"mlflow.xgboost", b"mlflow.pyfunc.model")


def pickle_as(name: str) -> Any:  # noqa: ANN401 - an attack's change
    def change(files: dict[str, bytes]) -> None:
        files[name] = pickle.dumps({"trees": [1, 2, 3]})

    return change


def _typed(name: bytes) -> bytes:
    return name + b"[$l#L"


def huge_array(files: dict[str, bytes]) -> None:
    """The first tree declares 2^40 children."""
    content, mark = files[TREES], _typed(b"left_children")
    at = content.index(mark) + len(mark)
    files[TREES] = content[:at] + struct.pack(">q", 2**40) + content[at + 8 :]


def index_out_of_range(name: bytes, value: int) -> Any:  # noqa: ANN401 - an attack's change
    def change(files: dict[str, bytes]) -> None:
        content, mark = files[TREES], _typed(name)
        at = content.index(mark) + len(mark) + 8
        files[TREES] = content[:at] + struct.pack(">i", value) + content[at + 4 :]

    return change


@contextmanager
def any_model_is_loaded() -> Iterator[None]:
    """The folder is believed: neither names nor contents nor trees are looked at."""
    from fraud_provenance.defs import training

    def believe(files: dict[str, bytes], *_: object) -> dict[str, Any]:
        return json_of(files["feature_contract.json"])

    with patched(training, "check_model_folder", believe):
        yield


def unseen_champion(change: FilesChange) -> Attack:
    """An attack: correctly signed and approved, champion now; nobody looked into its files.

    What was evaluated is the honest model: a pickle has no scores.
    """

    def attack(home: Home) -> None:
        honest = (model_folder(home) / TREES).read_bytes()
        predict = model.predict

        def measured(_trees: bytes, *rest: Any) -> Any:  # noqa: ANN401 - the scores
            return predict(honest, *rest)

        with (
            any_model_is_loaded(),
            policy_without("FORBIDDEN_FORMAT")(),
            patched(model, "predict", measured),
        ):
            evaluated_itself(home, change)
            said = home.job("promotion")
        assert said.code == 0, said

    return attack


def many_signatures(document: dict[str, Any]) -> None:
    document["dsseEnvelope"]["signatures"] *= 100_000


def many_timestamps(document: dict[str, Any]) -> None:
    data = document["verificationMaterial"]["timestampVerificationData"]
    data["rfc3161Timestamps"] *= 1_000


def next_statement(subjects: int, *, signed: bool) -> Attack:
    """The model's next statement names its subject so many times.

    `signed`: the trainer itself signs it, and it is logged; else it comes with the signature of the
    one before and says of itself that it was logged last, so that it is taken for the newest.
    """

    def attack(home: Home) -> None:
        workspace = home.workspace()
        document = document_of(home, newest(home))
        payload = json.loads(payload_of(document))
        sequence, previous = workspace.trust.lineage().versions.next(MODEL)
        internal = payload["predicate"]["buildDefinition"]["internalParameters"]
        internal |= {"sequence": sequence, "previous": previous}
        if signed:
            as_of_now(payload["predicate"])
        payload["subject"] *= subjects
        said = encoding.canonical_json(payload)
        document["dsseEnvelope"]["payload"] = base64.b64encode(said).decode()
        document["verificationMaterial"]["tlogEntries"][0]["logIndex"] = str(10**9)
        content = json.dumps(document).encode()
        if signed:
            signer = workspace.trust.signing._signer(TRAIN)
            content = signer.sign_dsse(DsseStatement(said)).to_json().encode()
        workspace.store.bundle_path(encoding.digest_bytes(content)).write_bytes(content)
        forget_index(home)

    return attack


def _first_subject(content: bytes) -> statements.Statement:
    document = json.loads(content)
    document["subject"] = document["subject"][:1]
    parsed = parse_statement(encoding.canonical_json(document))
    return parsed.model_copy(update={"content": content})


parse_statement = statements.parse_statement
first_subject_counts = both(
    lambda: patched(verification, "parse_statement", _first_subject),
    lambda: patched(mutants, "parse_statement", _first_subject),
)
"""A mutant: of many subjects the first is taken."""


HONEST = forged_model(unchanged)
BETTER = "update {} set value = 0.95 where key = 'auc_roc'"
NOTE = "update model_versions set description = 'looked at on Monday'"

CASES = [
    *(
        Case("MA-01", flip_one_byte, judge, rewritten(lambda home: model_folder(home) / TREES),
             files_unchecked, state, variant)
        for variant, judge, state in (
            ("champion", champion("P5"), "scored"), ("promotion", promote(), "approved")
        )
    ),
    Case("MA-07", resigned_signature(["code"]), candidate, resigned_signature([]),
         lambda: patched(facts, "_IGNORED", facts._IGNORED | {"code"}), state="approved"),
    *(
        Case(line, make(change), judge, make(unchanged), any_model_is_loaded,
             variant=f"{variant}, {where}")
        for line, variant, change in (
            ("MA-11", "pickled", pickled_function), ("MA-11", "other loader", other_loader),
            *(("MA-12", name, pickle_as(name)) for name in (TREES, "model.json", "model.bst")),
        )
        for where, make, judge in (
            ("evaluation", forged_model, evaluate), ("load", unseen_champion, load)
        )
    ),
    *(
        Case("MA-14", forged_model(change), evaluate, HONEST, any_model_is_loaded, variant=variant)
        for variant, change in (
            ("array of 2^40", huge_array),
            ("child out of range", index_out_of_range(b"left_children", 10**6)),
            ("child is its parent", index_out_of_range(b"left_children", 0)),
            ("feature out of range", index_out_of_range(b"split_indices", 99)),
        )
    ),
    Case("MA-17", registry_rows(BETTER.format("metrics")), promote(), registry_rows(NOTE),
         without(promotion, "metric_problems", []), state="approved"),
    Case("DS-01", changed_bundle(many_signatures), candidate, rewritten_bundle, nothing_verified,
         state="approved", variant="signatures"),
    Case("DS-01", changed_bundle(many_timestamps), candidate, rewritten_bundle, nothing_verified,
         state="approved", variant="timestamps"),
    Case("DS-01", next_statement(100_000, signed=False), candidate, rewritten_bundle,
         both(nothing_verified, first_subject_counts), state="approved", variant="subjects"),
    Case("DS-01", next_statement(1_000, signed=True), candidate, next_statement(1, signed=True),
         first_subject_counts, state="approved", variant="signed subjects"),
]  # fmt: skip
