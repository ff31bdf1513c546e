"""Rows of a JSON array: ours, ijson's and Pydantic's reader of the whole, each in a process of its own.

`python -m benchmarks.rows [megabytes]` prints the medians of three interleaved rounds.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

WAYS = ("records", "ijson", "whole")
ROUNDS = 3


class Span(BaseModel):
    start: int
    end: int


class Mention(BaseModel):
    id: int
    label: str
    score: float
    share: float
    active: bool
    tags: list[str]
    note: str | None
    position: Span


def write(path: Path, size: int) -> None:
    written, number = 0, 0
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            row = {
                "id": number,
                "label": f"river lake water {number % 977}",
                "score": number / 7,
                "share": 1 / (number + 1),
                "active": number % 3 == 0,
                "tags": ["stone", "light", f"topic-{number % 50}"],
                "note": None if number % 5 else 'é"q',
                "position": {"start": number * 3, "end": number * 3 + 40},
            }
            written += file.write(("[" if number == 0 else ", ") + json.dumps(row))
            number += 1
        file.write("]")


def read(way: str, path: Path) -> int:
    if way == "whole":
        return len(TypeAdapter(list[Mention]).validate_json(path.read_bytes()))
    with path.open("rb") as file:
        if way == "ijson":
            from ijson.backends import yajl2_c

            validate = TypeAdapter(Mention).validator.validate_python
            rows = yajl2_c.items(file, "item", use_float=True)
            return sum(1 for row in rows if validate(row))
        from dcipher._results.rows.reading import Format, iter_rows

        return sum(1 for _ in iter_rows(file, Mention, Format.JSON))


def measure(way: str, path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    rows = read(way, path)
    seconds = time.process_time() - begun
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps([rows, seconds, memory]))


def main(megabytes: int, ways: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        write(path, megabytes * 1000 * 1000)
        found: dict[str, list[tuple[int, float, float]]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way in ways:
                words = [sys.executable, "-m", "benchmarks.rows", way, str(path)]
                done = subprocess.run(words, capture_output=True, check=True)
                found[way].append(json.loads(done.stdout))
    for way, rounds in found.items():
        seconds = statistics.median(one[1] for one in rounds)
        memory = statistics.median(one[2] for one in rounds)
        print(f"{way:8} {rounds[0][0]} rows  {seconds:6.2f} s CPU  {memory:7.1f} MiB added")


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in WAYS:
        measure(sys.argv[1], Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 64, WAYS)
