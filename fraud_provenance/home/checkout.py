"""What runs, found in a git checkout and the environment around it."""

from concurrent.futures import Future
from functools import cached_property
from pathlib import Path

from fraud_provenance.attested.attestors import packages, work_tree
from fraud_provenance.attested.attestors.ran import CodeFacts
from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.local import cache_folder, tool_digest
from fraud_provenance.attested.sigstore.signing import background
from fraud_provenance.attested.statements.statements import Material
from fraud_provenance.home.step_code import StepCode


class Checkout:
    """The `Attestor` of this machine: measured once, until it is told to forget."""

    def __init__(self, project: Path, engine: str) -> None:
        self._project = project
        self._engine = engine

    def code(self) -> CodeFacts:
        """See `Attestor.code`."""
        return self._facts

    def step_code(self, step: str) -> str:
        """See `Attestor.step_code`."""
        return self._steps.digest(step)

    def is_on_branch(self, commit: str, branch: str) -> bool:
        """See `Attestor.is_on_branch`."""
        return work_tree.is_on_branch(self._project, commit, branch)

    def packages(self) -> "Future[tuple[str, ...]]":
        """See `Attestor.packages`: compared once a process."""
        if "future" not in _PACKAGES:
            cache = cache_folder() / "environment"
            _PACKAGES["future"] = background(lambda: packages.problems(self._project, cache))
        return _PACKAGES["future"]

    def forget(self) -> None:
        """See `Attestor.forget`."""
        for name in ("_facts", "_steps"):
            self.__dict__.pop(name, None)

    @cached_property
    def _facts(self) -> CodeFacts:
        commit, dirty = work_tree.state(self._project, cache_folder() / "compiled.json")
        lock = encoding.digest_bytes(files.read_once(self._project / "requirements.lock"))
        installed = packages.packages_digest()
        materials = (
            Material(name="work tree", digest=work_tree.digest(self._project), role="source_code"),
            Material(name="requirements.lock", digest=lock, role="lock"),
            Material(name="installed packages", digest=installed, role="environment"),
            Material(name="opa", digest=tool_digest("opa"), role="tool"),
            Material(name="cosign", digest=tool_digest("cosign"), role="tool"),
        )
        return CodeFacts(git_commit=commit, git_dirty=dirty, materials=materials)

    @cached_property
    def _steps(self) -> StepCode:
        """The code of each step, as it was when it was first asked for."""
        return StepCode(self._project, engine=self._engine)


_PACKAGES: "dict[str, Future[tuple[str, ...]]]" = {}
