"""Tables on a terminal, printed by rich. Their cells are not markup."""

from __future__ import annotations

import re
import sys
from io import StringIO
from typing import TYPE_CHECKING, NamedTuple

from dcipher.cli.terminal.text import colours, width

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["Layout", "table_lines"]

_GAP = 2
_FOLDED = 10
"""The minimum width of a folded cell: a date, a status."""
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?")


class Layout(NamedTuple):
    """How a table is fitted to a narrow terminal."""

    unfolded: Collection[str] = ()
    """Columns whose cells are never folded, such as ids, which are copied."""
    optional: Sequence[str] = ()
    """Columns that are omitted if folding is not enough, in this order."""


def table_lines(
    names: Sequence[str], rows: Sequence[Sequence[str]], layout: Layout | None = None
) -> list[str]:
    """Returns the lines of a table as wide as the terminal. Long cells are folded.

    If an unfolded cell does not fit, each row is one line, which the terminal itself wraps.
    """
    columns = {name: [_in_seconds(row[i]) for row in rows] for i, name in enumerate(names)}
    if layout is None or _least_width(columns, columns) <= width():
        return _printed(columns, () if layout is None else layout.unfolded)
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    for left_out in range(len(layout.optional) + 1):
        gone = layout.optional[:left_out]
        kept = {name: cells for name, cells in filled.items() if name not in gone}
        if _least_width(kept, layout.unfolded) <= width():
            return _printed(kept, layout.unfolded)
    return ["  ".join(filter(None, row)) for row in zip(*filled.values(), strict=True)]


def _least_width(columns: Mapping[str, Sequence[str]], unfolded: Collection[str]) -> int:
    """Returns the width of a table in which only the cells of `unfolded` are not folded."""
    widths = [
        longest if name in unfolded else min(longest, _FOLDED)
        for name, cells in columns.items()
        for longest in [max(map(len, (name, *cells)))]
    ]
    return sum(widths) + _GAP * (len(widths) - 1)


def _in_seconds(cell: str) -> str:
    """Returns a timestamp without fraction, and with a blank where it can be folded."""
    found = _MOMENT.fullmatch(cell)
    return cell if found is None else f"{found[1]} {found[2]}{found[3] or ''}"


def _printed(columns: Mapping[str, Sequence[str]], unfolded: Collection[str]) -> list[str]:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for name, cells in columns.items():
        title, is_unfolded = name.replace("_", " ").upper(), name in unfolded
        # rich shrinks the other columns.
        least = max(map(len, (title, *cells))) if is_unfolded else None
        table.add_column(Text(title), overflow="fold", no_wrap=is_unfolded, min_width=least)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, row))
    console = Console(
        file=StringIO(),
        force_terminal=True,
        no_color=not colours(sys.stdout),
        width=width(),
        highlight=False,
    )
    with console.capture() as captured:
        console.print(table)
    return captured.get().splitlines()
