"""Causes that need no comparison with anything that was good.

A link that does not hold, a day that a contract stopped, a gate that refused, something that never
came, a fault of the machine or its servers.
"""

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from fraud_provenance.alerts import Alert, Outbox
from fraud_provenance.attested.core.errors import ProvenanceError, Reason
from fraud_provenance.attested.core.verdict import Link, Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import AcceptedDay, Materialisation, Node, Verified
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.causes.data import DataCause
from fraud_provenance.investigate.broken import SERVERS, broken_causes
from fraud_provenance.investigate.causes import (
    APPROVAL,
    INFRASTRUCTURE,
    MISSING,
    TAMPERING,
    WAIVER,
    Cause,
    links_of,
    signer_of,
)
from fraud_provenance.investigate.chain import role_of
from fraud_provenance.investigate.changes import CODE, DATA, POLICY
from fraud_provenance.investigate.subjects import contract_reasons, verify_subject
from fraud_provenance.investigate.symptoms import Symptom, good_day, words_of
from fraud_provenance.investigate.why import RAW, bytes_of, raw_days
from fraud_provenance.models.registry import Registry
from fraud_provenance.predictions.batch import FEATURES, SCORES

if TYPE_CHECKING:
    import polars as pl

DBT = "dbt_project"
_CLEAR, _IDS = 0.1, frozenset(("customer_id", "terminal_id"))
LIMITS = "contracts.json: "
_UNAPPROVED = re.compile(r"\bEXPECTATION_CHANGE_UNAPPROVED\(([a-z_]+)\)")
_LANDED = re.compile(r"\blanding@([0-9]{4}-[0-9]{2}-[0-9]{2})")
_SETTLED = timedelta(minutes=5)
_HELD = frozenset(("DATA_HELD", "CHECK_FAILED", "CHECK_MISSING", "CHECK_VACUOUS"))
_NO_ENTRY = "LOG_UNAVAILABLE"
"""That no dated entry came; where a server is named beside it, that one is why."""
_AFTER_ALL = "9999-12-31"
_NOT_BUILT = "TRANSFORM_FAILED"
_OF_CODE = frozenset(("PIT_LEAKAGE", "FEATURE_RECOMPUTE_MISMATCH"))


def is_of_data(code: str) -> bool:
    """Whether a root cause lies in the data."""
    return code in frozenset(DataCause) or code in _HELD


def causes_of_verdict(trust: Trust, verdict: Verdict) -> list[Cause]:
    """Why a thing does not hold: days that contracts stopped, and links that are broken."""
    of_data = [item for item in verdict.reasons if is_of_data(str(item.code)) and item.artifact]
    if not of_data or of_data[0] != verdict.reasons[0]:
        return broken_causes(trust, verdict)
    days = dict.fromkeys((item.artifact, item.partition) for item in of_data)
    return [cause for place in days for cause in contract_causes(trust, *place, of_data, verdict)]


# --- contracts -------------------------------------------------------------------------------


def contract_causes(
    trust: Trust, asset: str, day: str, reasons: Sequence[Reason], verdict: Verdict
) -> list[Cause]:
    """As `contract_cause`; of features that are what their raw rows make them, the raw days."""
    cause = contract_cause(trust, asset, day, reasons, verdict)
    if (cause.kind, asset) != (DATA, FEATURES):
        return [cause]
    heads = trust.store.heads(FEATURES).get(day, ())
    node = trust.lineage().node(heads[0].statement) if heads else None
    if not isinstance(node, Materialisation) or not node.is_sound:
        return [cause]
    entry = next((item for item in node.entries if item.partition == day), None)
    if entry is None:
        return [cause]
    if redefined := _redefined(trust, cause, node, entry):
        return [redefined]
    below = raw_days(node, entry)
    unusual = [item for item in below if _accepted(trust, item[1])]
    own = [item for item in below if item[1].partition == day]
    return [_of_raw(trust, cause, *item) for item in unusual or own] or [cause]


def _redefined(trust: Trust, cause: Cause, node: Materialisation, entry: FileEntry) -> Cause | None:
    """What stopped features, where the same raw bytes gave good ones by another commit."""
    commit = str(node.provenance.outputs.get("git_commit", ""))
    good = good_day(trust, FEATURES, entry.partition)
    if good is None or commit_of(good) in ("", commit):
        return None
    before = next((item for item in good[0].entries if item.sha256 == good[2]), None)
    if before is None or set(before.made_from) != set(entry.made_from):
        return None
    said = f"the same raw rows gave good features by commit {commit_of(good)[:12]}"
    return replace(cause, kind=CODE, name=DBT, said=said, before=commit_of(good), after=commit,
                   commit=commit)  # fmt: skip


def _accepted(trust: Trust, entry: FileEntry) -> list[AcceptedDay]:
    """Who signed for a raw day that was held."""
    return trust.lineage().acceptances(RAW, entry.partition, entry.sha256)


def _of_raw(trust: Trust, cause: Cause, node: Node, entry: FileEntry) -> Cause:
    """What stopped features, as a raw day that they were made from."""
    who, at = signer_of(node)
    told = [f"accepted by {signer_of(item)[0]}: {item.said.reason[:200]}"
            for item in _accepted(trust, entry)]  # fmt: skip
    name = f"{RAW}/{entry.partition}"
    return replace(cause, name=name, said=f"{name} is not what days are", before="",
                   after=entry.sha256, path=(*cause.path, *links_of([node])), who=who, at=at,
                   details=(*told, *cause.details))  # fmt: skip


def contract_cause(
    trust: Trust, asset: str, day: str, reasons: Sequence[Reason], verdict: Verdict
) -> Cause:
    """A day that its contracts stopped: what was delivered, by whom, and what in it is unusual."""
    hole = _first_hole(trust, day)
    own = [item for item in reasons if (item.artifact, item.partition) == (asset, day)]
    if hole != day and _waits(own):
        return _never_came(hole)
    heads = trust.store.heads(asset).get(day, ())
    node = trust.lineage().node(heads[0].statement) if heads else None
    told = [item.message for item in reasons if (item.artifact, item.partition) == (asset, day)]
    who, at = signer_of(node)
    path = _to_day(trust, asset, day, node)
    code = [item for item in reasons if str(item.code) in _OF_CODE]
    if asset == FEATURES and code and node is not None and node.claims.made:
        commit = str(node.claims.made.outputs.get("git_commit", ""))
        return Cause(CODE, DBT, f"{code[0].message}: made by commit {commit[:12]}",
                     after=commit, path=path, who=who, at=at, commit=commit,
                     details=tuple(told))  # fmt: skip
    before = good_day(trust, asset, day)
    details = list(dict.fromkeys(told))
    if node is not None and before is not None:
        details += _compared(trust, asset, (node, day), before)
    file = _landing(trust, node, day)
    sha256 = heads[0].sha256 if heads else ""
    return Cause(DATA, f"{asset}/{day}", f"{file or 'the day'} is not what days are",
                 before[2] if before else "", sha256, path=path, who=who, at=at,
                 details=tuple(details[:12]))  # fmt: skip


def _to_day(trust: Trust, asset: str, day: str, node: Node | None) -> tuple[Link, ...]:
    """The contract that judged, then the day's own statement."""
    if node is None:
        return ()
    heads = trust.store.heads(asset).get(day, ())
    results = trust.store.contract_results(asset).get((day, heads[0].sha256), {}) if heads else {}
    judged = [trust.lineage().node(item.statement) for item in results.values()
              if item.result != "PASSED"]  # fmt: skip
    links = [*judged[:1], node]
    return tuple(
        item.link().model_copy(update={"kind": role_of(item), "partitions": (day,)})
        for item in links
    )


def _landing(trust: Trust, node: Node | None, day: str) -> str:
    """The landing file of a raw day, with its digest."""
    made = node.claims.made if node else None
    material = made.material("source") if made else None
    if material is None:
        return ""
    try:
        entries = trust.store.manifest(material.digest).entries
    except ProvenanceError:
        return ""
    found = [entry for entry in entries if entry.partition == day]
    return f"{found[0].path} ({found[0].sha256[:12]})" if found else ""


def _compared(
    trust: Trust, asset: str, now: tuple[Node, str], before: tuple[Node, str, str]
) -> list[str]:
    """The columns that are otherwise than in the good day, and the segment that they are in."""
    frames = frames_of(trust, before, (*now, ""))
    return [f"compared with {asset}/{before[1]}", *shifts_of(*frames)] if frames else []


def frames_of(
    trust: Trust, a: tuple[Node, str, str], b: tuple[Node, str, str]
) -> "tuple[pl.DataFrame, pl.DataFrame] | None":
    """The rows of two attested days; None where one's cannot be had.

    Each is (statement, day, SHA-256; "" for the one file that the statement has of the day).
    """
    first = _frame(trust, *a)
    second = _frame(trust, *b) if first is not None else None
    return None if first is None or second is None else (first, second)


def _frame(trust: Trust, node: Node, day: str, sha256: str) -> "pl.DataFrame | None":
    import polars as pl

    for entry in node.entries:
        if entry.partition == day and sha256 in ("", entry.sha256):
            try:
                return pl.read_parquet(io.BytesIO(bytes_of(trust, node, entry)))
            except (ProvenanceError, pl.exceptions.PolarsError):
                return None
    return None


def shifts_of(a: "pl.DataFrame", b: "pl.DataFrame") -> list[str]:
    """The columns that moved most, in words, and where in the day: aggregates, never a row."""
    from fraud_provenance.fraud.segments import segment_of
    from fraud_provenance.fraud.shift import column_shifts

    told = []
    shifts = column_shifts(a, b)
    clear = [item for item in shifts if item.distance >= _CLEAR or item.column not in _IDS]
    for shift in clear[:3]:
        if shift.a is None or shift.b is None:
            told.append(f"{shift.column}: another type, or only on one side")
            continue
        said = (
            f"{shift.column}: distance {shift.distance:.3f}, mean {shift.a.mean:.4g} → "
            f"{shift.b.mean:.4g}, missing {shift.a.missing} → {shift.b.missing}"
        )
        told.append(said + segment_of(a, b, shift.column))
    if a.height and abs(b.height - a.height) > 0.1 * a.height:
        told.append(f"rows: {a.height:,} → {b.height:,}")
    return told


# --- what never came, and what alerts say ----------------------------------------------------


def absent_causes(trust: Trust, registry: Registry, asset: str, day: str) -> list[Cause]:
    """Why a day of an asset is not there: the first thing upstream that is not as it must be."""
    if found := _upstream(trust, registry, asset, day):
        return found
    if faults := alert_faults(trust):
        return faults
    path = _news(f"{asset}/{day}")
    return [Cause(INFRASTRUCTURE, "run", f"{asset}/{day} is due, and no run made it", path=path)]


def _upstream(trust: Trust, registry: Registry, asset: str, day: str) -> list[Cause]:
    """A day that was stopped, put there by hand, or never came; a champion that does not hold."""
    if stopped := stopped_day(trust, day):
        return stopped
    if (trust.home / "data" / asset / f"{day}.parquet").is_file():
        said = f"a file of {day} lies there, and nothing attests it"
        return [Cause(TAMPERING, f"{asset}/{day}", said, path=_news(f"{asset}/{day}"),
                      is_broken=True)]  # fmt: skip
    if undelivered := _undelivered(trust, day):
        return undelivered
    if asset == SCORES and day in trust.store.heads(FEATURES):
        champion = verify_subject(trust, registry, "model@champion")
        if champion.reasons:
            return causes_of_verdict(trust, champion)
    return []


def _not_built(trust: Trust) -> list[Cause]:
    """That dbt, or one of its tests, fails since another commit."""
    good, commit = good_day(trust, FEATURES, _AFTER_ALL), trust.attestor.code().git_commit
    before = commit_of(good)
    if good is None or before in ("", commit):
        return []
    return [Cause(CODE, DBT, "dbt does not build with it", before, commit,
                  path=links_of([good[0]]), commit=commit)]  # fmt: skip


def commit_of(good: tuple[Materialisation, str, str] | None) -> str:
    """The commit that made what `good_day` found; empty where it found none."""
    return str(good[0].provenance.outputs.get("git_commit", "")) if good else ""


def _undelivered(trust: Trust, day: str) -> list[Cause]:
    """A file that is no table, a day that was declared empty, or one that never came."""
    if unreadable := unreadable_landings(trust, [day]):
        return unreadable
    if waiver := trust.lineage().waivers(RAW).get(day):
        return [_declared_empty(day, trust.lineage().node(waiver))]
    hole = _first_hole(trust, day)
    landed = (trust.home / "landing" / f"{hole}.parquet").is_file()
    return [] if landed or hole in trust.store.heads(RAW) else [_never_came(hole)]


def _declared_empty(day: str, node: Node) -> Cause:
    """Who said that a day has no transactions."""
    who, at = signer_of(node)
    why = str(node.expect(Verified).bundle.statement.predicate.get("reason", ""))[:200]
    return Cause(WAIVER, f"{RAW}/{day}", f"declared empty: {why}", path=links_of([node]), who=who,
                 at=at)  # fmt: skip


def unreadable_landings(trust: Trust, days: Iterable[str]) -> list[Cause]:
    """Files of these days that were delivered and are no tables: cut off, empty, another format."""
    import polars as pl

    found = []
    for day in days:
        path = trust.home / "landing" / f"{day}.parquet"
        if day in trust.store.heads(RAW) or not path.is_file():
            continue
        try:
            pl.read_parquet(path, n_rows=1)
        except (OSError, pl.exceptions.PolarsError) as error:
            said = f"the file that was delivered cannot be read: {str(error)[:200]}"
            found.append(Cause(DATA, f"landing/{day}", said, path=_news(f"landing/{day}"),
                               is_broken=True))  # fmt: skip
    return found


def _never_came(day: str) -> Cause:
    said = f"no file of {day} was delivered"
    return Cause(MISSING, f"landing/{day}", said, path=_news(f"landing/{day}"))


def _first_hole(trust: Trust, day: str) -> str:
    """The first day since the feed began that never came; this one if there is none."""
    raw = trust.store.heads(RAW)
    waived = trust.lineage().waivers(RAW)
    if not raw:
        return day
    now = date.fromisoformat(min(raw))
    while str(now) < day:
        if str(now) not in raw and str(now) not in waived:
            return str(now)
        now += timedelta(days=1)
    return day


def _news(name: str) -> tuple[Link, ...]:
    """A link that stands for what no evidence can say: that something is not there."""
    return (Link(kind="not there", name=name),)


def stopped_day(trust: Trust, day: str) -> list[Cause]:
    """The day's own raw rows or features, where a contract stopped them.

    Days before it that are stopped stop nothing else: they are left out of the windows.
    """
    for asset in (RAW, FEATURES):
        reasons = contract_reasons(trust, asset, day) if day in trust.store.heads(asset) else []
        if reasons:
            empty = Verdict.of(f"{asset}/{day}", trust.environment, "blame", [], reasons)
            return contract_causes(trust, asset, day, reasons, empty)
    return []


def _waits(reasons: Sequence[Reason]) -> bool:
    """Whether nothing is wrong with a day but that another one is not there."""
    return {str(item.code) for item in reasons} <= {"STALE_FEED", "DATA_HELD"}


def _last_signed(trust: Trust) -> datetime | None:
    """When the newest statement was signed."""
    records = trust.store.records(predicate_type=statements.PROVENANCE)[-1:]
    bundles = [trust.lineage().node(record.statement).claims.bundle for record in records]
    return max((bundle.signed_at for bundle in bundles if bundle), default=None)


def _open_alerts(trust: Trust) -> list[Alert]:
    """Alerts after which nothing was signed: what they tell is not over."""
    last = _last_signed(trust)
    return [alert for alert in Outbox(trust.home).everything()
            if last is None or alert.raised_at + _SETTLED >= last]  # fmt: skip


def alert_faults(trust: Trust) -> list[Cause]:
    """Faults around the data, as those alerts tell them after which nothing was made."""
    found: dict[str, Cause] = {}
    for alert in _open_alerts(trust):
        for cause in unreadable_landings(trust, _LANDED.findall(alert.text)):
            found[cause.key] = cause
        if _NOT_BUILT in words_of(alert):
            found |= {cause.key: cause for cause in _not_built(trust)}
        for suite in _UNAPPROVED.findall(alert.text):
            found.setdefault(suite, _unapproved(trust, suite, alert))
        if alert.kind not in ("could_not_decide", "run_failed"):
            continue
        codes = words_of(alert) & SERVERS.keys()
        for code in sorted(codes - {_NO_ENTRY} or codes):
            first = alert.text.splitlines()[0]
            cause = Cause(INFRASTRUCTURE, SERVERS[code], first[:300],
                          at=f"{alert.raised_at:%Y-%m-%dT%H:%M:%SZ}",
                          path=(Link(kind="alert", name=alert.id[:12], detail=code),))  # fmt: skip
            found.setdefault(cause.key, cause)
    return list(found.values())


def _unapproved(trust: Trust, suite: str, alert: Alert) -> Cause:
    """Checks that no release approved: limits were released without the digest of their suite."""
    released = [trust.lineage().node(name) for name in trust.policies.current().release_statements]
    who = ", ".join(dict.fromkeys(signer_of(node)[0] for node in released))
    said, at = alert.text.splitlines()[0][:300], f"{alert.raised_at:%Y-%m-%dT%H:%M:%SZ}"
    return Cause(POLICY, f"{LIMITS}{suite}", said, who=who, at=at, path=links_of(released[:1]))


def approval_causes(
    trust: Trust, symptom: Symptom, reasons: Sequence[dict[str, str]]
) -> list[Cause]:
    """What a gate refused for that no value explains: approvals, evidence, identity."""
    decision = symptom.refusal
    if decision is None:
        return []
    who, at = signer_of(decision)
    codes = {str(item.get("code")) for item in reasons}
    if "GIT_DIRTY" in codes:
        made = [child.claims.made.outputs for child in decision.children if child.claims.made]
        if not all(outputs.get("git_commit") for outputs in made):
            said = "made where no repository said which code it was"
            return [Cause(INFRASTRUCTURE, "git", said, path=links_of([decision]), who=who, at=at)]
        said = "made by a work tree that was no commit"
        return [Cause(CODE, "work tree", said, path=links_of([decision]), who=who, at=at)]
    if "APPROVAL_MISSING" in codes and (forged := _void_approvals(trust, decision)):
        return forged
    return [
        Cause(APPROVAL if "APPROV" in str(item.get("code")) else "refusal", str(item.get("code")),
              str(item.get("message", item.get("code"))), path=links_of([decision]),
              who=who, at=at)
        for item in reasons
    ]  # fmt: skip


def _void_approvals(trust: Trust, decision: Node) -> list[Cause]:
    """Approvals of the model that was refused which count for nothing, each with why."""
    records = trust.store.records(
        predicate_type=statements.APPROVAL, subject=decision.claims.subject or ""
    )
    nodes = [trust.lineage().node(record.statement) for record in records]
    return [
        Cause(APPROVAL, str(node.reasons[0].code), node.reasons[0].message,
              path=links_of([decision, node]), who=signer_of(node)[0], at=signer_of(node)[1],
              is_broken=True)
        for node in nodes if node.reasons
    ]  # fmt: skip
