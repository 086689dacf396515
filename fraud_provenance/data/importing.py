"""One import: every file is read once, then all of its days land, or none."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fraud_provenance.attested.core import files
from fraud_provenance.data import landing as zone
from fraud_provenance.data import sources
from fraud_provenance.data.conversion import Told
from fraud_provenance.data.landing import LandedDay
from fraud_provenance.data.mapping import Mapping
from fraud_provenance.data.merging import Merge, Origins
from fraud_provenance.data.numbers import TextIds
from fraud_provenance.data.reading import FileReader, no_rows
from fraud_provenance.data.spool import Spool

Say = Callable[[str], None]


@dataclass
class Delivery:
    """What one import did, or would do. `told`: one line for each kind of conversion."""

    days: list[LandedDay] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    files: int = 0


def import_files(
    landing: Path,
    paths: Sequence[Path],
    progress: Say | None = None,
    *,
    mapping: Mapping | None = None,
    replace: bool = False,
    check: bool = False,
) -> Delivery:
    """Read every file once, then merge their rows into the landed days, or refuse them all.

    Rows are merged by transaction id: new ones are added, the same ones stay, changed ones are
    corrected. `replace`: the days become what the files say. `check`: nothing is landed.

    Raises:
        DataError: a file is refused, with file, column, line and remedy; EMPTY_PARTITION;
            DUPLICATE_KEY, an id stands for two transactions; ROWS_WOULD_BE_LOST. What landed
            before stays as it is.
    """
    say = progress or (lambda _text: None)
    found = sources.find_sources(paths)
    landing.mkdir(parents=True, exist_ok=True)
    with (
        files.exclusive_lock(zone.lock_of(landing)),
        tempfile.TemporaryDirectory(prefix=".incoming-", dir=landing) as folder,
    ):
        scratch = Path(folder)
        for left in set(landing.glob(".incoming-*")) - {scratch}:
            shutil.rmtree(left, ignore_errors=True)  # of an import that was killed
        zone.finish(landing)
        told, mapped = Told(), mapping or Mapping()
        ids = TextIds(landing / "ids", mapped.numbered)
        spool, origins = Spool(scratch), Origins()
        for source in found:
            say(f"reading {source.name}")
            reader = FileReader(source, mapped, told, scratch)
            days = {day for batch in reader.batches() for day in spool.add(ids.numbered(batch))}
            origins.add(days, source.name, reader.digest)
        if not spool.days:
            raise no_rows(sources.named([source.name for source in found]))
        staged = scratch / "staged"
        merge = Merge(landing, staged, mapped, told, replace=replace)
        landed = merge.all_days(spool, origins, say)
        ids.write(staged / "ids")
        if any(staged.iterdir()) and not check:
            zone.accept(landing, staged)
    return Delivery(landed, told.lines(), len(found))
