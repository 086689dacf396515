"""The image recipe, as far as it can be looked at without a container engine."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from fraud_provenance.home.settings import PROJECT
from fraud_provenance_tests.test_kubernetes import pod

FOLDER = PROJECT / "deploy" / "image"
ENTRY = FOLDER / "entry"
KNOWN = {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "ENTRYPOINT", "CMD"}


def instructions() -> list[tuple[str, str]]:
    """Each instruction and what it says, continued lines put together."""
    text = (FOLDER / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in lines]


def said(word: str) -> list[str]:
    return [what for name, what in instructions() if name == word]


def test_recipe_is_of_known_instructions_and_its_base_is_named_by_whoever_builds() -> None:
    assert {name for name, _ in instructions()} == KNOWN
    assert instructions()[0] == ("ARG", "BASE")  # no default: without a digest nothing is built
    assert said("FROM") == ["${BASE} AS build", "${BASE}"]


def test_each_path_that_is_copied_is_there() -> None:
    stages = {found.split(" AS ")[1] for found in said("FROM") if " AS " in found}
    made = {"/opt/fraud-provenance", "/opt/fraud-provenance-tools"}
    for copied in said("COPY"):
        words = copied.split()
        flags, (source, _) = words[:-2], words[-2:]
        stage = [flag.partition("=")[2] for flag in flags if flag.startswith("--from=")]
        if stage:
            assert stage[0] in stages
            assert source in made
        else:
            assert (PROJECT / source).exists()
    assert said("WORKDIR")[0] in made
    assert f"FRAUD_PROVENANCE_TOOLS={max(made)}" in said("ENV")


def test_what_the_build_calls_is_there() -> None:
    (build,) = [line for line in said("RUN") if line.startswith("make")]
    makefile = (PROJECT / "Makefile").read_text().replace("$(VENV)", ".venv")
    for target in re.findall(r"make (.*?) &&", build)[0].split():
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target
    for tool in re.findall(r"tools/build\.sh (\w+)", build):
        assert tool in (PROJECT / "tools" / "build.sh").read_text()
    assert os.access(PROJECT / "tools" / "build.sh", os.X_OK)


def test_it_runs_as_the_user_of_the_pods() -> None:
    (user,) = said("USER")
    context = pod("code")["securityContext"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
    names = [name for name, _ in instructions()]
    assert names.index("USER") < names.index("ENTRYPOINT")


def test_git_objects_are_not_left_out() -> None:
    for name in (".containerignore", ".dockerignore"):
        assert not (PROJECT / name).exists()


@pytest.mark.parametrize("code", [0, 3])
def test_entry_gives_each_container_a_folder_of_its_own(tmp_path: Path, code: int) -> None:
    tmp_path.chmod(0o777)  # as a pod's /tmp
    told = f'echo "$TMPDIR $HOME"; stat -c %a "$TMPDIR"; exit {code}'
    done = subprocess.run(
        [str(ENTRY), "sh", "-c", told], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    places, mode = done.stdout.split("\n")[:2]
    folder, home = places.split()
    assert (folder, mode, done.returncode) == (home, "700", code)
    assert Path(folder).parent == tmp_path
