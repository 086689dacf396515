"""Data Docs of a contract: Great Expectations' own site, and a summary that needs no network.

The site's style sheets come from a content delivery network, so that it is unstyled offline;
`index.html` in the same folder is self-contained.
"""

import math
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraud_provenance.fraud.contract import ContractReport

if TYPE_CHECKING:
    import pandas as pd

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0
1rem;color:#1a1a1a} table{border-collapse:collapse;width:100%;margin:1rem 0}
th,td{border-bottom:1px solid #ddd;padding:.3rem .6rem;text-align:left;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}
.good{color:#0a6b2d}.bad{color:#a30d0d;font-weight:600}
"""


def write_data_docs(
    context: Any,  # noqa: ANN401  # Great Expectations ships no usable type for it
    report: ContractReport,
    table: "pd.DataFrame",
    docs_dir: Path,
) -> Path:
    """Write the site and the summary.

    Args:
        context: The Great Expectations context that holds the validation.
        report: The same validation's report.
        table: Days x the statistics that were judged, and `day`.
        docs_dir: The folder to write to; made if need be.

    Returns:
        The summary, `docs_dir/index.html`. The site is `docs_dir/data_docs/index.html`.
    """
    docs_dir.mkdir(parents=True, exist_ok=True)
    context.add_data_docs_site(
        site_name="docs",
        site_config={
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str((docs_dir / "data_docs").absolute()),
            },
        },
    )
    context.build_data_docs(site_names=["docs"])
    summary = docs_dir / "index.html"
    summary.write_text(_summary(report, table), encoding="utf-8")
    return summary


def _summary(report: ContractReport, table: "pd.DataFrame") -> str:
    span = f"{report.days[0]} to {report.days[-1]}, {len(report.days)} day(s)"
    verdict = (
        '<p class="good">Every expectation holds for every day.</p>'
        if report.passed
        else f'<p class="bad">{len(report.failures)} expectation(s) do not hold.</p>'
    )
    failures = _table(
        ["day", "grade", "code", "check", "found", "remedy"],
        [[f.day, f.weight, f.code, f.check, f.example, f.remedy] for f in report.findings],
    )
    keys = ("check", "code", "statistic", "minimum", "maximum")
    bounds = _table(
        ["check", "code", "statistic", "at least", "at most"],
        [[item.get(key, "") for key in keys] for item in report.suite_config["expectations"]],
    )
    days = _table(list(table.columns), [list(row) for row in table.itertuples(index=False)])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(report.suite)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(report.suite)}</h1><p>{span}</p>{verdict}"
        f"{failures if report.findings else ''}<h2>Expectations</h2>{bounds}<h2>Days</h2>{days}"
        '<p><a href="data_docs/index.html">Great Expectations Data Docs</a> '
        "(styled only with network access)</p></body></html>\n"
    )


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
