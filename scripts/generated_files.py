"""Files that a script generates, and `--check`, which compares them with what it would write."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ROOT", "run"]

ROOT = Path(__file__).resolve().parent.parent


def run(doc: str | None, texts: Mapping[Path, str]) -> int:
    """Writes each text to its file, or compares it with `--check`. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check: bool = parser.parse_args().check
    script = Path("scripts") / Path(sys.argv[0]).name
    stale = [path for path, text in texts.items() if not _holds(path, text)]
    for path in stale:
        name = path.relative_to(ROOT)
        if check:
            print(f"{name} is not up to date: run python {script}", file=sys.stderr)
        else:
            path.write_text(texts[path], "utf-8", newline="\n")
            print(f"wrote {name}")
    return int(check and bool(stale))


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text("utf-8") == text
