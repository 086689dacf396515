"""Libraries put back one by one: from signed locks, beside the installed ones, or not at all."""

import ast
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.fraud import replay
from fraud_provenance.investigate import installing
from fraud_provenance.investigate.changes import COMPUTING, LIBRARY, Change, Changes
from fraud_provenance.investigate.past import Past, packages_of, requirements_of
from fraud_provenance.investigate.past_code import Codes, by_other_code
from fraud_provenance.investigate.past_libraries import Libraries, Sides
from fraud_provenance.investigate.recipes import Recipe
from fraud_provenance.investigate.worlds import Worlds
from fraud_provenance.models.facts import MODEL
from fraud_provenance_tests.product import PROJECT

TODAY = (PROJECT / "requirements.lock").read_text("utf-8")
TREES, NUMBERS = "xgboost-cpu", "numpy"


def older(*names: str) -> str:
    """The lock with other versions of some packages; their hashes are those of nothing."""
    text = TODAY
    for name in names:
        text = text.replace(f"\n{name}=={metadata.version(name)} ", f"\n{name}==0.0.1 ")
    return text


def recipe(name: str) -> Recipe:
    """One side, whose model names a commit and a lock."""
    return Recipe(name, [], commits={MODEL: name}, locks={MODEL: name})


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is installed is a folder, and the requirements are noted."""
    asked: list[str] = []

    def run(command: Sequence[str], _deadline_s: float) -> None:
        if "--target" in command:
            Path(command[command.index("--target") + 1]).mkdir()
            asked.append(Path(command[-1]).read_text("utf-8"))

    monkeypatch.setattr(installing, "run", run)
    return asked


def between(
    cache: Path, before: str, now: str, names: Sequence[str] = ()
) -> tuple[Libraries, Changes, dict[str, tuple[Path | None, Path | None]]]:
    """What is found between two locks; `names`: the libraries that are known to have changed."""
    texts = {"a": before.encode(), "b": now.encode()}
    past = SimpleNamespace(lock_bytes=lambda commit, _digest: texts[commit])
    libraries = Libraries(cast("Past", past), cache)
    changes = Changes(tuple(Change(LIBRARY, name, "1", "2") for name in names))
    found, sides = libraries.between(recipe("a"), recipe("b"), changes)
    return libraries, found, dict(sides)


def test_requirements_of_a_lock_are_its_lines_with_their_hashes() -> None:
    text = requirements_of(TODAY, [TREES, "polars-runtime-32"])
    assert set(packages_of(text)) == {TREES, "polars-runtime-32"}
    assert "--hash=sha256:" in text
    assert "#" not in text
    assert text.rstrip()[-1] != "\\"
    assert requirements_of(TODAY, ["no-such"]) == ""


def test_installed_versions_need_no_folder(tmp_path: Path, installs: list[str]) -> None:
    _, _, sides = between(tmp_path, TODAY, TODAY)
    assert installs == []
    assert set(sides.values()) == {(None, None)}


def test_a_version_of_the_past_lies_in_a_folder_of_its_own(
    tmp_path: Path, installs: list[str]
) -> None:
    for _ in range(2):  # the second time it is there
        _, changes, sides = between(tmp_path, older(TREES), TODAY, [TREES])
    before, now = sides[TREES]
    assert now is None
    assert before is not None
    assert before.is_dir()
    assert sides[NUMBERS] == (None, None)
    assert [packages_of(text) for text in installs] == [{TREES: "0.0.1"}]
    assert [path.name for path in tmp_path.iterdir()] == [before.name]
    assert changes.replayable


def test_where_both_sides_are_of_another_version_than_today_both_have_it(
    tmp_path: Path, installs: list[str]
) -> None:
    _, _, sides = between(tmp_path, older(NUMBERS), older(NUMBERS))
    assert sides[NUMBERS][0] == sides[NUMBERS][1] is not None
    assert len(installs) == 1


def test_what_a_library_needs_of_its_own_comes_along(tmp_path: Path, installs: list[str]) -> None:
    between(tmp_path, older("polars", "polars-runtime-32"), TODAY, ["polars"])
    assert [set(packages_of(text)) for text in installs] == [{"polars", "polars-runtime-32"}]


def test_a_version_that_cannot_be_had_is_fixed_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(command: Sequence[str], _deadline_s: float) -> None:
        raise OSError("no such version")

    monkeypatch.setattr(installing, "run", fails)
    libraries, changes, sides = between(tmp_path, older(TREES), TODAY, [TREES, NUMBERS])
    assert TREES not in sides
    assert [item.name for item in changes.fixed] == [TREES]
    assert [item.name for item in changes.replayable] == [NUMBERS]
    assert "no such version" in libraries.notes[0]
    assert list(tmp_path.iterdir()) == []


def test_the_replay_imports_no_library_that_cannot_be_put_back() -> None:
    """Of those that are not Python's own, all that shape values are in the list."""
    folder = Path(str(replay.__file__)).parent
    reached, waiting = {"replay"}, ["replay"]
    foreign: set[str] = set()
    while waiting:
        tree = ast.parse((folder / f"{waiting.pop()}.py").read_bytes())
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                own = name.removeprefix("fraud_provenance.fraud.")
                if own == name:
                    foreign.add(name.partition(".")[0])
                elif own not in reached and (folder / f"{own}.py").is_file():
                    reached.add(own)
                    waiting.append(own)
    computing = foreign & {"numpy", "polars", "sklearn", "xgboost", "pandas", "pyarrow", "scipy"}
    assert computing == set(COMPUTING.values())


def test_code_of_the_past_finds_the_folder_before_what_is_installed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("def tell():\n    import polars\n    print(polars.WHO)\n", "utf-8")
    code, folder = tmp_path / "code", tmp_path / "folder"
    for place in (code, folder):
        place.mkdir()
    (folder / "polars.py").write_text("WHO = 'the past'\n", "utf-8")
    command = by_other_code(sys.executable, code, str(script), "tell", libraries=[folder])
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "the past\n"


def test_putting_back_a_library_is_another_world(tmp_path: Path) -> None:
    before, now = tmp_path / "before", tmp_path / "now"
    changes = {f"{LIBRARY} {name}": Change(LIBRARY, name, "1", "2") for name in (TREES, NUMBERS)}
    sides: dict[str, Sides] = {TREES: (before, None), NUMBERS: (None, now)}
    worlds = Worlds(cast("Trust", None), cast("Codes", None), recipe("a"), recipe("b"), changes,
                    libraries=sides)  # fmt: skip
    assert worlds.world(frozenset()).libraries == (now,)
    assert worlds.world(frozenset([f"{LIBRARY} {TREES}"])).libraries == (now, before)
    assert worlds.world(frozenset(changes)).libraries == (before,)
    keys = {
        worlds._key(worlds.world(frozenset(back))) for back in ([], *([key] for key in changes))
    }
    assert len(keys) == 3
