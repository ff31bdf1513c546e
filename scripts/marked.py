"""Tables that are printed into a page, between two marks; the rest of the page is written by hand.

<!-- printed: NAME, by scripts/…: edit that, not this -->
…
<!-- end -->
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["ROOT", "filled", "run", "table"]

ROOT = Path(__file__).resolve().parent.parent


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table; a bar within a cell does not end it."""
    for cells in (titles, ["---"] * len(titles), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def filled(page: str, tables: Mapping[str, Iterable[str]]) -> str:
    """The page with each table in its place; `ValueError` where there is not exactly one for it."""
    for name, lines in tables.items():
        mark = re.compile(
            rf"(<!-- printed: {re.escape(name)}, .*?-->\n).*?(<!-- end -->)", re.DOTALL
        )
        places = list(mark.finditer(page))
        if len(places) != 1:
            raise ValueError(f"there are {len(places)} places for the table {name!r}, not one")
        text = "\n" + "".join(f"{line}\n" for line in lines) + "\n"
        page = page[: places[0].end(1)] + text + page[places[0].start(2) :]
    return page


def run(doc: str | None, target: Path, tables: Mapping[str, Iterable[str]]) -> int:
    """Write or check; the exit code."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check: bool = parser.parse_args().check
    before = target.read_text("utf-8")
    after = filled(before, tables)
    if before == after:
        return 0
    name = target.relative_to(ROOT)
    if check:
        print(f"{name} is not up to date: run python {sys.argv[0]}", file=sys.stderr)
        return 1
    target.write_text(after, "utf-8", newline="\n")
    print(f"wrote {name}")
    return 0
