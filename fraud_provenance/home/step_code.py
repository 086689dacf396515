"""The code of a step: all that shapes what the step makes, as one digest.

Found in the source, not by importing: the stage's own file in `defs/`, from there on every module
of `defs/` and `fraud/` that it imports, with the packages around each, the form of a row of scores,
and the versions of the libraries that compute values. What proves, plans or shows (the trust
library, planning, commands) shapes no value and does not count; see docs/adr/0014.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, reason
from fraud_provenance.fraud import engines

_TABLES = ("polars", "pyarrow")
_TREES = ("numpy", "xgboost-cpu")
_STAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ingest": ("ingest", _TABLES),
    "features": ("transform", (*_TABLES, "dbt-core")),
    "feature_store": ("features", (*_TABLES, "feast")),
    "training_set": ("training", (*_TABLES, "feast", "pandas")),
    "train": ("training", (*_TABLES, *_TREES)),
    "evaluate": ("training", (*_TABLES, *_TREES, "scikit-learn")),
    "score": ("scoring", (*_TABLES, *_TREES)),
    "release": ("release", ()),
}
"""Step → its module in `defs/`, and the distributions that compute its values; the features' engine
brings more."""
_BY_ENGINE = "features"
_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where a statement of Python holds statements."""
_PACKAGE = "fraud_provenance"
_SHAPES = tuple(f"{_PACKAGE}.{name}" for name in ("defs", "fraud", "predictions.batch"))


_DBT = "dbt_project/"


def shapes_values(path: str) -> bool:
    """Whether a file of the project (by its path below it) may shape what a step makes."""
    if path.startswith(_DBT):
        return True
    module = path.removesuffix(".py").replace("/", ".")
    return path.endswith(".py") and any(
        module == shape or module.startswith(f"{shape}.") for shape in _SHAPES
    )


def values_rest_on(distribution: str) -> bool:
    """Whether an installed distribution computes values in a step."""
    known = (*(libraries for _, libraries in _STAGES.values()), *engines.LIBRARIES.values())
    return any(distribution in libraries for libraries in known)


class StepCode:
    """The code of the steps of one project, each file read once."""

    def __init__(
        self,
        project: Path,
        version_of: Callable[[str], str] | None = None,
        engine: str = engines.DUCKDB,
    ) -> None:
        """`version_of` tells a library's version; by default, of the one that is installed.

        `engine`: what computes the features here.
        """
        self._project = project
        self._version = version_of or _installed
        self._engine = engine
        self._imports: dict[Path, list[Path]] = {}
        self._files: dict[str, str] = {}

    def digest(self, step: str) -> str:
        """SHA-256 over the code of a step; an empty string where nobody knows what its code is.

        Raises:
            SyntaxError: one of its files is no Python.
            ConfigError: TOOL_UNAVAILABLE, one of its libraries is not installed.
        """
        if step not in _STAGES:
            return ""
        stage, libraries = _STAGES[step]
        if step == _BY_ENGINE:
            libraries += engines.LIBRARIES[self._engine]
        if stage not in self._files:
            files = self._files_of(stage)
            self._files[stage] = self._digest_of(files) if files else ""
        if not self._files[stage]:
            return ""
        used = {name: self._version(name) for name in libraries}
        made_of = {"files": self._files[stage], "libraries": used}
        return encoding.digest_bytes(encoding.canonical_json(made_of))

    def _digest_of(self, files: Iterable[Path]) -> str:
        """Over names below the project and bytes: the same in each checkout."""
        content = {
            path.relative_to(self._project).as_posix(): encoding.digest_bytes(path.read_bytes())
            for path in files
        }
        return encoding.digest_bytes(encoding.canonical_json(content))

    def _files_of(self, stage: str) -> set[Path]:
        """A stage's module and all that it imports."""
        files: set[Path] = set()
        first = self._project / _PACKAGE / "defs" / f"{stage}.py"
        waiting = [first, *(self._packages_around(first) if first.is_file() else ())]
        while waiting:
            path = waiting.pop()
            if path not in files and path.is_file():
                files.add(path)
                waiting += self._imported(path)
        return files

    def _packages_around(self, module: Path) -> list[Path]:
        """What runs before a module does: each package that it lies in."""
        folders = module.relative_to(self._project).parents[:-1]
        return [self._project / folder / "__init__.py" for folder in folders]

    def _imported(self, path: Path) -> list[Path]:
        """The files of the modules that a file imports and that shape values."""
        if path not in self._imports:
            found = self._imports[path] = []
            for name in _imported_names(path):
                if any(name == shape or name.startswith(f"{shape}.") for shape in _SHAPES):
                    module = self._project.joinpath(*name.split("."))
                    packages = (module / "__init__.py", *self._packages_around(module))
                    found += [module.with_suffix(".py"), *packages]
        return self._imports[path]


def _installed(distribution: str) -> str:
    """The version that is installed.

    Raises:
        ConfigError: TOOL_UNAVAILABLE.
    """
    try:
        return version(distribution)
    except PackageNotFoundError:
        is_spark = distribution in engines.LIBRARIES[engines.SPARK]
        raise ConfigError(
            reason(
                RootCause.TOOL_UNAVAILABLE,
                f"{distribution} is not installed, and this home's features are made with it",
                remedy=engines.or_duckdb("`make spark`") if is_spark else "",
                artifact=distribution,
            )
        ) from None


def _imported_names(path: Path) -> Iterator[str]:
    """All that may be a module among what a file imports."""
    for node in _statements(ast.parse(path.read_bytes(), str(path)).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Every statement, in functions too, but those that only a type checker reads."""
    for node in body:
        yield node
        is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        parts = ("orelse",) if is_for_types else _BODIES
        for part in parts:
            yield from _statements(getattr(node, part, ()))
