"""The store: content-addressed evidence, and an index that only finds things."""

import base64
import json
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import EvidenceError
from fraud_provenance.attested.ports.blobs import FolderBlobs
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.store.databases import SqliteDatabase
from fraud_provenance.attested.store.store import EvidenceStore
from fraud_provenance_tests.conftest import (
    DAYS,
    FEATURES,
    RAW,
    RAW_SUITES,
    Chain,
    ingest,
    judge,
    raw_path,
)

pytestmark = pytest.mark.integration

A = "a" * 64


def dump(folder: Path) -> dict[str, list[Any]]:
    """Every row of the index, in an order of their own."""
    with sqlite3.connect(folder / "index.sqlite") as db:
        return {
            table: sorted(db.execute(query).fetchall(), key=repr)
            for table, query in (
                ("bundles", "select * from bundles"),
                ("entries", "select * from entries"),
                ("results", "select * from results"),
            )
        }


def opened(folder: Path, logs: Iterable[bytes] = ()) -> EvidenceStore:
    return EvidenceStore(FolderBlobs(folder), SqliteDatabase(folder / "index.sqlite"), logs)


def reopened(chain: Chain, *, rebuilt: bool = False) -> EvidenceStore:
    folder = chain.workspace.home / "evidence"
    if rebuilt:
        (folder / "index.sqlite").unlink()
    return opened(folder)


def refusal(work: Callable[..., object], *arguments: object) -> tuple[str, str]:
    with pytest.raises(EvidenceError) as caught:
        work(*arguments)
    return caught.value.reasons[0].code, caught.value.reasons[0].artifact


def test_index_rebuilt_from_the_files_equals_the_index(chain: Chain) -> None:
    folder = chain.workspace.home / "evidence"
    before = dump(folder)
    assert {name: len(rows) for name, rows in before.items()} == {
        "bundles": 8, "entries": 4, "results": 4,
    }  # fmt: skip
    reopened(chain, rebuilt=True)
    assert dump(folder) == before


def test_index_opened_again_indexes_nothing_twice(chain: Chain) -> None:
    folder = chain.workspace.home / "evidence"
    before = dump(folder)
    reopened(chain).refresh()
    assert dump(folder) == before


def test_index_learns_what_another_process_stored(chain: Chain) -> None:
    mine = reopened(chain)
    ingest(chain.trust, {DAYS[0]: b"newer"})
    assert [head.sequence for head in mine.heads(RAW)[DAYS[0]]] == [2]


def test_refresh_after_a_bundle_was_laid_into_the_folder_indexes_it(
    chain: Chain, tmp_path: Path
) -> None:
    empty = opened(tmp_path / "elsewhere")
    assert list(empty.bundles()) == []
    statement = chain.raw.bundle.statement
    name, content = chain.trust.store.bundle(statement.digest)
    empty.bundle_path(name).parent.mkdir()
    empty.bundle_path(name).write_bytes(content)
    empty.refresh()
    assert empty.records() == []  # its manifest is missing: nothing can be said about it
    empty.put_manifest(chain.raw.manifest)
    empty.refresh()
    assert [record.statement for record in empty.records()] == [statement.digest]


def test_bundle_is_found_by_its_statement_and_equals_its_name(honest: Chain) -> None:
    store = honest.trust.store
    digest, content = store.bundle(honest.features.bundle.statement.digest)
    assert digest == encoding.digest_bytes(content) == honest.features.bundle.bundle_digest
    assert digest in list(store.bundles())
    assert len(list(store.bundles())) == 8


def test_bundle_with_a_changed_byte_is_tampered(chain: Chain) -> None:
    store, statement = chain.trust.store, chain.raw.bundle.statement.digest
    digest, content = store.bundle(statement)
    store.bundle_path(digest).write_bytes(content + b"\n")
    assert refusal(store.bundle, statement) == (
        "EVIDENCE_TAMPERED", f"bundle {digest[:12]} ({RAW})",
    )  # fmt: skip
    assert refusal(store.bundle_bytes, digest)[0] == "EVIDENCE_TAMPERED"


@pytest.mark.parametrize("rebuilt", [False, True], ids=["index kept", "index rebuilt"])
def test_bundle_that_was_removed_is_missing(chain: Chain, rebuilt: bool) -> None:
    statement = chain.raw.bundle.statement.digest
    chain.trust.store.bundle_path(chain.raw.bundle.bundle_digest).unlink()
    code, artifact = refusal(reopened(chain, rebuilt=rebuilt).bundle, statement)
    assert code == "EVIDENCE_MISSING"
    assert artifact == (f"statement {statement[:12]}" if rebuilt else RAW)


def test_bundle_replaced_by_a_link_is_refused(chain: Chain, tmp_path: Path) -> None:
    path = chain.trust.store.bundle_path(chain.raw.bundle.bundle_digest)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert refusal(chain.trust.store.bundle, chain.raw.bundle.statement.digest)[0] == (
        "ARTIFACT_MISSING"
    )


def test_manifest_that_was_removed_or_changed_is_refused(chain: Chain) -> None:
    store, digest = chain.trust.store, chain.raw.manifest.digest
    assert store.manifest(digest) == chain.raw.manifest
    path = store.manifest_path(digest)
    path.write_bytes(path.read_bytes().replace(DAYS[0].encode(), b"2018-04-09"))
    assert refusal(store.manifest, digest)[0] == "EVIDENCE_TAMPERED"
    path.unlink()
    assert refusal(store.manifest, digest) == ("EVIDENCE_MISSING", f"manifest {digest[:12]}")


def test_put_manifest_twice_writes_it_once(chain: Chain) -> None:
    store, made = chain.trust.store, Manifest.of("x", [])
    store.put_manifest(made)
    before = store.manifest_path(made.digest).stat().st_mtime_ns
    assert store.put_manifest(made) == made.digest
    assert store.manifest_path(made.digest).stat().st_mtime_ns == before


def test_heads_versions_and_sequence_follow_the_newest_statement(chain: Chain) -> None:
    store = chain.trust.store
    first = chain.raw.bundle.statement.digest
    assert [(link.sequence, link.previous) for link in store.chain(RAW)] == [(1, "")]
    assert store.chain("nothing") == []
    second = ingest(chain.trust, {DAYS[0]: b"late rows"})
    heads = store.heads(RAW)
    assert [(head.statement, head.sequence) for head in heads[DAYS[0]]] == [
        (second.bundle.statement.digest, 2)
    ]
    assert [(head.statement, head.sequence) for head in heads[DAYS[1]]] == [(first, 1)]
    assert [head.sequence for head in store.versions(RAW, DAYS[0])] == [1, 2]
    assert [(link.sequence, link.previous) for link in store.chain(RAW)] == [(1, ""), (2, first)]
    assert store.heads("nothing") == {}


def test_statement_of_file_is_the_newest_that_attests_the_bytes(chain: Chain) -> None:
    entry = chain.raw.manifest.entries[0]
    assert chain.trust.store.statement_of_file(entry.sha256) == chain.raw.bundle.statement.digest
    content = (chain.workspace.home / "data" / entry.path).read_bytes()
    again = ingest(chain.trust, {DAYS[0]: content})
    assert chain.trust.store.statement_of_file(entry.sha256) == again.bundle.statement.digest
    assert chain.trust.store.statement_of_file(A) == ""


def test_contract_results_keep_the_newest_of_each_suite(chain: Chain) -> None:
    failure = {"day": DAYS[1], "check": "amounts_are_not_negative", "code": "NULL_RATE"}
    judge(chain.trust, RAW, DAYS, RAW_SUITES[:1], failures=[failure])
    results = chain.trust.store.contract_results(RAW)
    sums = {entry.partition: entry.sha256 for entry in chain.raw.manifest.entries}
    found = {day: results[day, sums[day]] for day in DAYS}
    assert [found[day]["raw_schema"].result for day in DAYS] == ["PASSED", "FAILED"]
    assert [found[day]["raw_expectations"].result for day in DAYS] == ["PASSED", "PASSED"]


def test_newest_result_of_a_suite_is_the_last_in_the_log(chain: Chain) -> None:
    store = chain.trust.store
    made = judge(chain.trust, RAW, DAYS[:1], RAW_SUITES[:1])["raw_schema"].statement.digest
    assert store.newest_result(RAW, "raw_schema") == made
    assert store.newest_result(RAW, "raw_expectations") not in {made, ""}
    assert store.newest_result(FEATURES, "raw_schema") == ""


def test_records_match_every_filter_given(honest: Chain) -> None:
    store, statement = honest.trust.store, honest.features.bundle.statement
    found = store.records(
        predicate_type=statements.PROVENANCE, asset=FEATURES, subject=statement.subject_digest
    )
    assert [record.statement for record in found] == [statement.digest]
    assert (found[0].step, found[0].environment, found[0].sequence) == ("features", "local", 1)
    assert len(store.records()) == 8
    assert store.records(statement=A) == []
    gates = store.records(predicate_type=statements.VERIFICATION_SUMMARY)
    assert {(record.step, record.result) for record in gates} == {("data_access", "PASSED")}


def test_intents_lie_in_the_journal_until_their_bundle_is_stored(chain: Chain) -> None:
    store, statement = chain.trust.store, chain.raw.bundle.statement
    journal = chain.workspace.home / "evidence" / "intents"
    assert list(journal.iterdir()) == []
    store.put_intent(statement)
    assert [path.read_bytes() for path in journal.iterdir()] == [statement.content]
    store.drop_intent(statement.digest)
    store.drop_intent(statement.digest)
    assert list(journal.iterdir()) == []


def unsigned(document: object, **changed: Any) -> bytes:
    """A bundle that nobody signed, around any payload."""
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    bundle: dict[str, Any] = {
        "dsseEnvelope": {"payload": base64.b64encode(payload).decode(), "signatures": []},
        "verificationMaterial": {"tlogEntries": [{"logIndex": "7"}]},
    }
    return json.dumps(bundle | changed).encode()


def statement_about(manifest: Manifest, kind: str, predicate: object) -> dict[str, Any]:
    return {
        "subject": [{"name": manifest.asset, "digest": {"sha256": manifest.digest}}],
        "predicateType": kind,
        "predicate": predicate,
    }


EMPTY = Manifest.of("x", [FileEntry(path="x", partition="d", size=0, sha256=A)])


def provenance(**changed: object) -> dict[str, Any]:
    external = {"step": "ingest", "asset": "x", "environment": "local"}
    build = {"externalParameters": external, "internalParameters": {"sequence": 1} | changed}
    return statement_about(EMPTY, statements.PROVENANCE, {"buildDefinition": build})


def contract(**changed: object) -> dict[str, Any]:
    notes = {
        "step": "contracts", "environment": "local", "suite": "s", "failedPartitions": [],
        "checks": 1, "rows": {"d": 1},
    }  # fmt: skip
    predicate = {"result": "PASSED", "annotations": notes | changed}
    return statement_about(EMPTY, statements.TEST_RESULT, predicate)


GARBAGE = {
    "nothing": b"",
    "list": b"[]",
    "no envelope": b"{}",
    "not base64": unsigned({}, dsseEnvelope={"payload": "???"}),
    "no entry": unsigned({}, verificationMaterial={"tlogEntries": []}),
    "entry is text": unsigned({}, verificationMaterial={"tlogEntries": ["x"]}),
    "huge index": unsigned({}, verificationMaterial={"tlogEntries": [{"logIndex": "9" * 30}]}),
    "negative index": unsigned({}, verificationMaterial={"tlogEntries": [{"logIndex": "-1"}]}),
    "payload is text": unsigned("text"),
    "payload is no JSON": unsigned(b"\xff"),
    "key twice": unsigned(b'{"subject":[],"subject":[]}'),
    "no predicate": unsigned({"predicateType": statements.PROVENANCE}),
    "no subject": unsigned(provenance() | {"subject": []}),
    "subject is text": unsigned(provenance() | {"subject": ["x"]}),
    "no manifest": unsigned(
        provenance() | {"subject": [{"name": "x", "digest": {"sha256": "b" * 64}}]}
    ),
    "sequence is text": unsigned(provenance(sequence="many")),
    "sequence is true": unsigned(provenance(sequence=True)),
    "sequence is huge": unsigned(provenance(sequence=2**70)),
    "sequence is negative": unsigned(provenance(sequence=-1)),
    "checks are text": unsigned(contract(checks="many")),
    "rows are a list": unsigned(contract(rows=[1])),
    "rows are text": unsigned(contract(rows={"d": "many"})),
    "failed is a number": unsigned(contract(failedPartitions=5)),
    "suite is an object": unsigned(contract(suite={})),
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_among_the_bundles_hides_nothing_and_stops_nobody(
    chain: Chain, content: bytes
) -> None:
    store = chain.trust.store
    store.put_manifest(EMPTY)
    before = dump(chain.workspace.home / "evidence")
    store.bundle_path(encoding.digest_bytes(content)).write_bytes(content)
    again = reopened(chain)
    assert dump(chain.workspace.home / "evidence") == before
    assert again.heads(RAW) == store.heads(RAW)
    assert again.heads("x") == again.contract_results("x") == {}


@pytest.mark.parametrize("make", [provenance, contract])
def test_unsigned_but_well_formed_bundles_are_found_and_never_trusted(
    chain: Chain, make: Callable[[], object]
) -> None:
    store = chain.trust.store
    store.put_manifest(EMPTY)
    store.put_bundle(unsigned(make()))
    found = store.records(subject=EMPTY.digest)
    assert [record.log_index for record in found] == [7]
    assert [item.code for item in chain.trust.lineage().node(found[0].statement).reasons] == [
        "SIGNATURE_MISSING"
    ]


def test_raw_files_lie_where_their_manifest_says(honest: Chain) -> None:
    paths = [entry.path for entry in honest.raw.manifest.entries]
    assert paths == [raw_path(day) for day in DAYS]
    for entry in honest.raw.manifest.entries:
        content = (honest.workspace.home / "data" / entry.path).read_bytes()
        assert encoding.digest_bytes(content) == entry.sha256


def test_lost_and_changed_bundles_are_problems_of_the_store(chain: Chain) -> None:
    store = chain.trust.store
    assert store.problems() == []
    store.bundle_path(chain.raw.bundle.bundle_digest).unlink()
    path = store.bundle_path(chain.features.bundle.bundle_digest)
    path.write_bytes(path.read_bytes() + b" ")
    found = {item.code: item.artifact for item in store.problems()}
    assert set(found) == {"EVIDENCE_MISSING", "EVIDENCE_TAMPERED"}
    assert found["EVIDENCE_MISSING"] == RAW
    assert FEATURES in found["EVIDENCE_TAMPERED"]


def test_intents_are_the_announced_statements_as_they_were_written(chain: Chain) -> None:
    store, journal = chain.trust.store, chain.workspace.home / "evidence" / "intents"
    store.put_intent(chain.raw.bundle.statement)
    (journal / f"{'0' * 64}.json").write_bytes(b"{}")
    (journal / f"{'1' * 64}.json").symlink_to(journal)
    assert store.intents() == [chain.raw.bundle.statement.content]


FIRST_LOG, SECOND_LOG = b"\x01" * 32, b"\x02" * 32


def logged(content: bytes, log: bytes, index: int, result: str) -> bytes:
    """A contract's bundle as the index sees it, in another log and with another result."""
    document = json.loads(content)
    document["verificationMaterial"]["tlogEntries"] = [
        {"logId": {"keyId": base64.b64encode(log).decode()}, "logIndex": str(index)}
    ]
    statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    failed = [DAYS[0]] if result == "FAILED" else []
    statement["predicate"]["annotations"]["failedPartitions"] = failed
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    document["dsseEnvelope"]["payload"] = payload
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("logs", "newest"),
    [([FIRST_LOG, SECOND_LOG], "FAILED"), ([SECOND_LOG, FIRST_LOG], "PASSED"),
     ([FIRST_LOG], "PASSED"), ([SECOND_LOG], "FAILED")],
)  # fmt: skip
def test_what_is_in_a_later_log_is_newer_whatever_its_index(
    honest: Chain, tmp_path: Path, logs: list[bytes], newest: str
) -> None:
    known = honest.trust.store
    result = next(iter(known.records(predicate_type=statements.TEST_RESULT, subject="")))
    content = known.bundle(result.statement)[1]
    store = opened(tmp_path / "evidence", logs)
    store.put_manifest(known.manifest(result.subject_digest))
    store.put_bundle(logged(content, SECOND_LOG, 3, "FAILED"))
    store.put_bundle(logged(content, FIRST_LOG, 900, "PASSED"))

    found = store.contract_results(known.manifest(result.subject_digest).asset)
    day = {key[0]: suites for key, suites in found.items()}[DAYS[0]]
    assert day[result.suite].result == newest
    assert store.records()[-1].log == (SECOND_LOG if newest == "FAILED" else FIRST_LOG).hex()


def test_bundles_since_an_entry_are_those_of_one_log_and_those_of_unknown_ones(
    honest: Chain, tmp_path: Path
) -> None:
    known = honest.trust.store
    content = known.bundle(known.records(predicate_type=statements.TEST_RESULT)[0].statement)[1]
    store = opened(tmp_path / "evidence", [FIRST_LOG, SECOND_LOG])
    store.put_manifest(
        known.manifest(known.records(predicate_type=statements.TEST_RESULT)[0].subject_digest)
    )
    places = [(FIRST_LOG, 4), (FIRST_LOG, 5), (SECOND_LOG, 9), (b"\x03" * 32, 0)]
    names = {}
    for log, index in places:
        bundle = logged(content, log, index, "PASSED")
        store.put_bundle(bundle)
        names[log, index] = encoding.digest_bytes(bundle)

    since = set(store.logged_since(FIRST_LOG, 5))
    assert since == {names[FIRST_LOG, 5], names[b"\x03" * 32, 0]}
