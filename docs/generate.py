"""Writes what is derived from code: `python docs/generate.py`.

In: the closed vocabulary of root causes, the codes of the packages `data` and `fraud`, the models
of the gates' inputs. Out: `docs/root-causes.md` and the schemas of these inputs. A test fails while
what is on disk is not what the code gives.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import fraud_provenance.causes  # noqa: F401 - registers remedies
from fraud_provenance import data
from fraud_provenance.attested.core.codes import is_undecided, known, meaning, remedy
from fraud_provenance.attested.gates.inputs import DataAccess, schema_of
from fraud_provenance.fraud import contract
from fraud_provenance.models.gate_inputs import Deployment, Registration

ROOT_CAUSES = Path(__file__).parent / "root-causes.md"
SCHEMAS = Path(__file__).parents[1] / "policies" / "schemas"
INPUTS = {
    "data_access": DataAccess,
    "model_registration": Registration,
    "model_deployment": Deployment,
}
_DATA_ERROR = re.compile(r"(?:DataError|self\._error)\(\s*\"([A-Z_]+)\"")

_HEAD = """# Root causes

<!-- Written by docs/generate.py from the code. Do not edit this page. -->

Evidence, gates and servers refuse with a code of this list. The code comes with the artifact, the
partition, the signer and the time concerned, as far as they are known. Where a chain has several
faults, the one nearest the raw data is the root cause.

*Could not decide* means that something did not answer. Nothing was trusted. Try again once the
cause is mended. *Refused* is an answer: trying again changes nothing.

| code | what it means | what to do | kind |
|---|---|---|---|
"""

_CONTRACTS = """
## Codes of data contracts

A gate that meets a day whose contract failed says `CHECK_FAILED`. The signed test result says why,
and `run` and `verify` repeat it: each finding names the day, the check, one of these codes, the
column and the number of rows, or an aggregate and its bounds. It holds no value of a row and no
identifier, for everyone can read the log; examples stay in the Data Docs. Meanings
and remedies stand in the table above.

"""

_DATA = """
## Codes of data that cannot be used

Reading files, choosing days and loading a model refuse with one of these codes. The message names
the file, the column, the rows and the remedy.

"""


def root_causes() -> str:
    """The whole page, from the vocabularies as they are in code."""
    rows = [
        f"| `{code}` | {_cell(meaning(code))} | {_cell(remedy(code))} | {_kind(code)} |"
        for code in sorted(known())
    ]
    table = _HEAD + "\n".join(rows) + "\n"
    return table + _CONTRACTS + _listed(contract.CODES) + _DATA + _listed(_data_codes())


def _data_codes() -> set[str]:
    """The codes that the packages `data` and `fraud` raise, read from their sources."""
    packages = (Path(data.__file__).parent, Path(contract.__file__).parent)
    sources = [path for package in packages for path in sorted(package.glob("*.py"))]
    return {code for path in sources for code in _DATA_ERROR.findall(path.read_text("utf-8"))}


def _listed(codes: Iterable[str]) -> str:
    return "".join(f"- `{code}`\n" for code in sorted(codes))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _kind(code: str) -> str:
    return "could not decide" if is_undecided(code) else "refused"


def write_schemas() -> None:
    """Write each schema that says something else than its model.

    The policy's bytes are signed, so a file that says the same in another order stays as it is.
    """
    for name, model in INPUTS.items():
        path, made = SCHEMAS / f"{name}.json", schema_of(model)
        if not path.exists() or json.loads(path.read_text("utf-8")) != made:
            path.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    ROOT_CAUSES.write_text(root_causes(), "utf-8")
    write_schemas()
