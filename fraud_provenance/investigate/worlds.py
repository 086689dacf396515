"""What would have come out, had some changes not been: made again from verified bytes.

A world is the present with some changes put back. Its rows are the attested ones, its code that of
signed commits; metrics and scores are what the steps' own functions give. The world in which
nothing is put back must give what was signed, else nothing is said by putting back.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import BackendError
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.investigate.changes import (
    CODE,
    DATA,
    DAYS,
    LIBRARY,
    PARAMETER,
    SWAPPED,
    TRAINING_DAYS,
    Change,
)
from fraud_provenance.investigate.past_code import Codes, Engine
from fraud_provenance.investigate.past_libraries import Sides
from fraud_provenance.investigate.recipes import LENGTHS, PARTS, Recipe, Source, entry_of
from fraud_provenance.investigate.why import bytes_of
from fraud_provenance.models.facts import MODEL
from fraud_provenance.predictions.rows import Comparison

if TYPE_CHECKING:
    import polars as pl

_KEPT = ("transaction_id", "tx_datetime", "customer_id", "terminal_id", "tx_amount", "tx_fraud")


@dataclass(frozen=True)
class World:
    """One world, all of it: what it is made from and by what code."""

    raw: tuple[Source, ...]
    parts: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, Any]
    files: Mapping[str, str]
    scored: str
    model: str
    """The digest of the model where it is not trained again, else ""."""
    libraries: tuple[Path, ...] = ()
    """The folders of libraries that are not the installed ones."""

    @property
    def rows(self) -> str:
        """The name of its raw rows."""
        return encoding.digest_json([source.sha256 for source in self.raw])


@dataclass
class Worlds:
    """The worlds between two recipes.

    `model`: the digest of the one model that both sides have, where it is not made again.
    `libraries`: see `past_libraries`.
    """

    trust: Trust
    codes: Codes
    a: Recipe
    b: Recipe
    changes: Mapping[str, Change]
    model: str = ""
    libraries: Mapping[str, Sides] = field(default_factory=dict)
    _frames: dict[str, "pl.DataFrame"] = field(default_factory=dict)
    _made: dict[str, Any] = field(default_factory=dict)
    _fixed: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def world(self, put_back: frozenset[str]) -> World:
        """The present, with these changes put back."""
        back = [self.changes[name] for name in put_back]
        raw = self._raw(back)
        return World(
            tuple(raw[day] for day in sorted(raw)), self._parts(back, sorted(raw)),
            self._parameters(back), self._files(back), self._scored(back),
            self._model(back), self._libraries(back),
        )  # fmt: skip

    def _raw(self, back: Sequence[Change]) -> dict[str, Source]:
        raw = self.a.raw | self.b.raw
        changed = {item.name.partition("/")[2] for item in self.changes.values()
                   if item.kind == DATA}  # fmt: skip
        for day in changed - self.b.raw.keys():
            raw.pop(day, None)  # left out now
        for item in back:
            day = item.name.partition("/")[2]
            if item.kind == DATA and item.before:
                raw[day] = self.a.raw[day]
            elif item.kind == DATA:
                raw.pop(day, None)
        return raw

    def _parts(self, back: Sequence[Change], known: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The days of each part: so many, up to the last one, of the days that there are."""
        if not self.b.days:
            return {}
        names = {item.name for item in back}
        end = (self.a if TRAINING_DAYS in names else self.b).days[-1]
        counts = [
            (self.a if f"training_set.{name}" in names else self.b).lengths[name]
            for name in LENGTHS
        ]
        days = tuple(day for day in known if day <= end)[-sum(counts) :]
        found, start = {}, 0
        for part, count in zip(PARTS, counts, strict=True):
            found[part] = days[start : start + count]
            start += count
        return found

    def _parameters(self, back: Sequence[Change]) -> dict[str, Any]:
        found = dict(self.b.parameters)
        for item in back:
            name = item.name.removeprefix(f"{MODEL}.")
            if item.kind == PARAMETER and name != item.name:
                found[name] = self.a.parameters.get(name)
        return {name: value for name, value in found.items() if value is not None}

    def _files(self, back: Sequence[Change]) -> dict[str, str]:
        commit = self.b.commit
        if not commit or not any(item.kind == CODE for item in self.changes.values()):
            return {}  # the code is the same on both sides: see `Worlds.engine`
        files = self.codes.files(commit)
        for item in back:
            if item.kind == CODE and item.before:
                files[item.name] = item.before
            elif item.kind == CODE:
                files.pop(item.name, None)
        return files

    def _libraries(self, back: Sequence[Change]) -> tuple[Path, ...]:
        names = {item.name for item in back if item.kind == LIBRARY}
        folders = (before if name in names else now
                   for name, (before, now) in sorted(self.libraries.items()))  # fmt: skip
        return tuple(folder for folder in folders if folder is not None)

    def _model(self, back: Sequence[Change]) -> str:
        return self.a.model if any(item.kind == SWAPPED for item in back) else self.model

    def _scored(self, back: Sequence[Change]) -> str:
        moved = any(item.kind == DAYS and item.name != TRAINING_DAYS for item in back)
        return (self.a if moved else self.b).scored

    # --- what comes out ----------------------------------------------------------------------

    def metrics(self, put_back: frozenset[str]) -> dict[str, float]:
        """The model's numbers in a world.

        Raises:
            ProvenanceError: bytes are gone, or code cannot be run. DataError: it cannot be made.
        """
        world = self.world(put_back)
        key = self._key(world)
        if key not in self._made:
            learnt = {"days": list(world.parts["train"]), "parameters": dict(world.parameters)}
            self._made[key] = self._loaded(world).metrics(world.rows, learnt, world.parts)
        return dict(self._made[key])

    def scores(self, put_back: frozenset[str]) -> dict[int, float]:
        """Transaction → score of the scored day in a world; raises as `metrics`."""
        world = self.world(put_back)
        key = self._key(world)
        if key not in self._made:
            engine = self._loaded(world)
            self._made[key] = engine.scores(world.rows, self._learnt(world), world.scored)
        return dict(self._made[key])

    def metrics_without(self, day: str) -> dict[str, float]:
        """The numbers now, had one day never been learnt from nor tested on."""
        world = self.world(frozenset())
        parts = {name: tuple(other for other in days if other != day)
                 for name, days in world.parts.items()}  # fmt: skip
        learnt = {"days": list(parts["train"]), "parameters": dict(world.parameters)}
        return self._loaded(world).metrics(world.rows, learnt, parts)

    def away_without(self, day: str, away: Callable[[frozenset[str]], float]) -> float:
        """A distance as it were without one day."""
        key = self._key(self.world(frozenset()))
        kept = self._made[key]
        try:
            self._made[key] = self.metrics_without(day)
            return away(frozenset())
        finally:
            self._made[key] = kept

    def scores_of(self, day: str) -> dict[int, float]:
        """What the newest model says of another day, which nobody asked about."""
        world = self.world(frozenset())
        return self._loaded(world).scores(world.rows, self._learnt(world), day)

    def _learnt(self, world: World) -> dict[str, Any]:
        if world.model:
            return self._fixed_model(world.model)
        return {"days": list(world.parts["train"]), "parameters": dict(world.parameters)}

    def chance(self) -> dict[str, float]:
        """The standard errors of the numbers now; raises as `metrics`."""
        world = self.world(frozenset())
        return self._loaded(world).chance(world.rows, self._learnt(world), world.parts)

    def _key(self, world: World) -> str:
        """Two ways to put back that give the same world are made once."""
        return encoding.digest_json(
            {"rows": world.rows, "parts": {n: list(d) for n, d in world.parts.items()},
             "parameters": dict(world.parameters), "files": dict(world.files),
             "scored": world.scored, "model": world.model,
             "libraries": [folder.name for folder in world.libraries]}
        )  # fmt: skip

    def _loaded(self, world: World) -> Engine:
        files = world.files or self._now()
        engine = self.codes.engine(files, world.libraries)
        if not engine.knows(world.rows):
            engine.load(world.rows, self._rows(world))
        return engine

    def _now(self) -> Mapping[str, str]:
        """The code of the present; this process's, and a note, where its commit cannot be had."""
        try:
            return self.codes.files(self.b.commit) if self.b.commit else {}
        except BackendError as error:
            self.notes.append(f"made again by today's code: {error.reasons[0]}")
            return {}

    def signed(self, recipe: Recipe) -> dict[int, float]:
        """Transaction → score, as it was signed; raises as `metrics`."""
        import polars as pl

        entry = entry_of(recipe.roots[0], recipe.scored)
        frame = pl.read_parquet(io.BytesIO(bytes_of(self.trust, recipe.roots[0], entry)))
        return dict(zip(frame["transaction_id"].to_list(), frame["score"].to_list(), strict=True))

    def _rows(self, world: World) -> "pl.DataFrame":
        import polars as pl

        frames = []
        for source in world.raw:
            if source.sha256 not in self._frames:
                content = bytes_of(self.trust, source.node, source.entry)
                frame = pl.read_parquet(io.BytesIO(content), columns=list(_KEPT))
                self._frames[source.sha256] = frame
            frames.append(self._frames[source.sha256])
        return pl.concat(frames)

    def _fixed_model(self, digest: str) -> dict[str, Any]:
        if digest not in self._fixed:
            ubj, contract = Comparison(self.trust).model(digest)
            self._fixed[digest] = {"ubj": ubj.hex(), "contract": contract}
        return dict(self._fixed[digest])
