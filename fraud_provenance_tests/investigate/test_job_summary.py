"""Whatever stands in evidence is text in a job's summary, never Markdown or HTML."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fraud_provenance.attested.core.errors import Reason
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.investigate.deployable import Answer, Check, Deployment
from fraud_provenance.investigate.job_summary import code_span, summary_of, summary_of_refusal

LIES = (
    "# allowed", "x\n\n## Deployment allowed\n", "`", "```", "a``b`", "` `", "<b>yes</b>", "  ",
    "[click](http://example.com)", "![x](y)", "http://example.com", "|a|b|", "@team", "&lt;b&gt;",
    "\u202eyes", "\x00", "\\", "\\`", "- yes", "</code>", "$$x$$", "\u2028# yes", "",
)  # fmt: skip
_MEANS_SOMETHING = {"html_block", "html_inline", "link_open", "image", "fence", "code_block"}


def tokens(text: str) -> list[tuple[str, str]]:
    """(type, content) of everything that a reader of Markdown sees, HTML and links included."""
    found = MarkdownIt("commonmark").enable("table").parse(text)
    flat = [item for token in found for item in (token, *(token.children or ()))]
    return [(item.type, item.content) for item in flat]


@given(st.text(max_size=60))
@example("`a")
@example("a`")
@example(" ` ")
def test_any_text_is_one_code_span(text: str) -> None:
    found = tokens(f"- before {code_span(text)} after")
    spans = [content for kind, content in found if kind == "code_inline"]
    assert len(spans) == 1
    assert not {kind for kind, _ in found} & _MEANS_SOMETHING
    assert [content for kind, content in found if kind == "text"] == ["before ", " after"]
    seen = "".join(char for char in spans[0] if not char.isspace() and char != "\ufffd")
    meant = "".join(char for char in text if not char.isspace() and char in spans[0])
    assert seen in (meant, "(empty)")


def lying(lie: str) -> Answer:
    """An answer in which every word that evidence may choose is a lie."""
    why = Reason(code="GATE_DENIED", message=lie, artifact=lie, partition=lie, remedy=lie)
    checks = (Check(name="model", asked="the model verifies", reasons=(why,)),)
    found = Deployment(
        release=3, policy="0" * 64, model=lie, version=lie, decision=lie, approvers=(lie,)
    )
    return Answer(
        commit="1" * 40,
        environment=lie,
        deployment=found,
        checks=checks,
        verdict=Verdict.of(
            "commit", "local", "deployment", [], [why, Reason(code=lie, message="")]
        ),
    )


@pytest.mark.parametrize("lie", LIES)
def test_nothing_breaks_out_of_the_summary(lie: str) -> None:
    plain, told = tokens(summary_of(lying("plain"))), tokens(summary_of(lying(lie)))
    bare = tokens(summary_of(lying("")))
    shape = [kind for kind, _ in told]
    assert shape in ([kind for kind, _ in plain], [kind for kind, _ in bare])
    assert next(content for kind, content in told if kind == "text") == "Deployment refused"
    assert not set(shape) & _MEANS_SOMETHING


def test_refusal_says_code_place_and_remedy() -> None:
    why = Reason(code="HOME_MISSING", message="no home", remedy="`fraud-provenance up`")
    text = summary_of_refusal([why] * 25, 2)
    assert text.startswith("## Deployment could not decide\n")
    assert text.count("`HOME_MISSING: no home`") == 20
    assert "- remedy: `` `fraud-provenance up` ``" in text
    assert text.endswith("- and 5 more\n")


def test_what_the_walk_found_beside_the_questions_is_told_once() -> None:
    text = summary_of(lying("plain"))
    assert text.count("GATE_DENIED(plain@plain): plain") == 1
    assert "all of it together" in text
