"""Cards for notebooks: self-contained HTML, without scripts, for light and dark; pure.

All text is escaped. No card has a key, a signed URL, or a value of a row.
"""

from __future__ import annotations

from datetime import datetime, timezone
from html import escape
from typing import TYPE_CHECKING, Final

from dcipher._masking.text import clean
from dcipher._masking.urls import redact_urls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import dcipher

__all__ = ["STYLE", "flow_card", "progress_card", "rejects_card", "run_card", "table_card"]

# The colours are those of Jupyter where it has them, else those of the system.
STYLE: Final = """
.dcipher { font: 14px/1.5 var(--jp-ui-font-family, system-ui), sans-serif; max-width: 60em;
  color: var(--jp-content-font-color1, CanvasText); }
.dcipher table { border-collapse: collapse; margin: .8em 0; }
.dcipher caption { text-align: left; font-weight: 600; padding: .3em 0; color: inherit; }
.dcipher th, .dcipher td { text-align: left !important; vertical-align: top; padding: .25em .8em .25em 0;
  border-bottom: 1px solid var(--jp-border-color2, color-mix(in srgb, CanvasText 25%, transparent));
  overflow-wrap: anywhere; }
.dcipher td.n { text-align: right !important; font-variant-numeric: tabular-nums; }
.dcipher progress { width: 20em; max-width: 100%; vertical-align: middle; }
.dcipher b.status { padding: .1em .5em; border: 1px solid; border-radius: .4em; }
.dcipher b.good { color: var(--jp-success-color1, light-dark(#1b6e2e, #6fcf85)); }
.dcipher b.bad { color: var(--jp-error-color1, light-dark(#b3261e, #ff8a80)); }
.dcipher pre { font-family: var(--jp-code-font-family, monospace); padding: .5em .8em; overflow-x: auto; color: inherit;
  background: var(--jp-layout-color2, color-mix(in srgb, CanvasText 8%, transparent)); }
"""


def progress_card(text: str, done: int, total: int | None) -> str:
    """Returns progress as a bar with a line of text."""
    of = "" if total is None else f' max="{max(total, 1)}" value="{done}"'
    return _card(f"<progress{of}></progress> {_text(text, 400)}")


def flow_card(flow: dcipher.Flow) -> str:
    """Returns a flow: its name, its id, its params, and the call that runs it."""
    title = f"<caption>{_text(flow.name or 'Flow')} <code>{_text(flow.id)}</code></caption>"
    rows = [
        [
            f"<code>{_text(param.name)}</code>",
            _text(param.type or ""),
            "required" if param.required and param.default is None else "",
            "" if param.default is None else f"<code>{_text(repr(param.default), 120)}</code>",
            _text(param.description or "", 400),
        ]
        for param in flow.params
    ]
    about = f"<p>{_text(flow.description, 1000)}</p>" if flow.description else ""
    head = ("param", "type", "", "default", "")
    given = [param.name for param in flow.params if param.required and param.default is None]
    params = f", {{{', '.join(f'{name!r}: …' for name in given)}}}" if given else ""
    call = f"run = client.flows.run({flow.id!r}{params})"
    return _card(_table(title, head, rows) + about + _code(call))


def run_card(run: dcipher.Run, now: datetime | None = None) -> str:
    """Returns a run: its status, its ids, its age, its results, and the next call."""
    good = "good" if run.succeeded else "bad" if run.is_terminal else ""
    facts = {
        "status": f'<b class="status {good}">{_text(str(run.status))}</b>',
        "message": _text(redact_urls(run.message or ""), 400),
        "flow": f"<code>{_text(run.flow_id)}</code>",
        "run": f"<code>{_text(run.task_id)}</code>",
        "started": _ago(run.created_at, now),
        "ended": _ago(run.finished_at, now),
        "results": _results(run, now),
        "files": "<br>".join(_text(str(file), 400) for file in run.files),
    }
    rows = [[name, value] for name, value in facts.items() if value]
    return _card(_table("", (), rows) + _code(_next_line(run)))


def _results(run: dcipher.Run, now: datetime | None) -> str:
    known = [output for output in run.outputs if output.url is not None]
    if not known:
        return "their URLs are not known here" if run.outputs else ""
    ends = [output.expires_at for output in known if output.expires_at is not None]
    until = f", available until {min(ends):%Y-%m-%d %H:%M} UTC" if ends else ""
    gone = ends and min(ends) <= (now or datetime.now(timezone.utc))
    return f"{len(known)}, but the URL has expired" if gone else f"{len(known)}{until}"


def _next_line(run: dcipher.Run) -> str:
    if not run.is_terminal:
        return "run = client.runs.wait(run)"
    if not run.succeeded:
        return "client.flows.start(…)  # a new run"
    if run.files:
        return "client.runs.read(run)  # from the file"
    return "client.runs.read(run)" if run.outputs else ""


def table_card(name: str, columns: Sequence[tuple[str, str]] | None) -> str:
    """Returns the columns of a table and their types; `None`: they depend on its rows."""
    rows = [[f"<code>{_text(column)}</code>", _text(kind)] for column, kind in columns or ()]
    title = f"<caption>Table of {_text(name)}</caption>"
    if columns is None:
        return _card(_table(title, (), [["columns", "those of the rows: see table.schema"]]))
    return _card(_table(title, ("column", "type"), rows) + _code("table.to_pandas()"))


def rejects_card(rejects: dcipher.Rejects) -> str:
    """Returns how many rows are invalid, and the first reasons, without values."""
    rows = [
        [str(reject.row), _text("; ".join(map(_reason, reject.errors)), 400)]
        for reject in list(rejects)[:10]
    ]
    counts = [[_text(kind), f"{number:,}"] for kind, number in rejects.counts().items()]
    title = f"<caption>{rejects.total:,} of {rejects.read:,} rows are invalid</caption>"
    first = _table("<caption>The first of them</caption>", ("row", "reasons"), rows) if rows else ""
    return _card(_table(title, ("reason", "rows"), counts) + first)


def _reason(reason: tuple[str, str, str]) -> str:
    location, _, message = reason
    return f"{location}: {message}" if location else message


def _text(value: str, longest: int = 200) -> str:
    return escape(clean(value, longest))


def _ago(moment: datetime | None, now: datetime | None) -> str:
    if moment is None:
        return ""
    seconds = ((now or datetime.now(timezone.utc)) - moment).total_seconds()
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now" if seconds >= 0 else f"{moment:%Y-%m-%d %H:%M} UTC"


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    names = "".join(f'<th scope="col">{name}</th>' for name in head)
    top = f"<thead><tr>{names}</tr></thead>" if head else ""
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return f"<table>{title}{top}<tbody>{body}</tbody></table>"


def _code(line: str) -> str:
    return f"<pre>{escape(line)}</pre>" if line else ""


def _card(content: str) -> str:
    return f'<style>{STYLE}</style><div class="dcipher">{content}</div>'
