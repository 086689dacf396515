"""MA, DS-01: the model as a file, judged where it is evaluated, promoted and loaded."""

import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fraud_provenance.gates import facts, promotion
from fraud_provenance_tests.attacks.bundles import changed_bundle
from fraud_provenance_tests.attacks.bundles import rewritten as rewritten_bundle
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import champion, promote
from fraud_provenance_tests.attacks.model import Case
from fraud_provenance_tests.attacks.mutants import nothing_verified, without
from fraud_provenance_tests.attacks.serving import (
    TREES,
    candidate,
    evaluate,
    files_unchecked,
    forged_model,
    json_of,
    model_folder,
    registry_rows,
    resigned_signature,
    rewritten,
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


def unchanged(files: dict[str, bytes]) -> None:
    """The honest model under another name."""


@contextmanager
def any_model_is_loaded() -> Iterator[None]:
    """The folder is believed: neither names nor contents nor trees are looked at."""
    from fraud_provenance.defs import training

    def believe(files: dict[str, bytes], *_: object) -> dict[str, Any]:
        return json_of(files["feature_contract.json"])

    with patched(training, "check_model_folder", believe):
        yield


def many_signatures(document: dict[str, Any]) -> None:
    document["dsseEnvelope"]["signatures"] *= 100_000


def many_timestamps(document: dict[str, Any]) -> None:
    data = document["verificationMaterial"]["timestampVerificationData"]
    data["rfc3161Timestamps"] *= 1_000


HONEST = forged_model(unchanged)
BETTER = "update {} set value = 0.95 where key = 'auc_roc'"
NOTE = "update model_versions set description = 'looked at on Monday'"

CASES = [
    Case("MA-01", flip_one_byte, champion("P5"), rewritten(lambda home: model_folder(home) / TREES),
         files_unchecked),
    Case("MA-07", resigned_signature(["code"]), candidate, resigned_signature([]),
         lambda: patched(facts, "_IGNORED", facts._IGNORED | {"code"}), state="approved"),
    *(
        Case("MA-11", forged_model(change), evaluate, HONEST, any_model_is_loaded, variant=variant)
        for variant, change in (("pickled", pickled_function), ("other loader", other_loader))
    ),
    *(
        Case("MA-12", forged_model(pickle_as(name)), evaluate, HONEST, any_model_is_loaded,
             variant=name)
        for name in (TREES, "model.json", "model.bst")
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
]  # fmt: skip
