"""Data Docs of a contract: a summary of each validation, and Great Expectations' own site.

Nothing here needs a network: what the site would fetch from elsewhere is taken out, and a style of
ours is put in. A suite keeps its newest `KEPT` validations; the signed results stay for good.
"""

import math
import re
import shutil
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fraud_provenance.fraud.contract import ContractReport

if TYPE_CHECKING:
    import pandas as pd

KEPT: Final = 400
"""Validations of a suite whose pages are kept: a year of days, and some of them twice."""
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0
1rem;color:#1a1a1a} table{border-collapse:collapse;width:100%;margin:1rem 0}
th,td{border-bottom:1px solid #ddd;padding:.3rem .6rem;text-align:left;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}
.good{color:#0a6b2d}.bad{color:#a30d0d;font-weight:600}
"""
_SITE_STYLE: Final = (
    _STYLE
    + """
body{margin:0;max-width:none;padding:0}
.container-fluid,.container{padding:0 1.5rem}
.row{display:flex;flex-wrap:wrap;gap:0 1.5rem}.row>*{min-width:0}
.col-12,.col-md-12,.col-lg-12,.col-sm-12{flex:0 0 100%}
[class*="col-lg-2"],[class*="col-md-2"]{flex:0 0 14rem}
[class*="col-lg-10"],[class*="col-md-10"]{flex:1 1 40rem}
[class*="col-lg-8"],[class*="col-md-8"]{flex:1 1 30rem}
nav,.navbar,.breadcrumb{background:#f4f5f7}.navbar{padding:.5rem 1.5rem}
.breadcrumb{display:flex;list-style:none;gap:.5rem;margin:0 0 1rem;padding:.5rem 1.5rem}
.nav{list-style:none;padding:0}.nav a,.breadcrumb a{text-decoration:none}
.badge{border:1px solid #999;border-radius:.3rem;padding:0 .35rem}
.alert,.card,.jumbotron{border:1px solid #ddd;border-radius:.4rem;padding:.6rem 1rem;margin:.6rem 0}
.text-success{color:#0a6b2d}.text-danger{color:#a30d0d}.text-warning{color:#8a5a00}
.fa-check-circle::before{content:"\\2713"}.fa-times::before{content:"\\2717"}
.fa-exclamation-triangle::before{content:"!"}
.btn,.modal,.popover,.fade.modal,#ge-cta-footer,.cooltip .top{display:none}
img,footer{display:none}
"""
)
_ELSEWHERE: Final = re.compile(
    r"<script\b.*?</script\s*>|<link\b[^>]*\bhref=[\"']?(?:https?:)?//[^>]*>"
    r"|@import[^;]*;",
    re.DOTALL | re.IGNORECASE,
)
_ADDRESS: Final = re.compile(r"(\b(?:src|href)=[\"'])(?:https?:)?//[^\"']*", re.IGNORECASE)


def write_data_docs(
    context: Any,  # noqa: ANN401  # Great Expectations ships no usable type for it
    report: ContractReport,
    table: "pd.DataFrame",
    docs_dir: Path,
) -> str:
    """Write the site and the summary.

    Args:
        context: The Great Expectations context that holds the validation.
        report: The same validation's report.
        table: Days x the statistics that were judged, and `day`.
        docs_dir: The folder to write to; made if need be.

    Returns:
        The name of this validation's own summary in `docs_dir`. `index.html` is the newest one's.
    """
    docs_dir.mkdir(parents=True, exist_ok=True)
    site = docs_dir / "data_docs"
    known = set(site.rglob("validations/**/*.html"))
    context.add_data_docs_site(
        site_name="docs",
        site_config={
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(site.absolute()),
            },
        },
    )
    context.build_data_docs(site_names=["docs"])
    fresh = sorted(set(site.rglob("validations/**/*.html")) - known)
    for page in (*fresh, *site.glob("*.html"), *site.glob("expectations/**/*.html")):
        page.write_text(offline(page.read_text("utf-8")), encoding="utf-8")
    detail = fresh[-1] if fresh else site / "index.html"
    summary = _summary(report, table, detail.relative_to(docs_dir).as_posix())
    name = f"{fresh[-1].parent.name}.html" if fresh else "index.html"
    for target in dict.fromkeys((name, "index.html")):
        (docs_dir / target).write_text(summary, encoding="utf-8")
    _forget_old(docs_dir)
    return name


def write_page(report: ContractReport, docs_dir: Path, name: str) -> None:
    """Write the summary of a contract that has no statistics by day, under `name`."""
    docs_dir.mkdir(parents=True, exist_ok=True)
    (docs_dir / name).write_text(_page(report, _checks(report)), encoding="utf-8")
    _forget_old(docs_dir)


def _forget_old(docs_dir: Path) -> None:
    """Take the oldest pages away, and what the site holds of the same validation."""
    pages = [path for path in docs_dir.glob("*.html") if path.name != "index.html"]
    if len(pages) <= KEPT:
        return
    oldest = sorted(pages, key=lambda path: path.stat().st_mtime_ns)[:-KEPT]
    for page in oldest:
        for detail in (docs_dir / "data_docs").glob(f"validations/**/{page.stem}"):
            shutil.rmtree(detail, ignore_errors=True)
        page.unlink(missing_ok=True)


def offline(page: str) -> str:
    """A page of Great Expectations that asks nobody: no script, no address elsewhere, our style."""
    alone = _ADDRESS.sub(r"\1#", _ELSEWHERE.sub("", page))
    return alone.replace("</head>", f"<style>{_SITE_STYLE}</style></head>", 1)


def _summary(report: ContractReport, table: "pd.DataFrame", detail: str) -> str:
    keys = ("check", "code", "statistic", "minimum", "maximum")
    bounds = _table(
        ["check", "code", "statistic", "at least", "at most"],
        [[item.get(key, "") for key in keys] for item in report.suite_config["expectations"]],
    )
    days = _table(list(table.columns), [list(row) for row in table.itertuples(index=False)])
    return _page(
        report,
        f"<h2>Expectations</h2>{bounds}<h2>Days</h2>{days}"
        f'<p><a href="{escape(detail)}">This validation in Great Expectations\' Data Docs</a></p>',
    )


def _checks(report: ContractReport) -> str:
    rows = [[name, count] for name, count in report.rows.items()]
    return (
        f"<h2>Checks</h2>{_table(['check'], [[check] for check in report.checks])}"
        f"<h2>Rows</h2>{_table(['part', 'rows'], rows)}"
    )


def _page(report: ContractReport, body: str) -> str:
    span = f"{report.days[0]} to {report.days[-1]}, {len(report.days)} day(s)"
    verdict = _verdict(report)
    failures = _table(
        ["day", "grade", "code", "check", "found", "remedy"],
        [[f.day, f.weight, f.code, f.check, f.example, f.remedy] for f in report.findings],
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(report.suite)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(report.suite)}</h1><p>{span}</p>{verdict}"
        f"{failures if report.findings else ''}{body}</body></html>\n"
    )


def _verdict(report: ContractReport) -> str:
    """What becomes of the days, in words."""
    broken = {finding.day for finding in report.broken}
    held = [day for day in report.stopped if day not in broken]
    told = [
        (sorted(broken), "broken", "The source sends what is right, or it stays out."),
        (held, "held", "A data owner looks and accepts it (<code>fraud-provenance accept</code>; "
                       "<code>fraud-provenance run</code> prints the whole command), "
                       "or the source sends what is right."),
    ]  # fmt: skip
    words = [
        f'<p class="bad">{escape(", ".join(days))}: {verdict}. {what_next}</p>'
        for days, verdict, what_next in told
        if days
    ]
    if not words:
        words = ['<p class="good">Every day may be used.</p>']
    return "".join(words)


def _table(header: list[str], rows: list[list[Any]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    return (
        '<div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "<td></td>" if math.isnan(value) else f'<td class="n">{value:.4g}</td>'
    css = ' class="n"' if isinstance(value, int) else ""
    return f"<td{css}>{escape(str(value))}</td>"
