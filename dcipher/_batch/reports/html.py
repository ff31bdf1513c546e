"""Reports and progress as HTML: self-contained, without scripts, for light and dark, printable; pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from dcipher._html.cards import STYLE

if TYPE_CHECKING:
    from .report import BatchReport

__all__ = ["page", "report_card"]

_PAGE_STYLE: Final = """
:root { color-scheme: light dark; }
body { background: Canvas; margin: 2em; }
@media print { :root { color-scheme: light; } body { margin: 0; } tr { break-inside: avoid; } }
"""


def report_card(report: BatchReport) -> str:
    """Returns the report as tables, for a notebook."""
    seconds = report.seconds
    facts = [(status, f"{count:,}") for status, count in report.counts.items()]
    facts += [
        ("from the journal", f"{report.reused:,}"),
        ("runs that continue", f"{report.left_running:,}"),
        ("retried starts", f"{report.resent_count:,}"),
        ("of which after 24 hours", f"{report.resent_late:,}"),
        ("requests: starts, polls", f"{report.starts:,}, {report.polls:,}"),
        ("time per run: median, 90 %, longest", _times(seconds.p50, seconds.p90, seconds.max)),
        ("time of the batch", f"{seconds.total:,.1f} s"),
        ("of which throttled", f"{seconds.throttled:,.1f} s"),
    ]
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="n">{escape(value)}</td></tr>'
        for name, value in facts
    )
    table = f"<table><caption>{escape(str(report))}</caption><tbody>{rows}</tbody></table>"
    again = ""
    if report.resent:
        keys = escape(", ".join(report.resent))
        again = f"<p>Retried starts, which may have run twice: {keys}</p>"
    return f'<style>{STYLE}</style><div class="dcipher">{table}{_failures(report)}{again}</div>'


def _failures(report: BatchReport) -> str:
    if not report.failures:
        return ""
    rows = "".join(
        f'<tr><td>{escape(group.status)}</td><td>{escape(group.type)}</td><td class="n">{group.count:,}'
        f"</td><td>{escape(', '.join(group.keys))}</td><td>{escape(group.message)}</td></tr>"
        for group in report.failures
    )
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("status", "error", "rows", "the first of them", "the first one's reason")
    )
    return (
        f"<table><caption>Rows that are not done</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _times(*seconds: float | None) -> str:
    return ", ".join("-" if value is None else f"{value:,.1f} s" for value in seconds)


def page(report: BatchReport) -> str:
    """Returns the report as a complete page."""
    title = "Dcipher: report of a batch"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_PAGE_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        f"{report_card(report)}\n</main>\n</body>\n</html>\n"
    )
