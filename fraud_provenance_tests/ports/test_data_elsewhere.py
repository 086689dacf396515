"""A home whose attested files are kept in an object store, too: its folders may be empty."""

import shutil
from pathlib import Path

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import BackendError, ProvenanceError, VerificationError
from fraud_provenance.attested.ports.blobs import MemoryBlobs
from fraud_provenance.attested.store.contents import Contents
from fraud_provenance.home.settings import Place
from fraud_provenance_tests.conftest import (
    DAYS,
    FEATURES,
    RAW,
    Chain,
    Forger,
    codes,
    ingest,
    judge,
)
from fraud_provenance_tests.object_server import BUCKET, ObjectServer, credentials, object_server
from fraud_provenance_tests.ports.elsewhere import copied, reopened, write_settings

pytestmark = pytest.mark.integration


def in_memory(chain: Chain) -> tuple[Chain, MemoryBlobs]:
    """The home anew; what it keeps elsewhere lies in this process."""
    blobs = MemoryBlobs()
    return in_memory_with(chain, blobs), blobs


@pytest.fixture
def kept(
    chain: Chain,
    object_store: ObjectServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Chain:
    """The chain's home after `copy-data`, without its data."""
    home = chain.workspace.home
    data = Place(place=f"s3://{BUCKET}/{tmp_path.name}", endpoint=object_store.endpoint)
    write_settings(home, "data", data)
    first = copied("copy-data", home, monkeypatch, capsys)
    assert (first["files"], first["new"]) == (2 * len(DAYS), 2 * len(DAYS))
    assert copied("copy-data", home, monkeypatch, capsys)["new"] == 0
    shutil.rmtree(home / "data")
    return reopened(chain, data=data)


def file_of(chain: Chain, asset: str = RAW) -> tuple[Path, str]:
    """A day's file and its digest."""
    (head,) = chain.trust.store.heads(asset)[DAYS[0]]
    return chain.workspace.home / "data" / head.path, head.sha256


def test_an_empty_folder_is_filled_from_the_store(kept: Chain) -> None:
    assert kept.verdict().trusted
    path, digest = file_of(kept, FEATURES)
    assert encoding.digest_bytes(path.read_bytes()) == digest


def test_a_home_goes_on_from_an_empty_folder(kept: Chain) -> None:
    newer = ingest(kept.trust, {DAYS[0]: b"newer"})
    judge(kept.trust, RAW, DAYS)  # reads both days, of which one was never here
    shutil.rmtree(kept.workspace.home / "data")
    again = reopened(kept, data=kept.workspace.settings.data)
    assert again.verdict(newer.bundle).trusted
    assert file_of(again)[0].read_bytes() == b"newer"


def test_bytes_laid_over_what_is_kept_are_refused(kept: Chain, object_store: ObjectServer) -> None:
    path, digest = file_of(kept)
    prefix = kept.workspace.settings.data.place.removeprefix(f"s3://{BUCKET}/")
    key = f"{prefix}/contents/{digest}"
    object_store.client.put_object(Bucket=BUCKET, Key=key, Body=b"other")
    verdict = kept.verdict()
    assert codes(verdict) == ["DIGEST_MISMATCH"]
    assert "holds other bytes" in verdict.reasons[0].message
    assert not path.exists()


def test_a_store_that_is_down_decides_nothing(chain: Chain, tmp_path: Path) -> None:
    with object_server(tmp_path / "objects") as object_store, credentials():
        there = reopened(
            chain, data=Place(place=f"s3://{BUCKET}/x", endpoint=object_store.endpoint)
        )
        shutil.rmtree(chain.workspace.home / "data")
        object_store.stop()
        assert not there.verdict().decided
        with pytest.raises(BackendError, match="STORAGE_UNAVAILABLE"):
            ingest(there.trust, {DAYS[0]: b"newer"})
    assert there.trust.store.heads(RAW)[DAYS[0]][0].sequence == 1  # nothing was signed


def test_nothing_is_copied_where_no_store_is_named(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = copied("copy-data", chain.workspace.home, monkeypatch, capsys)
    assert refused["root_cause"] == "USAGE"
    assert "settings.toml" in refused["reasons"][0]["remedy"]


# --- what needs no server ---------------------------------------------------------------------


def test_a_file_that_is_there_and_differs_is_refused_and_stays(chain: Chain) -> None:
    there, blobs = in_memory(chain)
    path, digest = file_of(there)
    blobs.put(digest, path.read_bytes())
    path.write_bytes(b"edited")
    assert codes(there.verdict()) == ["DIGEST_MISMATCH"]
    assert path.read_bytes() == b"edited"
    path.unlink()
    assert in_memory_with(chain, blobs).verdict().trusted


def in_memory_with(chain: Chain, blobs: MemoryBlobs) -> Chain:
    """The home anew, with what is kept already."""
    again = reopened(chain, data=Place())
    again.trust.store.contents = Contents(blobs, [chain.workspace.home / "data"])
    return again


def test_what_is_kept_nowhere_is_missing(chain: Chain) -> None:
    there, _ = in_memory(chain)
    file_of(there)[0].unlink()
    assert codes(there.verdict()) == ["ARTIFACT_MISSING"]


@pytest.mark.parametrize("who", ["/steps/ingest", "/steps/train"])
def test_nobody_who_signs_for_a_step_writes_settings(
    chain: Chain, forger: Forger, who: str
) -> None:
    """A statement says where its files lie; what is brought goes where steps make files."""
    there, blobs = in_memory(chain)
    content = b'environment = "production"'
    source, digest = forger.source()
    entry = forger.entry(f"{RAW}/{DAYS[1]}.parquet", DAYS[1], content, [digest])
    entry = entry.model_copy(update={"path": "settings.toml"})
    outputs = {"location": ".", "rows": {DAYS[1]: 1}}
    made = forger.provenance(RAW, "ingest", [entry], [source], who=who, outputs=outputs)
    blobs.put(entry.sha256, content)
    assert not there.verdict(made).trusted
    assert not (chain.workspace.home / "settings.toml").exists()


def test_nothing_is_brought_for_a_statement_that_does_not_hold(
    chain: Chain, forger: Forger
) -> None:
    there, blobs = in_memory(chain)
    source, digest = forger.source()
    entry = forger.entry(f"{RAW}/2018-05-09.parquet", "2018-05-09", b"forged", [digest])
    data = {"location": "data", "rows": {"2018-05-09": 1}}
    made = forger.provenance(RAW, "ingest", [entry], [source], who="/steps/train", outputs=data)
    blobs.put(entry.sha256, b"forged")
    shutil.rmtree(chain.workspace.home / "forged")
    assert not there.verdict(made).trusted
    assert not list(chain.workspace.home.rglob("2018-05-09.parquet"))


def test_nothing_is_signed_whose_bytes_could_not_be_kept(chain: Chain) -> None:
    there, blobs = in_memory(chain)
    blobs.put(encoding.digest_bytes(b"newer"), b"a lie that was there first")
    with pytest.raises(VerificationError, match="holds other bytes"):
        ingest(there.trust, {DAYS[0]: b"newer"})
    assert there.trust.store.heads(RAW)[DAYS[0]][0].sequence == 1
    assert file_of(there)[0].read_bytes() != b"newer"


def test_nothing_is_signed_whose_name_is_taken_by_what_nobody_sees(chain: Chain) -> None:
    """Such as an object under a delete mark: it could not be brought again."""

    class Hidden(MemoryBlobs):
        def read(self, name: str, limit_bytes: int) -> bytes | None:
            return None

    there = in_memory_with(chain, blobs := Hidden())
    blobs.put(encoding.digest_bytes(b"newer"), b"newer")
    with pytest.raises(BackendError, match="does not show it"):
        ingest(there.trust, {DAYS[0]: b"newer"})
    assert there.trust.store.heads(RAW)[DAYS[0]][0].sequence == 1


def test_what_lies_here_is_told_by_evidence_that_verifies(chain: Chain, forger: Forger) -> None:
    """Not an older version, whose file was replaced, and nothing that somebody else signed."""
    newer = ingest(chain.trust, {DAYS[0]: b"newer"})
    source, digest = forger.source()
    entry = forger.entry(f"{RAW}/{DAYS[1]}.parquet", DAYS[1], b"forged", [digest])
    forger.provenance(RAW, "ingest", [entry], [source], who="/steps/train")
    chain.trust.forget()
    found = dict(chain.trust.lineage().artifacts.present())
    told = {(item.path, item.partition): content for item, content in found.items()}
    assert told[newer.manifest.entries[0].path, DAYS[0]] == b"newer"
    assert len(told) == 2 * len(DAYS)
    assert b"forged" not in told.values()


def test_a_file_that_differs_is_not_copied(chain: Chain) -> None:
    file_of(chain)[0].write_bytes(b"edited")
    with pytest.raises(ProvenanceError, match="DIGEST_MISMATCH"):
        list(chain.trust.lineage().artifacts.present())
