"""`make demo`: runs `examples/tour.py` cell by cell, and shows each cell before what it prints."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
TOUR = HERE / "tour.py"
BAR = "-" * 80


def cells(source: str) -> list[tuple[int, str]]:
    """Return each cell with the number of the line that it begins at."""
    starts = [match.start() for match in re.finditer(r"(?m)^# %% ", source)]
    return [
        (source.count("\n", 0, start), source[start:end].strip())
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    ]


def main() -> int:
    """Run the tour; 1 if it found no topics. An exception in it ends the demo with 1, too."""
    # What a cell defines is defined in a module, where Pydantic looks names up.
    module = sys.modules["tour"] = ModuleType("tour")
    started = time.monotonic()
    for line, cell in cells(TOUR.read_text(encoding="utf-8")):
        print(f"{BAR}\n{cell.replace('# %% ', '# ', 1)}\n{BAR}", flush=True)
        # The blank lines give a traceback the numbers of the file.
        exec(compile("\n" * line + cell, str(TOUR), "exec"), vars(module))  # noqa: S102 - our own file
        print(flush=True)
    print(f"Done in {time.monotonic() - started:.1f} s. The code above is examples/{TOUR.name}.")
    return 0 if vars(module).get("topics") else 1


if __name__ == "__main__":
    # The folder with README.md and docs/; output.json is written there.
    os.chdir(sys.argv[1] if len(sys.argv) > 1 else HERE.parent)
    sys.exit(main())
