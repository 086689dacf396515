"""What caused it: from a symptom to the set of changes that explain it, each on a verified path.

A link that does not hold is the cause, and nothing below it is looked at. Where everything holds,
the symptom is compared with the newest earlier thing of its kind that was good: all that changed is
put back, one by one and together, and what came out is made again from verified bytes. A change is
named if the effect goes with it, whatever it looks like.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError, reason
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.investigate.breaks import (
    absent_causes,
    alert_faults,
    approval_causes,
    causes_of_verdict,
    frames_of,
    is_of_data,
    shifts_of,
)
from fraud_provenance.investigate.broken import broken_causes
from fraud_provenance.investigate.causes import (
    Blame,
    Cause,
    cause_of,
    signer_of,
)
from fraud_provenance.investigate.changes import (
    CODE,
    DATA,
    Change,
    Changes,
    changes_between,
    model_change,
)
from fraud_provenance.investigate.effects import Effect, metric_effect, score_effect
from fraud_provenance.investigate.limits import OF_VALUES, bar_causes, limit_causes
from fraud_provenance.investigate.past import Past
from fraud_provenance.investigate.past_code import Codes
from fraud_provenance.investigate.past_libraries import Libraries
from fraud_provenance.investigate.quick import ranked
from fraud_provenance.investigate.recipes import (
    Recipe,
    measured_before,
    of_model,
    of_scores,
    with_training,
)
from fraud_provenance.investigate.refined import SECOND_DEFINITION, is_definition, refined
from fraud_provenance.investigate.remade import raw_changes
from fraud_provenance.investigate.subjects import verify_subject
from fraud_provenance.investigate.symptoms import (
    Symptom,
    denial_reasons,
    good_day,
    good_model,
    good_scores,
    symptom_of,
)
from fraud_provenance.investigate.why import RAW
from fraud_provenance.investigate.worlds import Worlds
from fraud_provenance.models.registry import Registry
from fraud_provenance.predictions.batch import FEATURES

_OF_DENIAL = "GATE_DENIED"
_NEWLY_MISSING = frozenset(("PARTITION_MISSING",))


@dataclass
class Question:
    """What is asked: a symptom, what is named as good, and how deep to look."""

    trust: Trust
    registry: Registry
    project: Path
    against: str = ""
    quick: bool = False


def blame(asked: Question, subject: str) -> Blame:
    """Find the causes of a symptom.

    Raises:
        ConfigError: USAGE, nothing is known under a name, or the two are of different kinds.
    """
    symptom = symptom_of(asked.trust, asked.registry, subject)
    found = Blame(symptom.subject, symptom.verdict, is_quick=asked.quick, alert=symptom.alert)
    if symptom.kind == "" and not symptom.verdict.reasons:
        return _of_news(asked, symptom, found)
    if _is_absent(symptom):
        found.effect = "it is not there"
        causes = absent_causes(asked.trust, asked.registry, symptom.asset, symptom.day)
        found.causes = refined(asked.trust, asked.registry, asked.project, causes)
        return found
    if symptom.verdict.reasons and not _is_refusal_alone(symptom):
        found.effect = "it does not hold"
        causes = _stopped_by_limits(asked, symptom) or [
            *causes_of_verdict(asked.trust, symptom.verdict),
            *_of_other_days(asked, symptom),
        ]
        unique = {cause.key: cause for cause in causes}
        found.causes = refined(asked.trust, asked.registry, asked.project, unique.values())
        return found
    try:
        _compared(asked, symptom, found)
    except ConfigError:
        raise
    except ProvenanceError as error:
        found.notes += [str(item) for item in error.reasons]
        found.chance = "it could not be compared"
        found.is_undecided = not found.causes
    except DataError as error:
        found.notes.append(f"it cannot be made again: {error}")
        found.chance = "it could not be compared"
        found.is_undecided = not found.causes
    return found


def _of_other_days(asked: Question, symptom: Symptom) -> list[Cause]:
    """The causes of the other days that an alert names."""
    if symptom.alert is None or not symptom.day:
        return []
    named = re.findall(rf"\b{symptom.asset}@([0-9-]{{10}})", symptom.alert.text)
    found = []
    for day in dict.fromkeys(name for name in named if name != symptom.day):
        verdict = verify_subject(asked.trust, asked.registry, f"{symptom.asset}/{day}")
        if verdict.reasons:
            found += causes_of_verdict(asked.trust, verdict)
    return found


def not_to_be_asked(subject: str, error: ProvenanceError) -> Blame:
    """Where nothing can be verified at all, such as under a policy whose release was edited."""
    verdict = Verdict.of(subject, "", "blame", [], list(error.reasons))
    found = Blame(subject, verdict, effect="nothing can be verified here")
    found.causes = broken_causes(None, verdict)
    return found


def _stopped_by_limits(asked: Question, symptom: Symptom) -> list[Cause]:
    """The limits that moved and that alone stop the day that is asked about."""
    codes = [str(item.code) for item in symptom.verdict.reasons]
    if symptom.kind != "day" or not all(is_of_data(code) for code in codes):
        return []
    past = Past(asked.trust, asked.project)
    try:
        return limit_causes(asked.trust, past, symptom.asset, symptom.day)
    except ProvenanceError:
        return []  # a policy of the past is gone: what was found in the rows is all that is known


def _is_absent(symptom: Symptom) -> bool:
    codes = {str(item.code) for item in symptom.verdict.reasons}
    return bool(symptom.day) and not symptom.verdict.links and bool(codes & _NEWLY_MISSING)


def _is_refusal_alone(symptom: Symptom) -> bool:
    """Whether all that speaks against a model is that a gate refused it."""
    codes = {str(item.code) for item in symptom.verdict.reasons}
    return symptom.refusal is not None and codes <= {_OF_DENIAL}


def _of_news(asked: Question, symptom: Symptom, found: Blame) -> Blame:
    """An alert that names nothing which evidence knows, or something that simply holds."""
    if symptom.alert is not None:
        found.causes = _told_by_alerts(asked)
        found.effect = symptom.alert.text.splitlines()[0][:200]
    else:
        found.chance = "every link of it holds, and it is compared with nothing"
    return found


def _told_by_alerts(asked: Question) -> list[Cause]:
    return refined(asked.trust, asked.registry, asked.project, alert_faults(asked.trust))


def _compared(asked: Question, symptom: Symptom, found: Blame) -> None:
    if symptom.kind == "model":
        _model(asked, symptom, found)
    elif symptom.kind == "scores":
        _scores(asked, symptom, found)
    else:
        _day(asked, symptom, found)


def _against(asked: Question, kind: str) -> Symptom | None:
    """What was named as good; it must be of the same kind, and hold."""
    if not asked.against:
        return None
    named = symptom_of(asked.trust, asked.registry, asked.against)
    if named.kind != kind:
        why = f"{asked.against} cannot be compared: name a {kind or 'thing'} like the subject"
        raise ConfigError(reason(RootCause.USAGE, why))
    if named.verdict.reasons:
        raise ConfigError(reason(RootCause.USAGE, f"{asked.against} does not hold itself: "
                                                  f"{named.verdict.reasons[0]}"))  # fmt: skip
    return named


# --- a model ---------------------------------------------------------------------------------


def _model(asked: Question, symptom: Symptom, found: Blame) -> None:
    named = _against(asked, "model")
    good = named.model if named else good_model(asked.trust, symptom.model)
    reasons = denial_reasons(symptom.refusal) if symptom.refusal else []
    bar = [item for item in reasons if str(item.get("code")) in OF_VALUES]
    rest = [item for item in reasons if item not in bar]
    if rest:
        found.effect = f"a gate refused it: {rest[0].get('code')}"
        found.causes = approval_causes(asked.trust, symptom, rest)
        if symptom.alert is not None and not bar:
            return  # it is the refusal that is asked about, and no number of the model
    again = None if good else measured_before(asked.trust, symptom.model)
    if not good and again is None:
        found.notes.append("there is no earlier model that was good: nothing to compare with")
        found.is_undecided = not found.causes
        return
    before, now = again or (
        of_model(asked.trust, good), of_model(asked.trust, symptom.model, symptom.subject),
    )  # fmt: skip
    found.good = named.subject if named else before.subject
    past = Past(asked.trust, asked.project)
    changes = changes_between(asked.trust, past, before, now)
    if bar and symptom.refusal is not None:
        policy = bar_causes(asked.trust, symptom.refusal, (before, now), past)
        if policy:
            found.effect = f"a gate refused it: {bar[0].get('code')}"
            found.causes += policy
            known = {item.key for item in policy}
            rest_of = [item for item in changes.all if item.key not in known]
            found.immaterial += [cause_of(item, now.roots, None) for item in rest_of]
            return
    _replayed(asked, found, (before, now), changes, past, fixed="", about=_about(bar))


def _about(bar: list[dict[str, str]]) -> str:
    """The number that a gate refused a model for; "" for none."""
    from fraud_provenance.fraud.replay import ALERT_RATE, METRICS

    for item in bar:
        if str(item.get("code")) == "THRESHOLD_OUT_OF_RANGE":
            return ALERT_RATE
        named = [name for name in METRICS if name in json.dumps(item)]
        if named:
            return named[0]
    return ""


# --- scores ----------------------------------------------------------------------------------


def _scores(asked: Question, symptom: Symptom, found: Blame) -> None:
    trust = asked.trust
    heads = [head for head in trust.store.heads(symptom.asset)[symptom.day]
             if head.path.endswith(".parquet")]  # fmt: skip
    node = trust.lineage().node(symptom.statement or heads[0].statement)
    named = _against(asked, "scores")
    if named:
        own = trust.store.heads(named.asset)[named.day][0].statement
        good = (trust.lineage().node(named.statement or own), named.day)
    else:
        earlier = good_scores(trust, symptom.day, node)
        if earlier is None:
            found.notes.append("no earlier scores were good: nothing to compare with")
            found.is_undecided = True
            return
        good = earlier
    now = of_scores(trust, node, symptom.day, symptom.subject)
    before = of_scores(trust, good[0], good[1])
    same_model = now.model == before.model
    trained = None if same_model else _trained(trust, now, before)
    if trained is not None:
        now, before = trained
    again = " (its version before)" if good[1] == symptom.day else ""
    found.good = f"{before.subject}{again}"
    past = Past(trust, asked.project)
    changes = changes_between(trust, past, before, now)
    if not same_model and trained is None:
        swapped = model_change(trust, before, now)
        changes = Changes((*changes.all, swapped), changes.notes)
    _replayed(asked, found, (before, now), changes, past, fixed="" if trained else now.model,
              transaction=symptom.transaction)  # fmt: skip


def _trained(trust: Trust, a: Recipe, b: Recipe) -> tuple[Recipe, Recipe] | None:
    """Both with how their models were trained; None where one of these cannot be made again."""
    try:
        first, second = (
            with_training(trust, replace(side, dirty=set(side.dirty))) for side in (a, b)
        )
    except ProvenanceError:
        return None
    can_be_made = all(
        side.days and side.parameters and all(side.lengths.values()) for side in (first, second)
    )
    return (first, second) if can_be_made else None


# --- a day -----------------------------------------------------------------------------------


def _day(asked: Question, symptom: Symptom, found: Blame) -> None:
    """A day that holds: it differs from the good one by its delivery alone."""
    trust, asset, day = asked.trust, symptom.asset, symptom.day
    heads = trust.store.heads(asset).get(day, [])
    good: tuple[Node, str, str] | None = good_day(trust, asset, day)
    named = _against(asked, "day")
    if named:
        own = trust.store.heads(named.asset)[named.day][0]
        good = (trust.lineage().node(named.statement or own.statement), named.day, own.sha256)
    if good is None or not heads:
        found.notes.append("no earlier day was good: nothing to compare with")
        found.is_undecided = not found.causes
        return
    judged = trust.store.contract_results(asset).get((day, heads[0].sha256), {})
    if missing := set(trust.policies.current().layout.suites(asset)) - judged.keys():
        found.effect = f"it was not judged by {min(missing)}"
        found.causes = _told_by_alerts(asked)
        return
    node = trust.lineage().node(symptom.statement or heads[0].statement)
    found.good = f"{asset}/{good[1]} {good[2][:12]}"
    frames = frames_of(trust, good, (node, day, ""))
    told = shifts_of(*frames) if frames else []
    if good[1] == day and asset == FEATURES:
        changes = raw_changes(trust, day, (good[0], good[2]), (node, heads[0].sha256))
        found.effect = "it was made again" + (" from other raw rows" if changes else "")
        found.causes = [cause_of(item, [node], None, told) for item in changes]
        found.chance = "no raw day that changed moves it"
        return
    if good[1] != day or asset != RAW:
        found.chance = "the day holds, and it came only once"
        found.notes += told
        return
    change = Change(DATA, f"{asset}/{day}", good[2], heads[0].sha256, node, said="delivered again")
    found.effect = "its rows are others"
    found.causes = [cause_of(change, [node], 1.0, told)]


# --- putting back ----------------------------------------------------------------------------


def _replayed(
    asked: Question,
    found: Blame,
    sides: tuple[Recipe, Recipe],
    changes: Changes,
    past: Past,
    *,
    fixed: str,
    transaction: int | None = None,
    about: str = "",
) -> None:
    """Put back what changed, or rank it; name what the effect goes with."""
    before, now = sides
    found.notes += changes.notes
    if asked.quick:
        ranked(asked.trust, found, sides, changes)
        return
    libraries = Libraries(past, asked.trust.home / "cache" / "libraries")
    changes, folders = libraries.between(before, now, changes)
    found.notes += libraries.notes
    with Codes(past) as codes:
        replayable = {item.key: item for item in changes.replayable}
        worlds = Worlds(asked.trust, codes, before, now, replayable, fixed, folders)
        effect = score_effect(worlds, transaction) if now.scored else metric_effect(worlds, about)
        found.notes += dict.fromkeys(worlds.notes)
        _told(asked.trust, found, sides, changes, effect)


def _told(
    trust: Trust, found: Blame, sides: tuple[Recipe, Recipe], changes: Changes, effect: Effect
) -> None:
    before, now = sides
    found.effect, found.chance, found.runs = effect.said, effect.chance, effect.runs
    found.notes += dict.fromkeys(effect.notes)
    known = {item.key: item for item in (*changes.all, *effect.more)}
    for key, share in effect.shares.items():
        change = known[key]
        found.causes.append(
            cause_of(change, now.roots, share, _details(trust, change, before, now))
        )
    named = set(effect.shares)
    twin = effect.shares.get(f"{CODE} {SECOND_DEFINITION}")
    for change in changes.fixed if twin is not None else ():
        if change.kind == CODE and is_definition(change.name):
            found.causes.append(cause_of(change, now.roots, twin))
            named.add(change.key)
    left = effect.unexplained
    if left is not None and left > effect.tolerance and not effect.chance:
        for change in (item for item in changes.fixed if item.key not in named):
            said = cause_of(change, now.roots, left / len(changes.fixed))
            found.causes.append(said)
            named.add(change.key)
    found.unexplained = left
    found.immaterial = [
        cause_of(change, now.roots, effect.alone.get(key))
        for key, change in known.items()
        if key not in named
    ]


def _details(trust: Trust, change: Change, before: Recipe, now: Recipe) -> list[str]:
    """What is different in a day that was delivered again, or came unusual."""
    if change.kind != DATA:
        return []
    day = change.name.partition("/")[2]
    new = now.raw.get(day)
    old = before.raw.get(day)
    if new is None:
        return []
    if old is None:
        earlier = [other for other in now.raw if other < day]
        old = now.raw[max(earlier)] if earlier else None
    if old is None:
        return []
    told = [
        f"accepted by {signer_of(node)[0]}: {node.said.reason[:200]}"
        for node in trust.lineage().acceptances(RAW, day, new.sha256)
    ]
    frames = frames_of(trust, *((x.node, x.entry.partition, x.sha256) for x in (old, new)))
    if frames is None:
        return [*told, "the bytes of one side are gone: its columns are not compared"]
    return [*shifts_of(*frames), *told]
