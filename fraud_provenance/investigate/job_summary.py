"""An answer to a pipeline as Markdown, for the page that a job leaves behind.

Whatever comes from evidence stands in code spans, each on one line and fenced by more backticks
than it holds: to a reader of Markdown it is text, never a heading, a link or HTML.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from fraud_provenance.attested.core.errors import Reason
from fraud_provenance.investigate.deployable import Answer, Check

_MAX_REASONS, _MAX_TEXT = 20, 2_000
_BACKTICKS = re.compile("`+")
_WORDS = {0: "allowed", 1: "refused", 2: "could not decide"}


def summary_of(answer: Answer) -> str:
    """What was asked, what the answer is, and why."""
    found = answer.deployment
    told = [
        ("commit", answer.commit),
        ("environment", answer.environment),
        ("release in force", f"{found.release}, policy {found.policy}" if found.policy else ""),
        ("model", found.model),
        ("version in the registry", found.version),
        ("decision", f"{found.decision}, signed at {found.decided_at}" if found.decision else ""),
        *(("approved by", name) for name in found.approvers),
    ]
    lines = [
        *_heading(answer.verdict.exit_code),
        *(f"- {name}: {code_span(text)}" for name, text in told if text),
        "",
        *(line for check in answer.checks for line in _check(check)),
        *_rest(answer),
    ]
    return "\n".join([*lines, ""])


def summary_of_refusal(reasons: Sequence[Reason], code: int) -> str:
    """Why nothing could be asked."""
    return "\n".join([*_heading(code), *_reasons(reasons), ""])


def code_span(text: str) -> str:
    """Text as a code span of Markdown: one line, with nothing in it that has a meaning."""
    plain = "".join(" " if char.isspace() else char for char in text[:_MAX_TEXT])
    plain = "".join("\ufffd" if _is_hidden(char) else char for char in plain).strip() or "(empty)"
    fence = "`" * (max((len(run) for run in _BACKTICKS.findall(plain)), default=0) + 1)
    pad = " " if plain[0] == "`" or plain[-1] == "`" else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def _is_hidden(char: str) -> bool:
    """Controls, marks of writing direction and the like: nobody sees what they do."""
    return unicodedata.category(char)[0] == "C"


def _heading(code: int) -> list[str]:
    return [f"## Deployment {_WORDS[code]}", ""]


def _check(check: Check) -> list[str]:
    mark = "no" if check.reasons else "yes"
    return [f"- **{mark}**: {check.asked}", *(f"  {line}" for line in _reasons(check.reasons))]


def _rest(answer: Answer) -> list[str]:
    """What the walk over all of it found beside the answers to single questions."""
    told = {str(item) for check in answer.checks for item in check.reasons}
    more = [item for item in answer.verdict.reasons if str(item) not in told]
    return ["- **no**: all of it together", *(f"  {line}" for line in _reasons(more))] * bool(more)


def _reasons(reasons: Iterable[Reason]) -> list[str]:
    known = list(reasons)
    lines = []
    for item in known[:_MAX_REASONS]:
        lines.append(f"- {code_span(str(item))}")
        lines += [f"  - remedy: {code_span(item.remedy)}"] * bool(item.remedy)
    if len(known) > _MAX_REASONS:
        lines.append(f"- and {len(known) - _MAX_REASONS} more")
    return lines
