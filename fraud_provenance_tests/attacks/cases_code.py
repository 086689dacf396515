"""F4, F5, N1, RP-05, SN-09: which code this is, whatever git says or hides; what may be told."""

import compileall
import importlib
import importlib.util
import marshal
import os
import shlex
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from fraud_provenance.attested.attestors import work_tree
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance_tests.attacks.arena import commit_all
from fraud_provenance_tests.attacks.cases_governance import commit_the_change, leave_the_tree_dirty
from fraud_provenance_tests.attacks.cases_reproducibility import (
    PACKAGE,
    any_packages,
    installed,
    signed_with_the_model,
)
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import job, training
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import without

_MODULE = "fraud_provenance/fraud/model.py"
_MORE = "fraud_provenance/fraud/more"


def _git(project: Path, *arguments: str) -> str:
    """What git says; nothing where it fails."""
    done = subprocess.run(
        ["git", *arguments], cwd=project, check=False, capture_output=True, text=True
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def _asked(project: Path, _cache: Path | None = None) -> tuple[str, bool]:
    return _git(project, "rev-parse", "HEAD"), bool(_git(project, "status", "--porcelain"))


@contextmanager
def git_is_believed() -> Iterator[None]:
    """A mutant: git is asked, and what it does not say is nothing."""
    with patched(work_tree, "state", _asked), patched(work_tree, "files", lambda _project: []):
        yield


# --- git answers for another tree ----------------------------------------------------------------


def another_git(change: Attack) -> Attack:
    """The tree is changed, and a `git` first on the path answers out of a clean copy."""

    def attack(home: Home) -> None:
        project = home.own_project()
        change(home)
        clean = home.path / "scratch" / "clean"
        subprocess.run(["git", "clone", "-q", str(project), str(clean)], check=True)
        real = shutil.which("git")
        folder = home.path / "scratch" / "bin"
        folder.mkdir()
        script = folder / "git"
        script.write_text(f'#!/bin/sh\ncd {shlex.quote(str(clean))}\nexec {real} "$@"\n')
        script.chmod(0o755)
        path = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
        home.hold(patched(os, "environ", path))

    return attack


# --- git is made to fail -------------------------------------------------------------------------


def bare(home: Home) -> None:
    _git(home.own_project(), "config", "core.bare", "true")


def garbage_index(home: Home) -> None:
    (home.own_project() / ".git" / "index").write_bytes(b"garbage")


def missing_tree(home: Home) -> None:
    project = home.own_project()
    name = _git(project, "rev-parse", "HEAD^{tree}")
    (project / ".git" / "objects" / name[:2] / name[2:]).unlink()


def packed(home: Home) -> None:
    """The twin of a missing object: all of them lie in a pack."""
    _git(home.own_project(), "gc", "-q", "--prune=now")


def together(*changes: Attack) -> Attack:
    def attack(home: Home) -> None:
        for change in changes:
            change(home)

    return attack


# --- code that no commit has ---------------------------------------------------------------------


def ignored_module(home: Home) -> None:
    """The project's own `.gitignore`, as committed, leaves the module out."""
    project = home.own_project()
    with (project / ".gitignore").open("a") as stream:
        stream.write("more.*\n")
    commit_all(project, "Keep private notes out")
    (project / f"{_MORE}.py").write_text("print('I was here')\n")


def module_of_a_commit(home: Home) -> None:
    (home.own_project() / f"{_MORE}.py").write_text("print('I was here')\n")
    commit_all(home.project, "One module more")


def sourceless(home: Home) -> None:
    project = home.own_project()
    source = home.path / "scratch" / "more.py"
    source.write_text("print('I was here')\n")
    compileall.compile_file(source, quiet=1, legacy=True)
    source.with_suffix(".pyc").rename(project / f"{_MORE}.pyc")


def compiled_anew(home: Home) -> None:
    """The twin: compiled files of each source, and one of a source that is gone."""
    project = home.own_project()
    compileall.compile_dir(project / "fraud_provenance", quiet=1, force=True)
    kept = Path(importlib.util.cache_from_source(str(project / _MODULE)))
    shutil.copy(kept, kept.with_name(kept.name.replace("model", "a_module_that_went")))


def compiled_otherwise(home: Home) -> None:
    """A compiled file holds other code; its time and size are those of the committed source."""
    compiled_anew(home)
    source = home.project / _MODULE
    kept = Path(importlib.util.cache_from_source(str(source)))
    other = f"{source.read_text('utf-8')}\nprint('I was here')\n"
    header = kept.read_bytes()[:16]
    kept.write_bytes(header + marshal.dumps(compile(other, str(source), "exec")))


def imported_from_beside(home: Home) -> None:
    """A module among dbt's own output, which is ignored, is on the path and imported."""
    folder = home.own_project() / "dbt_project" / "target"
    folder.mkdir(exist_ok=True)
    (folder / "left_over.py").write_text("x = 1\n")
    home.hold(patched(sys, "path", [*sys.path, str(folder)]))
    importlib.import_module("left_over")
    home.around.callback(sys.modules.pop, "left_over")


def not_imported(home: Home) -> None:
    folder = home.own_project() / "dbt_project" / "target"
    folder.mkdir(exist_ok=True)
    (folder / "left_over.py").write_text("x = 1\n")


# --- what is installed ---------------------------------------------------------------------------


def compiled_hook(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text("print('I was here')\n")
    compileall.compile_file(folder / "sitecustomize.py", quiet=1, legacy=True)
    (folder / "sitecustomize.py").unlink()


def hook_as_a_folder(folder: Path) -> None:
    (folder / "usercustomize").mkdir()
    (folder / "usercustomize" / "__init__.py").touch()


def linked_folder(folder: Path) -> None:
    (folder / "left_pad").symlink_to(folder.parent)


def package_compiled_otherwise(folder: Path) -> None:
    """Beside the package as locked, its compiled file holds other code."""
    source = folder / PACKAGE / "__init__.py"
    kept = Path(importlib.util.cache_from_source(str(source)))
    compileall.compile_file(source, quiet=1, force=True)
    header = kept.read_bytes()[:16]
    kept.write_bytes(header + marshal.dumps(compile("ANY = 1", str(source), "exec")))


def package_compiled(folder: Path) -> None:
    compileall.compile_dir(folder / PACKAGE, quiet=1, force=True)


# --- secrets -------------------------------------------------------------------------------------


def told_with_the_model(secret: Callable[[Home], object]) -> Attack:
    """The training step writes more than it should beside the model's facts."""

    def attack(home: Home) -> None:
        signed_with_the_model({"note": secret(home)})(home)

    return attack


def _own_token(home: Home) -> str:
    return home.workspace().token(Identity(issuer="workloads", subject="/steps/train"))


def _access_token(_home: Home) -> str:
    return f"gh{'p_'}{'Ab3' * 12}"


def _private_key(_home: Home) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ).decode()  # fmt: skip


def _public_facts(home: Home) -> list[str]:
    """What looks like a secret to a careless eye: digests, a signature, a public key, ids."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signature = b64encode(key.sign(b"x", ec.ECDSA(hashes.SHA256()))).decode()
    payload = _own_token(home).split(".")[1]
    return [public.decode(), signature, payload, "9f" * 32, "m-8d2f3b0c4ad94c55a1f4bb0d30ab1cbe"]


_TRAIN = training(train_days=6)
_MODEL = job("P2", "training", assets=["fraud_model"])

CASES = [
    Case("F4", another_git(leave_the_tree_dirty), _TRAIN, another_git(commit_the_change),
         git_is_believed),
    *(
        Case("F5", installed(attack), _TRAIN, installed(package_compiled), any_packages,
             variant=variant)
        for variant, attack in (
            ("compiled hook", compiled_hook), ("hook as a folder", hook_as_a_folder),
            ("linked folder", linked_folder), ("other code", package_compiled_otherwise),
        )
    ),
    *(
        Case("N1", together(leave_the_tree_dirty, change), _TRAIN,
             together(commit_the_change, twin), git_is_believed, variant=variant)
        for variant, change, twin in (
            ("bare", bare, bare), ("index", garbage_index, garbage_index),
            ("tree object", missing_tree, packed),
        )
    ),
    *(
        Case("RP-05", attack, _TRAIN, twin, git_is_believed, variant=variant)
        for variant, attack, twin in (
            ("ignored module", ignored_module, module_of_a_commit),
            ("without source", sourceless, compiled_anew),
            ("other code", compiled_otherwise, compiled_anew),
            ("from beside", imported_from_beside, not_imported),
        )
    ),
    *(
        Case("SN-09", told_with_the_model(secret), _MODEL, told_with_the_model(_public_facts),
             without(statements, "refuse_secret_words"), variant=variant)
        for variant, secret in (
            ("OIDC token", _own_token), ("access token", _access_token),
            ("private key", _private_key),
        )
    ),
]  # fmt: skip
