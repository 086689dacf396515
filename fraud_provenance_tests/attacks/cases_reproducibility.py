"""RP, SV-15: which commit, packages and variables trained a model, and what its evidence tells."""

import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fraud_provenance.attested.attestors import installed as installed_lock
from fraud_provenance.attested.attestors import packages as environment
from fraud_provenance.attested.core import disclosure
from fraud_provenance.attested.gates import build_rules as surroundings
from fraud_provenance.attested.step.step import Step
from fraud_provenance.fraud import training_checks
from fraud_provenance.home import checkout
from fraud_provenance_tests.attacks.arena import commit_all
from fraud_provenance_tests.attacks.cases_evidence import any_parameter, approve
from fraud_provenance_tests.attacks.cases_governance import AUTHOR, REVIEWER, edit, sign, start_over
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import job, promote, training
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import without

PACKAGE, _NOTES = "right_pad", "right_pad-1.0.dist-info"


def demand(home: Home, threshold: str, change: Callable[[Any], Any]) -> None:
    """Both policy authors release a threshold's next value."""

    def changed(text: str) -> str:
        document = json.loads(text)
        document[threshold]["value"] = change(document[threshold]["value"])
        return json.dumps(document, indent=2)

    edit(home, "data/thresholds.json", changed)
    commit_all(home.project, "Demand more")
    sign(home, AUTHOR, REVIEWER)


# --- the commit ----------------------------------------------------------------------------------


def _git(home: Home, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments],
        cwd=home.project, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def protect_the_branch(home: Home) -> None:
    """From now on a model's commit must be on a branch, and it is; all is approved anew."""
    demand(home, "protected_branches", lambda value: value | {"local": "refs/heads/protected"})
    _git(home, "branch", "protected", "HEAD")
    start_over(home)


def throw_the_commit_out(home: Home) -> None:
    """The branch is set to another history, which never knew the model's commit."""
    protect_the_branch(home)
    other = _git(home, "commit-tree", "HEAD^{tree}", "-m", "another history")
    _git(home, "update-ref", "refs/heads/protected", other)


# --- installed packages --------------------------------------------------------------------------


def installed(prepare: Callable[[Path], None]) -> Attack:
    """Packages must be the locked ones here; another folder of packages is on the path.

    A package of its own lies there, which the project's locks name as it should be.
    """

    def attack(home: Home) -> None:
        folder = home.path / "scratch" / "packages"
        folder.mkdir()
        locked_package(folder)
        lock(home, folder)
        demand(home, "locked_environments", lambda value: [*value, "local"])
        prepare(folder)
        real = environment.sysconfig.get_path

        def get_path(name: str) -> str:
            return str(folder) if name == "platlib" else real(name)

        home.hold(patched(environment, "sysconfig", SimpleNamespace(get_path=get_path)))
        home.hold(patched(sys, "path", [*sys.path, str(folder)]))
        home.hold(patched(checkout, "_PACKAGES", {}))  # as in a new process
        home.hold(patched(checkout, "cache_folder", lambda: home.path / "run"))

    return attack


def lock(home: Home, folder: Path) -> None:
    """The project's locks name what lies in `folder`, as it is now."""
    project = home.own_project()
    package = (PACKAGE, "1.0", metadata.PathDistribution(folder / _NOTES))
    for name, line in (
        ("requirements.lock", f"{PACKAGE}==1.0 --hash=sha256:{'0' * 64}"),
        (installed_lock.PLACE, installed_lock.text("", [package]).strip()),
    ):
        with (project / name).open("a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")


def locked_package(folder: Path) -> None:
    """A small package, installed as installers do."""
    texts = {
        f"{PACKAGE}/__init__.py": "def right_pad(text): return text\n",
        f"{_NOTES}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(text, "utf-8")
    _record(folder, texts)


def _record(folder: Path, names: Iterable[str]) -> None:
    """The package's RECORD, of what its files are now."""
    rows = []
    for name in names:
        content = (folder / name).read_bytes()
        digest = urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(content)}\n")
    (folder / _NOTES / "RECORD").write_text(f"{''.join(rows)}{_NOTES}/RECORD,,\n", "utf-8")


def nothing_else(_folder: Path) -> None:
    """What is installed is what is locked."""


def unlocked_package(folder: Path) -> None:
    name = "left_pad-1.0.dist-info"
    (folder / "left_pad.py").write_text("def left_pad(text): return text\n")
    (folder / name).mkdir()
    (folder / name / "METADATA").write_text("Metadata-Version: 2.1\nName: left-pad\nVersion: 1.0\n")
    (folder / name / "RECORD").write_text(f"left_pad.py,,\n{name}/METADATA,,\n{name}/RECORD,,\n")


def edited_package(folder: Path) -> None:
    path = folder / PACKAGE / "__init__.py"
    path.write_text(f"{path.read_text('utf-8')}\nprint('I was here')\n", "utf-8")


def edited_with_its_record(folder: Path) -> None:
    """The line of RECORD says what the edited file is."""
    edited_package(folder)
    _record(folder, (f"{PACKAGE}/__init__.py", f"{_NOTES}/METADATA"))


def start_up_hook(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text("print('I was here')\n")


def path_hook(folder: Path) -> None:
    (folder / "more.pth").write_text("import sys\n")


any_packages = without(surroundings, "_package_reasons", [])


# --- variables -----------------------------------------------------------------------------------


def trained_with(
    variables: Mapping[str, str],
    unwatched: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Attack:
    """A model of a process with these variables is registered and approved.

    An attack goes `unwatched`: neither the step itself nor the gate of P2 looks at variables.
    """

    def attack(home: Home) -> None:
        with home.surroundings(variables), unwatched():
            said = home.job("training")
            assert said.code == 0, said
            approve(home)

    return attack


# --- what statements tell ------------------------------------------------------------------------


def signed_with_the_model(example: Mapping[str, Any]) -> Attack:
    """Somebody thought that an example would look well beside the model's facts."""

    def attack(home: Home) -> None:
        commit = Step.commit

        def tell_more(step: Step, outputs: Mapping[str, Any] | None = None, **named: Any) -> Any:  # noqa: ANN401 - as the original
            return commit(step, {**(outputs or {}), "example": dict(example)}, **named)

        home.hold(patched(Step, "commit", tell_more))

    return attack


def checked_as(name: str) -> Attack:
    """The training set's contract has one more check, of this name."""

    def attack(home: Home) -> None:
        judge = training_checks.check_training_set

        def judge_more(*arguments: Any) -> Any:  # noqa: ANN401 - as the original
            report = judge(*arguments)
            return replace(report, checks=(*report.checks, name))

        home.hold(patched(training_checks, "check_training_set", judge_more))

    return attack


def code_changed(name: str) -> Attack:
    """A module is changed and committed; nothing is made anew."""

    def attack(home: Home) -> None:
        with (home.own_project() / "fraud_provenance" / name).open("a") as stream:
            stream.write("\n_CHANGED = True\n")
        commit_all(home.project, "Change a module")

    return attack


CASES = [
    Case("SV-15", signed_with_the_model({"card": "4111 1111 1111 1111", "amount": 57}),
         job("P2", "training", assets=["fraud_model"]),
         signed_with_the_model({"cards": 4111, "amount": 57}),
         without(disclosure, "refuse_card_numbers"), variant="card"),
    Case("SV-15", checked_as("Coffee House 77 is paid"),
         job("P2", "training", assets=["training_set"]), checked_as("merchants_are_paid"),
         without(disclosure, "check_names"), variant="merchant"),
    Case("RP-02", throw_the_commit_out, promote(), protect_the_branch,
         without(surroundings, "_commit_reasons", []), state="approved"),
    Case("RP-03", installed(unlocked_package), training(train_days=6), installed(nothing_else),
         any_packages),
    *(
        Case("RP-04", installed(change), training(train_days=6), installed(nothing_else),
             any_packages, variant=variant)
        for variant, change in (
            ("edited", edited_package), ("edited with its RECORD", edited_with_its_record),
            ("start-up hook", start_up_hook), ("path hook", path_hook),
        )
    ),
    Case("RP-11", code_changed("fraud/mart.py"), training(train_days=6),
         code_changed("cli/application.py"), without(Step, "require_current_code")),
    Case("RP-09", trained_with({"DBT_SAMPLE": "1 day"}, any_parameter), promote(),
         trained_with({"DO_NOT_TRACK": "1"}), any_parameter, state="approved"),
]  # fmt: skip
