"""What an answer of `blame` consists of: causes, each with its verified path and its share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fraud_provenance.alerts import Alert
from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.verdict import Link, Verdict
from fraud_provenance.attested.lineage.nodes import Node, Verified
from fraud_provenance.investigate.chain import place_of, role_of
from fraud_provenance.investigate.changes import CODE, DATA, Change
from fraud_provenance.investigate.recipes import path_to

TAMPERING, MISSING, REVOCATION, INFRASTRUCTURE, APPROVAL, WAIVER = (
    "tampering", "missing", "revocation", "infrastructure", "approval", "waiver",
)  # fmt: skip


@dataclass(frozen=True)
class Cause:
    """One cause.

    Attributes:
        kind: `data`, `parameter`, `code`, `library`, `policy`, `approval`, `revocation`,
            `waiver`, `tampering`, `missing` or `infrastructure`.
        name: What it is: `raw_transactions/2018-05-01`, `fraud_model.max_depth`, a file, …
        said: One sentence.
        before: Digest or value when things were good.
        after: The same now.
        share: Its part of the effect, 1 for all of it; None where nothing was made again.
        path: The links from the symptom down to it, each verified; of a broken one the last is
            what does not hold.
        who: Who signed it.
        at: When.
        commit: Of code.
        details: What is different in it: columns, segments, findings.
        is_broken: It is a link that does not hold, and so cannot be followed any further.
    """

    kind: str
    name: str
    said: str
    before: str = ""
    after: str = ""
    share: float | None = None
    path: tuple[Link, ...] = ()
    who: str = ""
    at: str = ""
    commit: str = ""
    details: tuple[str, ...] = ()
    is_broken: bool = False

    @property
    def key(self) -> str:
        """Kind and name."""
        return f"{self.kind} {self.name}"

    @property
    def is_grounded(self) -> bool:
        """Whether a verified path leads to it, or the broken link that it is was found by it."""
        return bool(self.path) and all(link.is_good for link in self.path[:-1])


@dataclass
class Blame:
    """The answer.

    Attributes:
        subject: What was asked about.
        good: What it was compared with; "" where there was nothing to compare.
        effect: What moved, in words.
        causes: The set of causes, the largest share first.
        immaterial: What changed as well and explains nothing.
        verdict: Of the subject.
        chance: What is said where chance explains the effect.
        unexplained: The share that no change explains; None where nothing was made again.
        notes: What could not be looked at.
        is_quick: Ranked without making anything again.
        runs: How many worlds were made.
        alert: The alert that asked.
        is_undecided: There was nothing to compare with, or it could not be made again.
    """

    subject: str
    verdict: Verdict
    good: str = ""
    effect: str = ""
    causes: list[Cause] = field(default_factory=list)
    immaterial: list[Cause] = field(default_factory=list)
    chance: str = ""
    unexplained: float | None = None
    notes: list[str] = field(default_factory=list)
    is_quick: bool = False
    runs: int = 0
    alert: Alert | None = None
    is_undecided: bool = False

    @property
    def exit_code(self) -> int:
        """0 answered, on links that hold; 1 a link is broken; 2 could not decide."""
        if any(item.kind == INFRASTRUCTURE for item in self.causes) and not self.verdict.trusted:
            return 2
        if self.is_undecided or (not self.verdict.links and not self.causes):
            return 2
        return self.verdict.exit_code if self.verdict.reasons else 0

    @property
    def headline(self) -> str:
        """One sentence: the causes, or that there are none."""
        said = f"{self.subject}: " + (f"{self.effect}. " if self.effect else "")
        if self.is_undecided:
            return f"{said}could not decide ({self.chance or self.notes[-1]})"
        if not self.causes:
            why = f" ({self.chance})" if self.chance else ""
            return f"{said}Nothing changed that explains it{why}"
        named = "; ".join(
            item.key + (f" ({item.share:.0%})" if item.share is not None else "")
            for item in self.causes[:4]
        )
        more = f" and {len(self.causes) - 4} more" if len(self.causes) > 4 else ""
        word = "Most likely, by the shift of inputs alone" if self.is_quick else "Caused by"
        if any(item.is_broken for item in self.causes):
            word = "A link does not hold"
        return f"{said}{word}: {named}{more}"


def cause_of(
    change: Change, roots: Sequence[Node], share: float | None, details: Iterable[str] = ()
) -> Cause:
    """A change as a cause (or as what explains nothing), with the path to it."""
    path = path_to(roots, change.at.statement) if change.at is not None else ()
    who, at = signer_of(change.at)
    said = change.said or f"{change.before or 'nothing'} → {change.after or 'nothing'}"
    if change.kind == DATA:
        said, who, at = _by_people(change, f"the day {change.said}", (who, at))
    if change.kind == CODE and change.commit:
        said = f"{change.said} in commit {change.commit[:12]}"
    return Cause(change.kind, change.name, said, change.before, change.after, share,
                 links_of(path), who, at, change.commit, tuple(details))  # fmt: skip


def limit_cause(change: Change, said: str, judged: Sequence[Node]) -> Cause:
    """A value of the policy as the cause of what was refused, with who released it.

    `judged`: the statements that refused, the decision with its policy last.
    """
    released = [node for node in judged[-1].children if node.kind == "policy"]
    who = ", ".join(dict.fromkeys(signer_of(node)[0] for node in released))
    path, at = links_of([*judged, *released[:1]]), signer_of(judged[0])[1]
    return Cause(
        change.kind, change.name, f"{said} moved from {change.before} to {change.after}",
        change.before, change.after, 1.0, path, who or signer_of(judged[-1])[0], at,
    )  # fmt: skip


def _by_people(change: Change, said: str, by: tuple[str, str]) -> tuple[str, str, str]:
    """How a day came: a version that a person brought back was that person's decision."""
    decided = [node for node in (change.at.children if change.at else ())
               if node.kind == "supersede" and isinstance(node, Verified) and node.is_sound
               ]  # fmt: skip
    if not decided:
        return said, *by
    why = str(decided[0].bundle.statement.predicate.get("reason", ""))[:200]
    return f"an earlier version of the day came back: {why}", *signer_of(decided[0])


def signer_of(node: Node | None) -> tuple[str, str]:
    """(who signed a statement, when); empty for none."""
    bundle = node.claims.bundle if node is not None else None
    return (str(bundle.identity), encoding.utc_text(bundle.signed_at)) if bundle else ("", "")


def links_of(path: Iterable[Node]) -> tuple[Link, ...]:
    """Nodes as links, under their roles."""
    return tuple(node.link().model_copy(update={"kind": role_of(node)}) for node in path)


def path_text(path: Sequence[Link]) -> str:
    """A path on one line."""
    kept = [link for link in path if link.kind != "access decision"] or list(path)
    return " → ".join(f"{place_of(link)} {link.statement[:12]}".strip() for link in kept)


def as_json(cause: Cause) -> dict[str, Any]:
    """A cause for machines."""
    return {
        "cause": cause.key, "kind": cause.kind, "name": cause.name, "said": cause.said,
        "before": cause.before, "after": cause.after, "share": cause.share,
        "who": cause.who, "at": cause.at, "commit": cause.commit,
        "details": list(cause.details), "broken": cause.is_broken,
        "grounded": cause.is_grounded,
        "path": [{"role": link.kind, "name": link.name, "partitions": list(link.partitions),
                  "statement": link.statement, "digest": link.digest, "verified": link.is_good}
                 for link in cause.path],
    }  # fmt: skip
