"""A model folder is judged before anything in it is loaded: names, contents, flavour, trees."""

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraud_provenance.fraud import model_file, model_probe
from fraud_provenance.fraud.columns import FEATURES
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.fraud.model_file import check_inputs, check_model_folder
from fraud_provenance.fraud.model_probe import MalformedModel, check_model, parse_ubjson

ALLOWED = ("MLmodel", "feature_contract.json", "model.ubj")
NAMES = ["a", "b", "c"]
PARAMETERS: dict[str, Any] = {
    "objective": "binary:logistic",
    "booster": "gbtree",
    "base_score": 0.5,
    "n_estimators": 3,
}
EXPECTED = PARAMETERS | {"names": NAMES}
MLMODEL = b"""flavors:
  python_function: {loader_module: mlflow.xgboost, data: model.ubj}
  xgboost: {data: model.ubj, model_format: ubj, code: null}
"""
CONTRACT = {"format": "ubj", "names": NAMES, "dtypes": ["float32"] * 3, "threshold": 0.5}


@pytest.fixture(scope="module")
def trees() -> bytes:
    import xgboost as xgb

    rows = np.random.default_rng(0).random((200, 3), dtype=np.float32)
    data = xgb.DMatrix(rows, label=rows[:, 0] > 0.5, feature_names=NAMES, nthread=1)
    parameters = {name: PARAMETERS[name] for name in ("objective", "booster", "base_score")}
    booster = xgb.train(
        parameters | {"tree_method": "exact", "max_depth": 3, "nthread": 1}, data, num_boost_round=3
    )
    return bytes(booster.save_raw(raw_format="ubj"))


@pytest.fixture
def files(trees: bytes) -> dict[str, bytes]:
    contract = json.dumps(CONTRACT).encode()
    return {"MLmodel": MLMODEL, "feature_contract.json": contract, "model.ubj": trees}


def test_honest_folder_is_probed_once(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_file, "_known", set())
    assert check_model_folder(files, PARAMETERS, ALLOWED, tmp_path) == CONTRACT
    monkeypatch.setattr(model_file, "_probe", lambda *_: pytest.fail("probed again"))
    check_model_folder(files, PARAMETERS, ALLOWED, tmp_path)


PICKLE = pickle.dumps({"predict": 1})


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("model.ubj", PICKLE, "FORMAT_MAGIC"),
        ("model.ubj", pickle.dumps([1], protocol=0), "FORMAT_MAGIC"),
        ("model.ubj", b'{"learner": {}}', "FORMAT_MAGIC"),
        ("model.json", PICKLE, "FORMAT_MAGIC"),
        ("model.bst", b"binf", "FORMAT_MAGIC"),
        ("notes.txt", b"PK\x03\x04", "FORMAT_MAGIC"),
        ("model.pkl", b"{}", "FORBIDDEN_FORMAT"),
        ("code/run.py", b"print()", "FORBIDDEN_FORMAT"),
        ("notes.txt", b"harmless", "FORBIDDEN_FORMAT"),
        ("MLmodel", MLMODEL.replace(b"mlflow.xgboost", b"mlflow.pyfunc.model"), "FORBIDDEN_FORMAT"),
        ("MLmodel", MLMODEL.replace(b"code: null", b"code: code"), "FORBIDDEN_FORMAT"),
        ("MLmodel", b"flavors: [", "FORBIDDEN_FORMAT"),
        ("MLmodel", b"!!python/object/apply:os.getcwd []", "FORBIDDEN_FORMAT"),
        ("feature_contract.json", b"[]", "FEATURE_DEF_MISMATCH"),
        ("feature_contract.json", json.dumps(CONTRACT | {"threshold": None}).encode(),
         "FEATURE_DEF_MISMATCH"),
        ("feature_contract.json", b" " * (5 * 1024**2), "RESOURCE_LIMIT"),
    ],
)  # fmt: skip
def test_folder_with_something_else_in_it_is_refused(
    files: dict[str, bytes], tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    with pytest.raises(DataError) as refused:
        check_model_folder(files | {name: content}, PARAMETERS, ALLOWED, tmp_path)
    assert refused.value.code == code


def test_folder_without_its_trees_is_refused(files: dict[str, bytes], tmp_path: Path) -> None:
    del files["model.ubj"]
    with pytest.raises(DataError, match="FORBIDDEN_FORMAT"):
        check_model_folder(files, PARAMETERS, ALLOWED, tmp_path)


def test_probe_reports_what_it_finds(files: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"MODEL_MALFORMED.*follow the model"):
        check_model_folder(
            files | {"model.ubj": files["model.ubj"] + b"x"}, PARAMETERS, ALLOWED, tmp_path
        )


def test_probe_that_takes_too_much_is_ended(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_file, "_known", set())
    monkeypatch.setattr(model_probe, "MEMORY_BYTES", 16 * 1024**2)
    with pytest.raises(DataError, match="RESOURCE_LIMIT"):
        check_model_folder(files, PARAMETERS, ALLOWED, tmp_path)


def test_probe_without_an_answer_is_no_pass(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = tmp_path / "silent.py"
    silent.write_text("")
    monkeypatch.setattr(model_file, "_known", set())
    monkeypatch.setattr(model_probe, "__file__", str(silent))
    with pytest.raises(DataError, match="VERIFY_ERROR"):
        check_model_folder(files, PARAMETERS, ALLOWED, tmp_path)


# --- the parser and the trees ----------------------------------------------------------------


def at(content: bytes, name: bytes, kind: bytes = b"l") -> int:
    mark = name + b"[$" + kind + b"#L"
    return content.index(mark) + len(mark)


def put(offset: int, name: bytes, packed: bytes, kind: bytes = b"l") -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        start = at(content, name, kind) + offset
        return content[:start] + packed + content[start + len(packed) :]

    return change


@pytest.mark.parametrize(
    "change",
    [
        put(0, b"left_children", struct.pack(">q", 2**40)),
        put(0, b"left_children", struct.pack(">q", -1)),
        put(8, b"left_children", struct.pack(">i", 10**6)),
        put(8, b"left_children", struct.pack(">i", -2)),
        put(8, b"left_children", struct.pack(">i", 0)),
        put(8, b"left_children", struct.pack(">i", 2)),
        put(8, b"split_indices", struct.pack(">i", 3)),
        put(8, b"parents", struct.pack(">i", 1)),
        put(8, b"split_conditions", struct.pack(">f", float("nan")), b"d"),
        put(8, b"base_weights", struct.pack(">f", float("inf")), b"d"),
        lambda content: content[:-1],
        lambda content: content[:100],
        lambda content: b"{",
        lambda content: b"{i\x01a[]}",
        lambda content: b"{i\x01ai\x01i\x01ai\x02}",
        lambda content: b"{i\x01a[$S#i\x01",
        lambda content: b"{i\x01a" + b"[#i\x01" * 100,
        lambda content: content.replace(b"binary:logistic", b"binary:logitraw"),
        lambda content: content.replace(b"[5E-1]", b"[9E-1]"),
        lambda content: content.replace(b"SL" + b"\0" * 7 + b"\x01a", b"SL" + b"\0" * 7 + b"\x01z"),
    ],
)
def test_impossible_model_is_malformed(trees: bytes, change: Callable[[bytes], bytes]) -> None:
    changed = change(trees)
    assert changed != trees
    with pytest.raises(MalformedModel):
        check_model(parse_ubjson(changed), EXPECTED)


@pytest.mark.parametrize(
    "lie",
    [
        {"objective": "reg:squarederror"},
        {"booster": "dart"},
        {"base_score": 0.4},
        {"n_estimators": 4},
        {"names": ["a", "c", "b"]},
        {"names": ["a", "b"]},
        {"base_score": None},
    ],
)
def test_model_of_other_parameters_is_malformed(trees: bytes, lie: dict[str, Any]) -> None:
    with pytest.raises(MalformedModel):
        check_model(parse_ubjson(trees), EXPECTED | lie)


def test_honest_model_holds_together(trees: bytes) -> None:
    assert check_model(parse_ubjson(trees), EXPECTED) == 3


EXCHANGED = [FEATURES[1], FEATURES[0], *FEATURES[2:]]


@pytest.mark.parametrize("names", [list(FEATURES), list(FEATURES[3:]), ["a", *FEATURES, "b"]])
def test_inputs_that_were_signed_in_the_features_order_pass(names: list[str]) -> None:
    check_inputs(names, names)


@pytest.mark.parametrize(
    ("names", "signed"),
    [
        (EXCHANGED, list(FEATURES)),
        (list(FEATURES), EXCHANGED),
        (EXCHANGED, EXCHANGED),
        (list(FEATURES), list(FEATURES[1:])),
        (list(FEATURES), None),
        ([*FEATURES, FEATURES[0]], [*FEATURES, FEATURES[0]]),
    ],
    ids=["in the model", "in the statement", "alike", "left out", "not signed", "twice"],
)
def test_inputs_under_exchanged_names_are_refused(names: list[str], signed: object) -> None:
    with pytest.raises(DataError, match="FEATURE_DEF_MISMATCH"):
        check_inputs(names, signed)
