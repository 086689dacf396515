"""OP: a run that is killed between data and statement, and a disk that is full half-way."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.store.store import BUNDLE_SUFFIX
from fraud_provenance_tests.attacks.faults import SCORED_DAY
from fraud_provenance_tests.attacks.home import Home
from fraud_provenance_tests.attacks.judges import FEATURES, outcome
from fraud_provenance_tests.attacks.model import Case, Excused, Outcome
from fraud_provenance_tests.attacks.zygote import Request, Zygote

_PAGE = os.sysconf("SC_PAGE_SIZE")


def be_killed_before_the_statement(home: Home) -> None:
    """Scores are written; the process is killed where it would sign for them."""
    with tempfile.TemporaryDirectory() as scratch, Zygote(Path(scratch)) as zygote:
        request = Request(
            arena=str(home.arena.folder),
            home=str(home.path),
            project=str(home.project),
            job="scoring",
            days=(SCORED_DAY,),
            ports=home.ports,
            dies_at="fraud_provenance.attested.step.step:Step._sign",
        )
        ended = zygote.run(request)
    assert ended.code < 0, f"the job was not killed: {ended}"


def score_again(home: Home) -> Outcome:
    """Meanwhile nobody can trace a score of that day; the next run makes it traceable."""
    frame = pl.read_parquet(home.path / "data" / FEATURES / f"{SCORED_DAY}.parquet")
    transaction = str(frame["transaction_id"][0])
    meanwhile = home.command("trace", transaction)
    assert meanwhile.code == 1, "a score without a statement was believed"
    said = home.job("scoring", days=[SCORED_DAY])
    if said.code == 0:
        said = home.command("trace", transaction)
    found = outcome(home, "", said)
    return Outcome("", found.refused, meanwhile.codes, text=found.text)


@contextmanager
def nearly_full(folder: Path) -> Iterator[None]:
    """The folder's file system has one free page: a bundle can be begun and not be finished."""
    kept = folder.with_name(f"{folder.name}.kept")
    shutil.copytree(folder, kept)
    pages = sum(-(-path.stat().st_size // _PAGE) for path in folder.iterdir())
    inodes = len(list(folder.iterdir())) + 16
    options = f"size={(pages + 1) * _PAGE},nr_inodes={inodes}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        for path in kept.iterdir():
            shutil.copyfile(path, folder / path.name)
        yield
        left = {path.name: path.read_bytes() for path in folder.iterdir()}
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    shutil.rmtree(kept)
    for path in folder.iterdir():
        path.unlink()
    for name, content in left.items():
        (folder / name).write_bytes(content)


def fill_the_disk(home: Home) -> None:
    """The promotion cannot store its decision."""
    with nearly_full(home.path / "evidence" / "bundles"):
        home.notes["full"] = home.job("promotion")


def promote_again(home: Home) -> Outcome:
    """No bundle is half there, nobody was made champion; with room, the promotion ends well."""
    full = home.notes["full"]
    assert full.code == 2, f"a full disk was taken for a decision: {full}"
    for path in (home.path / "evidence" / "bundles").iterdir():
        digest = path.name.removesuffix(BUNDLE_SUFFIX)
        assert encoding.digest_bytes(path.read_bytes()) == digest, f"{path.name} is not whole"
    said = home.job("promotion")
    if said.code == 0:
        said = home.command("verify", "model@champion")
    found = outcome(home, "", said)
    return Outcome("", found.refused, found.codes, text=found.text)


def _may_mount() -> bool:
    """Whether this process may mount a small file system of its own."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
                capture_output=True, check=False,
            )  # fmt: skip
        except OSError:
            return False
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0


CASES = [Case("OP-01", be_killed_before_the_statement, score_again)]
EXCUSED = []
FULL_DISK = "full file system"
if _may_mount():
    CASES.append(Case("OP-04", fill_the_disk, promote_again, state="approved", variant=FULL_DISK))
else:
    EXCUSED.append(
        Excused("OP-04", "mounting a small file system needs more rights", variant=FULL_DISK)
    )
