"""Results as tables: ours beside pyarrow's own readers, and a model's columns beside its rows.

`python -m benchmarks.tables [rows]` prints CPU seconds, the best of three interleaved rounds, each in
a process of its own, and the memory that it added.
"""

from __future__ import annotations

import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

ROUNDS = 3
FORMATS = ("ndjson", "json", "csv", "parquet")
WORDS = ["river", "lake", "water", "stone", "light", "topic", "review", "ünder", '"so"', "a\\b"]


class Span(BaseModel):
    start: int
    end: int
    label: str


class Author(BaseModel):
    name: str
    age: int | None
    since: str


class Review(BaseModel):
    id: int
    score: float
    stars: int
    text: str
    language: str | None
    verified: bool
    tags: list[str] = []
    vector: list[float] = []
    author: Author | None = None
    spans: list[Span] = []


FLAT = ("id", "score", "stars", "text", "language", "verified")


def write(folder: Path, rows: int) -> None:
    chance = random.Random(1)
    reviews = [review(number, chance) for number in range(rows)]
    lines = [json.dumps(row, ensure_ascii=n % 2 == 0) for n, row in enumerate(reviews)]
    (folder / "rows.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "rows.json").write_text("[" + ", ".join(lines) + "]", encoding="utf-8")
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FLAT)
        writer.writerows([row[name] for name in FLAT] for row in reviews)
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(reviews), folder / "rows.parquet")


def review(number: int, chance: random.Random) -> dict[str, Any]:
    return {
        "id": number,
        "score": chance.random(),
        "stars": number % 5 + 1,
        "text": ", ".join(chance.choices(WORDS, k=40)),
        "language": chance.choice(["en", "de", None]),
        "verified": number % 3 == 0,
        "tags": chance.sample(WORDS, 3),
        "vector": [chance.random() for _ in range(4)],
        "author": {"name": f"n{number % 977}", "age": number % 90, "since": "2020-01-01"},
        "spans": [{"start": n, "end": n + 4, "label": "x"} for n in range(number % 4)],
    }


def read(way: str, path: Path) -> int:
    """The rows that a way finds in a file."""
    if way == "pyarrow":
        return theirs(path)
    from dcipher._results.local_files import LocalResult
    from dcipher._results.tables.reading import reading_of

    type_: Any = Review if way.endswith("Review") else None
    with path.open("rb") as file:
        result = LocalResult(file, path.name)
        if way.startswith("records"):
            return sum(1 for _ in result.rows(type_ or Any))
        reading = reading_of((result,), type_)
        if way.startswith("batches"):
            return sum(batch.num_rows for batch in reading.batches(65536))
        return int(reading.table().num_rows)


def theirs(path: Path) -> int:
    if path.suffix == ".ndjson":
        from pyarrow import json as pa_json

        options = pa_json.ReadOptions(use_threads=False)
        return int(pa_json.read_json(path, read_options=options).num_rows)
    if path.suffix == ".csv":
        from pyarrow import csv as pa_csv

        return int(pa_csv.read_csv(path, pa_csv.ReadOptions(use_threads=False)).num_rows)
    import pyarrow.parquet as pq

    return int(pq.read_table(path, use_threads=False).num_rows)


WAYS = (
    "pyarrow",
    "to_arrow",
    "batches",
    "records",
    "records Review",
    "to_arrow Review",
    "batches Review",
)


def measure(way: str, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet

    import dcipher._results.local_files
    import dcipher._results.tables.reading  # noqa: F401

    pa.array([1])  # imports pandas, where that is installed
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    rows = read(way, path)
    seconds = time.process_time() - begun
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps([rows, seconds, memory]))


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: what this one has needed, its children seem to have needed.
        words = [sys.executable, "-m", "benchmarks.tables", "write", name, str(rows)]
        subprocess.run(words, check=True)
        for format_ in FORMATS:
            path = folder / f"rows.{format_}"
            ways = [way for way in WAYS if (way, format_) != ("pyarrow", "json")]
            found: dict[str, list[tuple[int, float, float]]] = {way: [] for way in ways}
            for _ in range(ROUNDS):
                for way in ways:
                    words = [sys.executable, "-m", "benchmarks.tables", way, str(path)]
                    done = subprocess.run(words, capture_output=True, check=True)
                    found[way].append(json.loads(done.stdout))
            print(f"{format_}: {path.stat().st_size / 1e6:.0f} MB")
            for way, rounds in found.items():
                seconds = min(one[1] for one in rounds)
                memory = min(one[2] for one in rounds)
                print(
                    f"  {way:16} {rounds[0][0]} rows {seconds:6.2f} s CPU {memory:7.1f} MiB added"
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] and sys.argv[1] in WAYS:
        measure(sys.argv[1], Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 100_000)
