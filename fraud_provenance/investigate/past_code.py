"""The fraud package as a commit has it, or a mixture of two commits', run in a process of its own.

Files come from git's objects, each equal to the name that it was asked for by, and only of commits
that verified statements name: the home ran this code before. It gets raw rows and gives numbers.
"""

import json
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, reason
from fraud_provenance.investigate.past import Past

if TYPE_CHECKING:
    import polars as pl

PACKAGE = "fraud_provenance/fraud/"
_ABOVE = "fraud_provenance/__init__.py"
_DEADLINE_S = 120.0
_BOOT = (
    "import sys; sys.path[:0] = sys.argv[1].splitlines(); "
    "scope = {'__name__': 'made_again'}; "
    "exec(compile(open(sys.argv[2]).read(), sys.argv[2], 'exec'), scope); scope[sys.argv[3]]()"
)


def by_other_code(
    python: str, code: Path, script: str, entry: str, *asked: str, libraries: Sequence[Path] = ()
) -> list[str]:
    """The command that runs `entry` of a script of today, which imports the package from `code`.

    The entry finds what it is asked for in `sys.argv`, from the fifth on. `libraries`: folders that
    go before the interpreter's own packages.
    """
    first = "\n".join(map(str, (code, *libraries)))
    return [python, "-I", "-B", "-c", _BOOT, first, script, entry, *asked]


class Engine(Protocol):
    """What makes metrics and scores from raw rows, see `fraud.replay.Replay`."""

    def knows(self, key: str) -> bool:
        """Whether these raw rows were loaded."""

    def load(self, key: str, raw: "pl.DataFrame") -> None:
        """Raw rows under a name of their own."""

    def metrics(
        self, key: str, learnt: Mapping[str, Any], parts: Mapping[str, Sequence[str]]
    ) -> dict[str, float]:
        """The numbers of a model."""

    def chance(
        self, key: str, learnt: Mapping[str, Any], parts: Mapping[str, Sequence[str]]
    ) -> dict[str, float]:
        """Their standard errors."""

    def scores(self, key: str, learnt: Mapping[str, Any], day: str) -> dict[int, float]:
        """Transaction → score."""


class Codes:
    """Engines by the code that they run; a context manager that ends their processes."""

    def __init__(self, past: Past) -> None:
        """`past` reads the commits."""
        self._past = past
        self._engines: dict[tuple[object, ...], Engine] = {}
        self._workers: list[Worker] = []
        self._folder = tempfile.TemporaryDirectory(prefix="replay-")

    def __enter__(self) -> Self:
        """Nothing is started before it is asked for."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End every process."""
        for worker in self._workers:
            worker.end()
        self._folder.cleanup()

    def files(self, commit: str) -> dict[str, str]:
        """Path → git's name of the files of the fraud package, as a commit has it.

        Raises:
            BackendError: GIT_UNAVAILABLE.
        """
        tree = self._past.tree(commit)
        return {
            path: name
            for path, name in tree.items()
            if path == _ABOVE or (path.startswith(PACKAGE) and path.endswith(".py"))
        }

    def engine(self, files: Mapping[str, str], libraries: Sequence[Path] = ()) -> Engine:
        """The engine that runs these files; this process's own where they are the same.

        `libraries`: folders of libraries that are not the installed ones, see `past_libraries`.

        Raises:
            BackendError: GIT_UNAVAILABLE.
        """
        if not files or (not libraries and self._past.is_running(files)):
            return self._engines.setdefault((), _own())
        key = (*sorted(files.items()), *libraries)
        if key not in self._engines:
            folder = Path(self._folder.name) / str(len(self._workers))
            self._past.lay_out(files, folder)
            self._workers.append(Worker(folder, libraries))
            self._engines[key] = self._workers[-1]
        return self._engines[key]


def _own() -> Engine:
    from fraud_provenance.fraud.replay import Replay

    return Replay()


class Worker:
    """One process that answers by other code."""

    def __init__(self, folder: Path, libraries: Sequence[Path] = ()) -> None:
        """`folder` holds the code; rows are handed over in files beside it."""
        from fraud_provenance.fraud import replay

        self._folder = folder
        self._known: set[str] = set()
        command = by_other_code(
            sys.executable, folder, str(replay.__file__), "serve", libraries=libraries
        )
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter; code of signed commits
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, cwd=folder,
        )  # fmt: skip

    def end(self) -> None:
        """End the process; it has nothing to lose."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def knows(self, key: str) -> bool:
        """Whether these raw rows were loaded."""
        return key in self._known

    def load(self, key: str, raw: "pl.DataFrame") -> None:
        """Raw rows under a name of their own."""
        path = self._folder / f"rows-{len(self._known)}.parquet"
        raw.write_parquet(path)
        self._ask({"call": "load", "key": key, "path": str(path)})
        path.unlink()
        self._known.add(key)

    def metrics(
        self, key: str, learnt: Mapping[str, Any], parts: Mapping[str, Sequence[str]]
    ) -> dict[str, float]:
        """The numbers of a model; raises as `_ask`."""
        return self._of_model("metrics", key, learnt, parts)

    def chance(
        self, key: str, learnt: Mapping[str, Any], parts: Mapping[str, Sequence[str]]
    ) -> dict[str, float]:
        """Their standard errors; raises as `_ask`."""
        return self._of_model("chance", key, learnt, parts)

    def _of_model(
        self, call: str, key: str, learnt: Mapping[str, Any], parts: Mapping[str, Sequence[str]]
    ) -> dict[str, float]:
        days = {name: list(own) for name, own in parts.items()}
        asked = {"call": call, "key": key, "learnt": dict(learnt), "parts": days}
        return dict(self._ask(asked))

    def scores(self, key: str, learnt: Mapping[str, Any], day: str) -> dict[int, float]:
        """Transaction → score."""
        asked = {"call": "scores", "key": key, "learnt": dict(learnt), "day": day}
        return {int(row): float(score) for row, score in self._ask(asked)}

    def _ask(self, asked: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """The answer to one request.

        Raises:
            DataError: that world cannot be made. BackendError: VERIFY_ERROR, no answer came.
        """
        from fraud_provenance.fraud.errors import DataError

        given, taken = self._process.stdin, self._process.stdout
        assert given is not None  # noqa: S101 - both are pipes
        assert taken is not None  # noqa: S101 - both are pipes
        try:
            given.write(json.dumps(asked) + "\n")
            given.flush()
            told = json.loads(_line(taken))
        except (OSError, ValueError) as error:
            raise _failed(f"gave no answer: {error}") from error
        if told.get("kind") == "DataError":
            raise DataError(str(told["code"]), str(told["error"]))
        if "error" in told:
            raise _failed(f"{told['kind']}: {told['error']}")
        return told["answer"]


def _line(pipe: IO[str]) -> str:
    ready, _, _ = select.select([pipe], [], [], _DEADLINE_S)
    if not ready:
        raise ValueError(f"nothing within {_DEADLINE_S:.0f} s")
    return pipe.readline()


def _failed(why: str) -> BackendError:
    said = f"the code of the past cannot be run: {why}"
    return BackendError(reason(RootCause.VERIFY_ERROR, said, artifact="replay"))
