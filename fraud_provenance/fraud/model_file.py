"""Is this folder a model that may be loaded? Names, contents, flavour, then a probe of the trees.

Nothing here loads the model. The bytes are judged as they were handed over; whoever passed them on
loads the same bytes. A verdict is remembered by the digest of everything it rests on.
"""

import hashlib
import importlib.util
import json
import math
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from fraud_provenance.fraud import model_probe
from fraud_provenance.fraud.errors import DataError

TREES, CONTRACT, FLAVOURS = "model.ubj", "feature_contract.json", "MLmodel"
PROBE_DEADLINE_S: Final = 60
_DATA_SUFFIXES: Final = (".ubj", ".json", ".bst", ".model", ".txt", ".yaml", ".yml", ".md")
_TEXT_NAMES: Final = ("MLmodel",)
_LOADERS: Final = ("mlflow.xgboost",)
_SIDE_FILE_LIMIT: Final = 4 * 1024**2
_EXPECTED: Final = ("objective", "booster", "base_score", "n_estimators")
_REMEDY: Final = (
    "treat the model as hostile: `fraud-provenance verify fraud_model` names its digest, "
    "`fraud-provenance revoke DIGEST --reason TEXT` withdraws it, and `fraud-provenance run` "
    "trains another one"
)
_CRASHES: Final = (4, 6, 7, 8, 11)  # SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV
_known: set[str] = set()


def check_model_folder(
    files: Mapping[str, bytes],
    parameters: Mapping[str, Any],
    allowed: Collection[str],
    scratch: Path,
) -> dict[str, Any]:
    """Judge a model folder before anything in it is loaded.

    Args:
        files: Every file of the folder by its path, as verified by the caller.
        parameters: The signed training parameters.
        allowed: The file names that the policy allows.
        scratch: A private folder for the probe to run in.

    Returns:
        The feature contract.

    Raises:
        DataError: FORMAT_MAGIC where a file is not what its name claims; FORBIDDEN_FORMAT where a
            file or flavour could be code; MODEL_MALFORMED; RESOURCE_LIMIT; FEATURE_DEF_MISMATCH
            where the contract cannot be used.
    """
    for name, content in sorted(files.items()):
        _check_name(name)
        _check_magic(name, content)
    unknown = sorted(set(files) - set(allowed))
    if unknown:
        raise _refused("FORBIDDEN_FORMAT", f"{unknown[0][:80]!r} is no file of a model here")
    missing = sorted({TREES, CONTRACT, FLAVOURS} - set(files))
    if missing:
        raise _refused("FORBIDDEN_FORMAT", f"the model has no {missing[0]}")
    _check_flavours(files[FLAVOURS])
    contract = _contract(files[CONTRACT])
    expected = {name: parameters.get(name) for name in _EXPECTED} | {"names": contract["names"]}
    seen = hashlib.sha256(json.dumps(expected, sort_keys=True).encode() + files[TREES]).hexdigest()
    if seen not in _known:
        _probe(files[TREES], expected, scratch)
        _known.add(seen)
    return contract


def check_inputs(names: Sequence[str], signed: object) -> None:
    """A model's inputs are those that were signed with it, in the order of the features.

    The trees know inputs by place: names exchanged alike in trees, contract and statement give each
    of the two the values of the other.

    Args:
        names: The inputs that the feature contract names, hence the booster.
        signed: What the training step's statement names.

    Raises:
        DataError: FEATURE_DEF_MISMATCH.
    """
    from fraud_provenance.fraud.columns import FEATURES  # polars comes with it

    if list(names) != signed:
        raise _refused("FEATURE_DEF_MISMATCH", f"its inputs are {list(names)}, signed: {signed}")
    known = [name for name in names if name in FEATURES]
    if known != [name for name in FEATURES if name in known]:
        raise _refused("FEATURE_DEF_MISMATCH", f"its inputs are in another order: {known}")


def _refused(code: str, message: str) -> DataError:
    return DataError(code, message, remedy=_REMEDY)


def _check_name(name: str) -> None:
    """A name that is not one of plain data could be code, whatever is in it."""
    path = Path(name)
    if path.suffix not in _DATA_SUFFIXES and name not in _TEXT_NAMES:
        raise _refused("FORBIDDEN_FORMAT", f"{name[:80]!r} could hold code")


def _check_magic(name: str, content: bytes) -> None:
    """A file is what its name says: UBJSON, JSON or text; a pickle or an archive is none."""
    if Path(name).suffix == ".ubj":
        # Text JSON also starts with a brace; after it UBJSON has the type of a length, or the end.
        good = content[:1] == b"{" and content[1:2] in (b"i", b"U", b"I", b"l", b"L")
    elif len(content) > _SIDE_FILE_LIMIT:
        raise _refused("RESOURCE_LIMIT", f"{name} has {len(content)} bytes")
    else:
        good = _is_text(content)
        if good and Path(name).suffix == ".json":
            good = _is_json(content)
        elif Path(name).suffix in (".bst", ".model"):
            good = False  # XGBoost's old binary formats
    if not good:
        raise _refused("FORMAT_MAGIC", f"{name} is not what its name says: {content[:8]!r}")


def _is_text(content: bytes) -> bool:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\r\n\t" for character in text)


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


def _check_flavours(content: bytes) -> None:
    """MLflow may only be told to load this with its XGBoost loader, as UBJSON, without own code."""
    try:
        described = yaml.safe_load(content)
        flavours = described["flavors"]
        function = flavours["python_function"]
        good = (
            set(flavours) == {"python_function", "xgboost"}
            and function["loader_module"] in _LOADERS
            and not {"python_model", "code", "artifacts", "cloudpickle_version"} & set(function)
            and flavours["xgboost"]["data"] == TREES
            and flavours["xgboost"]["model_format"] == "ubj"
            and not flavours["xgboost"].get("code")
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _refused("FORBIDDEN_FORMAT", f"MLmodel cannot be read: {error!r}"[:300]) from error
    if not good:
        raise _refused("FORBIDDEN_FORMAT", "MLmodel names another loader than XGBoost's for UBJSON")


def _contract(content: bytes) -> dict[str, Any]:
    try:
        contract = dict(json.loads(content))
        names, threshold = contract["names"], contract["threshold"]
        good = (
            contract["format"] == "ubj"
            and isinstance(names, list)
            and bool(names)
            and all(isinstance(name, str) for name in names)
            and len(set(names)) == len(names) == len(contract["dtypes"])
            and isinstance(threshold, float)
            and math.isfinite(threshold)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _refused("FEATURE_DEF_MISMATCH", f"the feature contract: {error!r}"[:300]) from error
    if not good:
        raise _refused("FEATURE_DEF_MISMATCH", "the feature contract does not hold together")
    return contract


def _probe(content: bytes, expected: Mapping[str, Any], scratch: Path) -> None:
    """Have a process of its own parse the trees; it dies with whatever they do to it."""
    limits = {"cpu_s": model_probe.CPU_S, "memory_bytes": model_probe.MEMORY_BYTES}
    head = json.dumps({**expected, **limits, "library": _library()}).encode()
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, our own file, no shell
            [sys.executable, "-I", "-B", model_probe.__file__],
            input=head + b"\n" + content,
            capture_output=True,
            timeout=PROBE_DEADLINE_S,
            check=False,
            cwd=scratch,
            env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HOME": str(scratch)},
        )
    except subprocess.TimeoutExpired as error:
        raise _refused("RESOURCE_LIMIT", f"no verdict within {PROBE_DEADLINE_S} s") from error
    except OSError as error:
        raise _refused("TOOL_UNAVAILABLE", f"cannot start the model probe: {error}") from error
    if done.returncode < 0:
        crashed = -done.returncode in _CRASHES
        code = "MODEL_MALFORMED" if crashed else "RESOURCE_LIMIT"
        raise _refused(code, f"the probe was ended by signal {-done.returncode}")
    answer = _answer(done.stdout)
    if "code" in answer:
        raise _refused(str(answer["code"]), str(answer.get("message", "")))
    if done.returncode != 0 or answer.get("trees") != expected["n_estimators"]:
        told = done.stderr.decode("utf-8", "replace")[-200:]
        code = "RESOURCE_LIMIT" if "MemoryError" in told else "VERIFY_ERROR"
        raise _refused(code, f"the probe gave no verdict (exit {done.returncode}): {told}")


def _answer(printed: bytes) -> dict[str, Any]:
    try:
        found = json.loads(printed)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _library() -> str:
    """XGBoost's own library, found without importing the package, which takes seconds."""
    found = importlib.util.find_spec("xgboost")
    folders = list(found.submodule_search_locations or ()) if found else []
    if not folders:
        raise _refused("TOOL_UNAVAILABLE", "XGBoost is not installed")
    return str(Path(folders[0]) / "lib" / "libxgboost.so")
