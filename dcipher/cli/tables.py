"""Tables on a terminal, by rich; what stands in them is not markup."""

from __future__ import annotations

import sys
from io import StringIO
from typing import TYPE_CHECKING

from dcipher.cli.terminal import colours, width

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["table_lines"]


def table_lines(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as wide as the terminal; long cells are folded."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(Text(name.replace("_", " ").upper()), overflow="fold")
    for row in rows:
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
