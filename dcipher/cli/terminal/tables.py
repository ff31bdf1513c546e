"""Tables on a terminal, printed by rich. Their cells are not markup."""

from __future__ import annotations

import re
import sys
from io import StringIO
from typing import TYPE_CHECKING, NamedTuple

from dcipher.cli.terminal.text import colours, width

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["Layout", "table_lines"]

_GAP = 2
_FOLDED = 10
"""The minimum width of a folded cell: a date, a status."""
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?")


class Layout(NamedTuple):
    """How a table is fitted to a narrow terminal."""

    whole: Collection[str] = ()
    """Columns whose cells are never folded, such as ids, which are copied."""
    spare: Sequence[str] = ()
    """Columns that are omitted if folding is not enough, in this order."""


class _Column(NamedTuple):
    name: str
    cells: tuple[str, ...]
    whole: bool

    @property
    def title(self) -> str:
        return self.name.replace("_", " ").upper()

    @property
    def natural(self) -> int:
        return max(map(len, (self.title, *self.cells)))

    @property
    def least(self) -> int:
        longest = max(map(len, (*self.title.split(), *self.cells)))
        return longest if self.whole else min(longest, _FOLDED)


def table_lines(
    names: Sequence[str], rows: Sequence[Sequence[str]], layout: Layout | None = None
) -> list[str]:
    """Returns the lines of a table as wide as the terminal. Long cells are folded.

    If an unfolded cell does not fit, each row is one line, which the terminal itself wraps.
    """
    columns = [
        _Column(
            name, tuple(_in_seconds(row[i]) for row in rows), name in (layout or Layout()).whole
        )
        for i, name in enumerate(names)
    ]
    if layout is None or _fits([column.natural for column in columns]):
        return _printed(columns)
    filled = [column for column in columns if any(column.cells)]
    for left_out in range(len(layout.spare) + 1):
        gone = layout.spare[:left_out]
        kept = [column for column in filled if column.name not in gone]
        if _fits([column.least for column in kept]):
            return _printed(kept)
    cells = [column.cells for column in filled]
    return ["  ".join(filter(None, row)) for row in zip(*cells, strict=True)]


def _fits(widths: Sequence[int]) -> bool:
    return sum(widths) + _GAP * (len(widths) - 1) <= width()


def _in_seconds(cell: str) -> str:
    """Returns a timestamp without fraction, and with a blank where it can be folded."""
    found = _MOMENT.fullmatch(cell)
    return cell if found is None else f"{found[1]} {found[2]}{found[3] or ''}"


def _printed(columns: Sequence[_Column]) -> list[str]:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(
            Text(column.title),
            overflow="fold",
            no_wrap=column.whole,  # rich shrinks the other columns
            min_width=column.least if column.whole else None,
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, row))
    text = StringIO()
    console = Console(
        file=text,
        force_terminal=True,
        no_color=not colours(sys.stdout),
        width=width(),
        highlight=False,
    )
    console.print(table)
    return text.getvalue().splitlines()
