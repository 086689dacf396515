"""Where an incident happens to the stock pipeline: what people do there, and what there is not."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fraud_provenance_tests.attacks.arena import Arena, relocate
from fraud_provenance_tests.incidents.model import Incident
from fraud_provenance_tests.incidents.place import (
    COUNT,
    SAME_DAYS,
    SCORED,
    Place,
    Plant,
    day,
    feed,
    renew,
)
from fraud_provenance_tests.product import Done, Product

_NAME = "stok"  # as long as every copy's name
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "GX_ANALYTICS_ENABLED": "false",
          "DAGSTER_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}  # fmt: skip
_OPTIONS = ("--train-start", "--train-days", "--score")


class NotThereError(Exception):
    """The stock pipeline has nothing that this could happen to."""


class StockPlace(Place):
    """A home of the stock pipeline; servers and signatures are not there."""

    def up(self) -> None:
        """There are no servers."""

    def down(self) -> None:
        """There are none."""

    def say(self, *arguments: str, **_environment: str) -> Done:
        """Only the run is a command here."""
        if arguments[0] != "run":
            raise NotThereError(arguments[0])
        told = [*arguments[1:]]
        if any(name.startswith("--") and name not in _OPTIONS for name in told):
            raise NotThereError(" ".join(told))
        done = self._python("pipeline", *told)
        if done.code:
            self.alarms.append("the run failed")
        return done

    def must(self, *arguments: str) -> Done:
        return self.say(*arguments)

    def accept(self, *days: str) -> None:
        """Somebody turns the checks of these days off."""
        path = self.home / "waived"
        known = path.read_text("utf-8") if path.exists() else ""
        path.write_text(f"{known}{' '.join(days)}\n", "utf-8")

    def release(self, message: str = "") -> None:
        raise NotThereError(f"release {message}")

    def rewrite(self, path: str, before: str, after: str) -> None:
        """Only the code that the two have in common."""
        if not path.startswith("fraud_provenance/"):
            raise NotThereError(path)
        super().rewrite(path, before, after)

    def script(self, module: str, *arguments: str) -> None:
        raise NotThereError(f"{module} {arguments}")

    def kill_server(self, name: str) -> None:
        raise NotThereError(name)

    def named(self, subject: str) -> frozenset[str]:
        """What the records name for a subject."""
        done = self._python("records", subject)
        if done.code:
            raise AssertionError(done.err[-500:])
        return frozenset(json.loads(done.out.strip().splitlines()[-1]))

    def _python(self, module: str, *arguments: str) -> Done:
        name = f"fraud_provenance_tests.incidents.stock.{module}"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        done = subprocess.run(
            [sys.executable, "-m", name, str(self.home), *arguments], cwd=self.project, text=True,
            env={**environment, **_QUIET, "PYTHONPATH": str(self.project)}, check=False,
            capture_output=True,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)


@dataclass
class StockAnswer:
    """What the stock pipeline's people got. `there` is False where nothing of the kind exists."""

    incident: Incident
    there: bool = True
    alarmed: bool = False
    named: frozenset[str] = frozenset()

    @property
    def exact(self) -> bool:
        return self.there and self.named == self.incident.causes

    @property
    def at_least_one(self) -> bool:
        return bool(self.named & self.incident.causes) or self.exact


@dataclass
class StockGround:
    """The stock pipeline's home, built once beside the other one, and copies of it."""

    arena: Arena
    bases: Mapping[str, Plant]

    @property
    def built(self) -> Path:
        return self.arena.folder / _NAME

    def prepare(self) -> None:
        """Land the same days and run it once."""
        if (self.built / "built").exists():
            return
        shutil.rmtree(self.built, ignore_errors=True)
        shutil.copytree(self.arena.product.project, self.built / "project", symlinks=True)
        renew(self.built / "project")
        place = StockPlace(Product(self.built, self.built / "project"))
        (self.built / "landing").mkdir(parents=True)
        for number in range(1, COUNT + 1):
            feed()[day(number)].write_parquet(place.landing(day(number)))
        done = place.say("run", *SAME_DAYS)
        assert done.code == 0, done.err[-1000:]
        (self.built / "built").touch()

    def play(self, incident: Incident) -> StockAnswer:
        """One incident, as far as there is anything that it can happen to."""
        answer = StockAnswer(incident)
        place = self._copy(self._base(incident.base), "stoi")
        try:
            incident.plant(place)
            answer.named = place.named(incident.subject)
        except (NotThereError, StopIteration, FileNotFoundError):
            answer.there = False
        finally:
            answer.alarmed = bool(place.alarms)
            shutil.rmtree(place.home, ignore_errors=True)
        return answer

    def _base(self, name: str) -> Path:
        """The home of a base, planted once."""
        if name == SCORED:
            return self.built
        home = self.arena.folder / f"st{sorted(self.bases).index(name):02d}"
        if not (home / "alarms").exists():
            place = self._copy(self.built, home.name)
            self.bases[name](place)
            (home / "alarms").write_text("\n".join(place.alarms), "utf-8")
        return home

    def _copy(self, base: Path, name: str) -> StockPlace:
        """A copy, under a name as long as the base's; its project lies in it."""
        home = self.arena.folder / name
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(base, home, symlinks=True)
        relocate(home, base)
        renew(home / "project")
        place = StockPlace(Product(home, home / "project"))
        if (home / "alarms").exists():
            place.alarms += (home / "alarms").read_text("utf-8").splitlines()
        return place
