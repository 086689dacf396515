"""What is due: compares what evidence says was made with what would be made now.

Plans only; an edited index can make work repeat or be missed, never make anything trusted.
"""

from collections.abc import Iterable, Sequence, Sized
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraud_provenance.attested.attestors.work_tree import folder_digest
from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import Reason
from fraud_provenance.attested.gates.build_rules import code_of
from fraud_provenance.attested.lineage.nodes import Materialisation
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.step.catalogue import catalogue_of
from fraud_provenance.data.landing import is_empty, landed_days
from fraud_provenance.home.settings import PROJECT
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models.online_files import ONLINE_FILE, REGISTRY_FILE, loaded_here
from fraud_provenance.models.registry import Registry, RegistryStore
from fraud_provenance.models.registry_home import HomeStore
from fraud_provenance.models.registry_server import ServerStore
from fraud_provenance.models.view_skew import view_digests
from fraud_provenance.predictions import contract as score_contract
from fraud_provenance.predictions import log as prediction_log

if TYPE_CHECKING:
    pass

RAW_SUITES = ("raw_schema", "raw_expectations")
FEATURE_SUITES = ("feature_schema", "feature_expectations")
POINT_IN_TIME = "training_set_point_in_time"
SCORE_SUITES = (score_contract.SUITE,)
FEATURE_SERVICE = "fraud_model_v1"
# A day's widest window: a terminal's risk looks back 30 days beyond the 7 days of label delay.
WINDOW_DAYS = 37
# An online lookup needs the newest row of each card and terminal; one idle for longer is new.
ONLINE_DAYS = 30
_DBT_SOURCES = ("models", "macros", "tests", "dbt_project.yml", "profiles.yml")


def in_days(days: Sized) -> str:
    """How many days, as people say it: "1 day", "60 days"."""
    return "1 day" if len(days) == 1 else f"{len(days)} days"


def mlflow_uri(workspace: Workspace) -> str:
    """MLflow's tracking store: the server of the settings, or the home's own database."""
    return registry_of(workspace).uri


def registry_of(workspace: Workspace) -> Registry:
    """The home's model registry: the one place where its kind is chosen."""
    settings = workspace.settings
    store: RegistryStore = HomeStore(workspace.home)
    if settings.mlflow.server:
        store = ServerStore(settings.mlflow.server, settings.mlflow_login)
    return Registry(store, workspace.home)


def current_entries(workspace: Workspace, asset: str) -> dict[str, FileEntry]:
    """Partition → manifest entry of its newest version (the last file's where it has several)."""
    heads = workspace.store.heads(asset)
    newest = {partition: files[0].statement for partition, files in heads.items()}
    found: dict[str, FileEntry] = {}
    for statement in set(newest.values()):
        records = workspace.store.records(statement=statement)
        for entry in workspace.store.manifest(records[0].subject_digest).entries:
            if newest.get(entry.partition) == statement:
                found[entry.partition] = entry
    return found


def usable_days(workspace: Workspace, step: str, asset: str) -> list[str]:
    """The days of `asset` that `step` may read, by their contracts."""
    return list(catalogue_of(workspace.trust).usable(asset, step=step).partitions)


def revoked_partitions(workspace: Workspace, asset: str) -> dict[str, Reason]:
    """Partition → why its newest version may not be used any more."""
    heads = workspace.store.heads(asset)
    found = {partition: workspace.trust.revoked_head(files) for partition, files in heads.items()}
    return {partition: why for partition, why in found.items() if why is not None}


def unjudged_days(workspace: Workspace, asset: str, suites: Sequence[str]) -> list[str]:
    """Attested days whose newest bytes no suite has failed and not every suite has judged.

    A result of a former form of its suite is no judgement.
    """
    results = workspace.store.contract_results(asset)
    layout = workspace.trust.policies.current().layout
    forms = {suite: layout.contract(suite).suite_digests for suite in suites}
    days = []
    for day, heads in workspace.store.heads(asset).items():
        found = results.get((day, heads[0].sha256), {})
        failed = any(item.result == "FAILED" for item in found.values())
        judged = {suite for suite in suites
                  if suite in found and found[suite].suite_digest in forms[suite]}  # fmt: skip
        if not failed and set(suites) - judged:
            days.append(day)
    return sorted(days)


def failed_days(workspace: Workspace, asset: str) -> dict[str, str]:
    """Day → suite, for every attested day whose newest bytes broke a contract."""
    results = workspace.store.contract_results(asset)
    return {
        day: suite
        for day, heads in workspace.store.heads(asset).items()
        for suite, item in results.get((day, heads[0].sha256), {}).items()
        if item.result == "FAILED"
    }


def stopped_days(workspace: Workspace, asset: str) -> dict[str, str]:
    """Day → suite, for every attested day that broke a contract, or is held and not accepted."""
    results = workspace.store.contract_results(asset)
    found = failed_days(workspace, asset)
    known = catalogue_of(workspace.trust)
    for day, heads in workspace.store.heads(asset).items():
        for suite, item in results.get((day, heads[0].sha256), {}).items():
            if item.result == "WARNED" and not known.frees(heads[0], item):
                found.setdefault(day, suite)
    return found


def judged_days(workspace: Workspace, asset: str, suites: Sequence[str]) -> set[str]:
    """Attested days whose newest bytes every suite has judged, and none has failed.

    Days that are held are among them: what they hold is known, whether it may be used or not.
    """
    unjudged = unjudged_days(workspace, asset, suites)
    return set(workspace.store.heads(asset)).difference(unjudged, failed_days(workspace, asset))


def sources_digest(project: Path = PROJECT) -> str:
    """SHA-256 over the dbt project's own files: what decides whether features are current."""
    folder = project / "dbt_project"
    paths: list[Path] = []
    for name in _DBT_SOURCES:
        path = folder / name
        paths += sorted(path.rglob("*")) if path.is_dir() else [path]
    return folder_digest(folder, paths)


def has_rows(workspace: Workspace, asset: str, day: str) -> bool:
    """Whether a day is attested, and its statement does not say that it is empty."""
    heads = workspace.store.heads(asset).get(day)
    if not heads:
        return False
    node = workspace.trust.lineage().node(heads[0].statement)
    if not isinstance(node, Materialisation):
        return True
    return bool(node.provenance.outputs["rows"].get(day) != 0)


def declared_empty(workspace: Workspace) -> dict[str, str]:
    """Day → waiver, for the raw days that people declared empty and that have no rows."""
    waived = workspace.trust.lineage().waivers("raw_transactions")
    return {
        day: waiver
        for day, waiver in waived.items()
        if not has_rows(workspace, "raw_transactions", day)
    }


def window_of(days: Iterable[str], known: Sequence[str]) -> list[str]:
    """The known days that the features of `days` are made from."""
    wanted: set[str] = set()
    for day in days:
        first = str(date.fromisoformat(day) - timedelta(days=WINDOW_DAYS))
        wanted |= {other for other in known if first <= other <= day}
    return sorted(wanted)


def experimental_partitions(workspace: Workspace, asset: str) -> set[str]:
    """Partitions that a changed tree had a part in, once the tree is exactly a commit again.

    They can never be promoted, so they are made anew, unless their inputs would be such again.
    """
    if workspace.code_facts.git_dirty:
        return set()
    lineage = workspace.trust.lineage()
    heads = {name: files[0].statement for name, files in workspace.store.heads(asset).items()}
    nodes = {statement: lineage.node(statement) for statement in set(heads.values())}
    if not any(code.git_dirty for code in code_of(nodes.values())):
        return set()
    dirty = {name for name, node in nodes.items() if any(c.git_dirty for c in code_of([node]))}
    return {partition for partition, statement in heads.items() if statement in dirty}


def made_by_other_code(workspace: Workspace, asset: str) -> set[str]:
    """Partitions that say that their step's code was another one than it is now.

    What was made before this was recorded says nothing, and is judged by the rest. Raw days and
    scores are not asked: they are what arrived, and what was said at the time.
    """
    step = workspace.trust.policies.current().layout.producer(asset)
    now = workspace.attestor.step_code(step)
    then = outputs_of(workspace, asset, "step_code")
    return {partition for partition, code in then.items() if code and code != now}


def ingest_due(workspace: Workspace) -> dict[str, str]:
    """Landed days whose bytes are not the ones their raw day was made from: day → SHA-256.

    An empty file of a day that was declared empty says nothing new. A day whose statement was
    revoked is ingested again; one whose bytes were waits for others.
    """
    entries = current_entries(workspace, "raw_transactions")
    revoked = revoked_partitions(workspace, "raw_transactions")
    empty = declared_empty(workspace)
    unsigned = {d for d, why in revoked.items() if why.code == RootCause.STATEMENT_REVOKED}
    experimental = experimental_partitions(workspace, "raw_transactions") - revoked.keys()
    due = {}
    for day, path in landed_days(workspace.landing).items():
        if day not in experimental and day in empty and is_empty(path):
            continue
        landed = encoding.digest_bytes(path.read_bytes())
        is_made = day in entries and day not in unsigned and landed in entries[day].made_from
        if day in experimental or not is_made:
            due[day] = landed
    return due


def features_due(workspace: Workspace) -> list[str]:
    """Usable raw days whose features are missing, revoked, or made from other bytes or code."""
    raw = current_entries(workspace, "raw_transactions")
    usable = usable_days(workspace, "features", "raw_transactions")
    made = current_entries(workspace, "transaction_features")
    code = outputs_of(workspace, "transaction_features", "dbt_sources")
    current = sources_digest()
    revoked = revoked_partitions(workspace, "transaction_features")
    changed = made_by_other_code(workspace, "transaction_features")
    experimental = experimental_partitions(workspace, "transaction_features")
    lasting = experimental_partitions(workspace, "raw_transactions")
    return [
        day
        for day in usable
        if day not in made
        or day in revoked
        or day in changed
        or (day in experimental and lasting.isdisjoint(window_of([day], usable)))
        or set(made[day].made_from) != {raw[d].sha256 for d in window_of([day], usable)}
        or code.get(day) != current
    ]


def feature_store_due(workspace: Workspace) -> bool:
    """Whether the online store is gone, or was loaded from other bytes or views than now."""
    usable = usable_days(workspace, "feature_store", "transaction_features")[-ONLINE_DAYS:]
    features = current_entries(workspace, "transaction_features")
    made = _loaded_entry(workspace)
    wanted = {features[day].sha256 for day in usable}
    revoked = revoked_partitions(workspace, "feature_store") or made_by_other_code(
        workspace, "feature_store"
    )
    feast = [workspace.feast / name for name in (REGISTRY_FILE, ONLINE_FILE)]
    gone = not all(path.exists() for path in feast)
    if not usable or made is None or gone or revoked or set(made.made_from) != wanted:
        return bool(usable)
    views = outputs_of(workspace, "feature_store", "views")["definitions"]
    return bool(views != declared_views())


def _loaded_entry(workspace: Workspace) -> FileEntry | None:
    """What was loaded: by the newest run of all, or of this machine where several share a home."""
    if not workspace.settings.is_shared:
        return current_entries(workspace, "feature_store").get("definitions")
    node = loaded_here(workspace.trust)
    entries = node.entries if node is not None else ()
    return next((entry for entry in entries if entry.partition == "definitions"), None)


def declared_views() -> dict[str, str]:
    """Feature view → digest of its definition, as the project declares it now."""
    from fraud_provenance.fraud.feature_definitions import declared_definitions

    return view_digests(declared_definitions())


def days_to_score(workspace: Workspace, asked: Sequence[str]) -> list[str]:
    """The days asked for; else those after the last scored one; else the newest.

    A day counts as scored only where the prediction log has its scores.
    """
    usable = usable_days(workspace, "score", "transaction_features")
    features = current_entries(workspace, "transaction_features")
    scored = current_entries(workspace, "transaction_scores")
    revoked = revoked_partitions(workspace, "transaction_scores")
    unlogged = _unlogged_days(workspace)
    current = {
        day
        for day, entry in scored.items()
        if day not in unlogged
        and day not in revoked
        and day in features
        and features[day].sha256 in entry.made_from
    }
    last = max(scored, default="")
    later = [day for day in usable if day > last] if scored else usable[-1:]
    again = [day for day in usable if day in scored]
    wanted = [day for day in asked if day in usable] or sorted({*later, *again})
    return [day for day in wanted if day not in current]


def judgeable_scores(workspace: Workspace) -> list[str]:
    """Scored days whose features are still those that were scored: these can be compared."""
    features = current_entries(workspace, "transaction_features")
    lost = {*_unlogged_days(workspace), *revoked_partitions(workspace, "transaction_scores")}
    return sorted(
        day
        for day, entry in current_entries(workspace, "transaction_scores").items()
        if day not in lost and day in features and features[day].sha256 in entry.made_from
    )


def scores_to_judge(workspace: Workspace) -> list[str]:
    """Days whose newest scores their contract has still to judge: those made since it is known."""
    unjudged = unjudged_days(workspace, "transaction_scores", SCORE_SUITES)
    wanted = set(judgeable_scores(workspace)).intersection(unjudged) if unjudged else set()
    heads = workspace.store.heads("transaction_scores")
    trust = workspace.trust
    since = score_contract.due_since(trust) if wanted else None
    return sorted(
        day
        for day in wanted
        if score_contract.is_due(trust.lineage().node(heads[day][0].statement), since)
    )


def _unlogged_days(workspace: Workspace) -> set[str]:
    """Days whose newest scores the prediction log does not know."""
    heads = workspace.store.heads("transaction_scores")
    logged = {
        statement: prediction_log.is_logged(workspace.trust, statement)
        for statement in {files[0].statement for files in heads.values()}
    }
    return {day for day, files in heads.items() if not logged[files[0].statement]}


def newest_node(workspace: Workspace, asset: str) -> Materialisation | None:
    """The newest materialisation of an asset, verified, or None."""
    lineage = workspace.trust.lineage()
    _, statement = lineage.versions.next(asset)
    return lineage.node(statement).expect(Materialisation) if statement else None


def outputs_of(workspace: Workspace, asset: str, name: str) -> dict[str, Any]:
    """Partition → one signed output fact of its newest materialisation."""
    lineage = workspace.trust.lineage()
    found = {}
    for partition, heads in workspace.store.heads(asset).items():
        made = lineage.node(heads[0].statement).claims.made
        found[partition] = made.outputs.get(name) if made else None
    return found
