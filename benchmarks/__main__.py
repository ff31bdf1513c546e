"""`python -m benchmarks`: measure, print a table, and say by the exit status whether all goals are reached."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .contest import Contest, write_certificates
from .measures import QUICK, Size, measures
from .report import HEAD, as_json, row, surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contest import Line


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 1 where a goal is missed."""
    options = _parser().parse_args(arguments)
    size = QUICK if options.quick else Size()
    if options.mib is not None:
        size = size._replace(download=options.mib, limited=options.mib)
    if options.runs is not None:
        size = size._replace(many_runs=tuple(options.runs))
    if options.rounds is not None:
        size = size._replace(rounds=options.rounds, programs=max(options.rounds, size.programs))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        lines = _measure(size, Path(folder), options)
    if options.json:
        print(as_json(lines))
    return 1 if any(line.reached is False for line in lines) else 0


def _measure(size: Size, folder: Path, options: argparse.Namespace) -> list[Line]:
    # The table goes to the error stream where the output is for a program.
    out = sys.stderr if options.json else sys.stdout
    tls = write_certificates(folder)
    contest = Contest(folder, options.published)
    print(", ".join(f"{name} {value}" for name, value in surroundings().items()), file=out)
    if not tls:
        print("without TLS: trustme is not installed", file=out)
    print(f"\n{HEAD}", file=out)
    lines = []
    for measure in measures(size, str(folder)):
        if (tls or not measure.tls) and options.only in measure.figures[0].name:
            for line in contest.run(measure):
                print(row(line), file=out, flush=True)
                lines.append(line)
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute; no many runs")
    parser.add_argument("--json", action="store_true", help="print JSON; the table goes to stderr")
    parser.add_argument("--only", default="", metavar="TEXT", help="what has TEXT in its name")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each measure")
    parser.add_argument("--mib", type=int, metavar="N", help="size of the download")
    parser.add_argument(
        "--runs", type=int, action="append", metavar="N", help="wait for N runs (again for more)"
    )
    parser.add_argument(
        "--published", metavar="PYTHON", help="a Python that has the published dcipher 0.3.5"
    )
    parser.add_argument("--folder", help="where the result files go (the temporary folder)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
