"""Tables that are generated into a page, between two marks; the rest of the page is written by hand.

<!-- generated: NAME, by scripts/…: edit that, not this -->
…
<!-- end -->
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import generated_files
from generated_files import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["ROOT", "filled", "run", "table"]


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a table, with bars in cells escaped."""
    for cells in (titles, ["---"] * len(titles), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def filled(page: str, tables: Mapping[str, Iterable[str]]) -> str:
    """Returns the page with the tables. Raises `ValueError` unless each has its marks exactly once."""
    for name, lines in tables.items():
        mark = re.compile(
            rf"(<!-- generated: {re.escape(name)}, .*?-->\n).*?(<!-- end -->)", re.DOTALL
        )
        places = list(mark.finditer(page))
        if len(places) != 1:
            raise ValueError(f"there are {len(places)} places for the table {name!r}, not one")
        text = "\n" + "".join(f"{line}\n" for line in lines) + "\n"
        page = page[: places[0].end(1)] + text + page[places[0].start(2) :]
    return page


def run(doc: str | None, target: Path, tables: Mapping[str, Iterable[str]]) -> int:
    """Writes or checks the tables. Returns the exit code."""
    return generated_files.run(doc, {target: filled(target.read_text("utf-8"), tables)})
