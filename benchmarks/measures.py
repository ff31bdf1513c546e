"""What is measured, and what must come out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MIB", "QUICK", "RESULT", "Figure", "Measure", "Size", "measures"]

MIB = 1024 * 1024
CONTESTANTS = Path(__file__).resolve().parent / "contestants"
HTTPX, DCIPHER, PUBLISHED = "httpx", "dcipher", "published"
HTTPX2, APIFY = "httpx2", "apify"
EVERYONE = (HTTPX, DCIPHER, PUBLISHED, HTTPX2)
BARE = ("-c", "pass")
RESULT = "result.bin"


class Figure(NamedTuple):
    """One line of the table: a figure of a process, and its goal."""

    name: str
    key: str
    """`cpu`, `lag`, `seconds` (of the clock), `looks`, `memory` (bytes), `unfinished`."""
    at_most: float | None
    """The goal: of the ratio to httpx where httpx takes part and `relative`, else of the figure."""
    unit: str
    scale: float = 1.0
    """From the figure to `unit`."""
    relative: bool = False


@dataclass(frozen=True)
class Measure:
    """Fresh processes that do the same work, one after the other, in rounds."""

    figures: tuple[Figure, ...]
    programs: Mapping[str, Sequence[str]]
    """Contestant → what its Python is called with."""
    rounds: int
    tls: bool = False
    less: Sequence[str] | None = None
    """A program whose cost is taken off, measured in the same rounds."""
    warm_up: bool = False
    """One more round, which does not count: the first one compiles modules."""
    result: int = 0
    """The size of the result that is downloaded, in bytes."""


class Size(NamedTuple):
    """How much of everything."""

    rounds: int = 5
    calls: int = 2000
    in_flight: int = 1500
    programs: int = 11
    download: int = 256
    """MiB."""
    limited: int = 1024
    """MiB of a store that limits each connection: the time that finds this out counts once."""
    many_runs: tuple[int, ...] = (1000, 10_000)


QUICK = Size(
    rounds=3, calls=600, in_flight=500, programs=5, download=128, limited=128, many_runs=()
)


def measures(size: Size, folder: str) -> list[Measure]:
    """All measures, in the order of the table. Results are saved in `folder`."""
    return [
        *(_calls(size, tls=tls) for tls in (False, True)),
        *(_calls_in_flight(size, tls=tls) for tls in (False, True)),
        *_cold_starts(size, tls=False),
        *_cold_starts(size, tls=True),
        *_imports(size),
        _short_runs(),
        *(_many_runs(number) for number in size.many_runs),
        *_downloads(size, folder),
        *_by_several(size, folder),
    ]


def _named(name: str, tls: bool) -> str:
    return f"{name}, TLS" if tls else name


def _job(name: str, contestants: Sequence[str], **arguments: object) -> dict[str, list[str]]:
    """The programs in which each contestant does a job of that name."""
    return {
        contestant: [str(CONTESTANTS / f"with_{contestant}.py"), name, json.dumps(arguments)]
        for contestant in contestants
    }


def _calls(size: Size, *, tls: bool) -> Measure:
    figure = Figure(
        _named("typed call", tls), "cpu", 0.65 if tls else 0.50, "ms", 1000, relative=True
    )
    programs = _job("calls", (*EVERYONE, APIFY), number=size.calls)
    return Measure((figure,), programs, size.rounds, tls)


def _calls_in_flight(size: Size, *, tls: bool) -> Measure:
    name = _named("typed call, 100 in flight", tls)
    programs = _job("calls_in_flight", (*EVERYONE, APIFY), number=size.in_flight, in_flight=100)
    figure = Figure(name, "cpu", 0.20 if tls else 0.15, "ms", 1000, relative=True)
    return Measure((figure,), programs, size.rounds, tls)


def _cold_starts(size: Size, *, tls: bool) -> list[Measure]:
    # The parts that dcipher is built on need 0.9 of httpx, 1.0 with TLS: the rest is our modules.
    goal = 1.25 if tls else 1.15
    clients = {contestant: contestant for contestant in (HTTPX, DCIPHER, PUBLISHED)}
    return [
        Measure(
            (Figure(_named(name, tls), "cpu", at_most, "ms", 1000, relative=True),),
            {name: [str(CONTESTANTS / f"cold_{file}.py")] for name, file in files.items()},
            size.programs,
            tls,
            warm_up=True,
        )
        for name, at_most, files in (
            ("cold start", goal, clients),
            ("cold start of the parts", None, {HTTPX: HTTPX, DCIPHER: "parts"}),
        )
    ]


def _imports(size: Size) -> list[Measure]:
    package = Figure("import dcipher", "cpu", 5.0, "ms", 1000)
    client = Figure("from dcipher import Dcipher", "cpu", 1.15, "ms", 1000, relative=True)
    one, other = ("-c", "import dcipher"), ("-c", "from dcipher import Dcipher")
    return [
        Measure((package,), {DCIPHER: one, PUBLISHED: one}, size.programs, less=BARE, warm_up=True),
        Measure(
            (client,),
            {HTTPX: ("-c", "import httpx, pydantic"), DCIPHER: other, PUBLISHED: other},
            size.programs,
            less=BARE,
            warm_up=True,
        ),
    ]


def _short_runs() -> Measure:
    figures = (
        Figure("runs of 2 to 3 s: lag", "lag", 0.10, "s"),
        Figure("runs of 2 to 3 s: polls", "looks", 10, ""),
    )
    programs = _job("waits", (DCIPHER, PUBLISHED), number=20, shortest=2.0, longest=3.0)
    return Measure(figures, programs, rounds=5)


def _many_runs(number: int) -> Measure:
    what = f"{number:,} runs of 20 s"
    goal = {1000: 2, 10_000: 15}.get(number)
    memory = 120 if number == 10_000 else None
    figures = (
        Figure(f"{what}: not done", "unfinished", 0, ""),
        Figure(f"{what}: CPU", "cpu", goal, "s"),
        Figure(f"{what}: lag", "lag", goal and 1, "s"),
        Figure(f"{what}: memory", "memory", memory, "MB", 1e-6),
    )
    programs = _job("waits", (DCIPHER,), number=number, shortest=20.0, longest=20.0)
    return Measure(figures, programs, rounds=1)


def _downloads(size: Size, folder: str) -> list[Measure]:
    work = {"size": size.download * MIB, "path": str(Path(folder) / RESULT)}
    a_gib = 1024 / size.download
    sync = _job("download", EVERYONE, **work)
    in_async = _job("download_async", EVERYONE, **work)
    blocking = {
        HTTPX: _job("download_async_blocking", (HTTPX,), **work)[HTTPX],
        DCIPHER: in_async[DCIPHER],
    }
    return [
        Measure(
            (
                Figure(f"1 GiB to disk, {kind}", "cpu", goal, "s", a_gib, relative=True),
                Figure("    memory added", "memory", 8, "MB", 1e-6),
            ),
            programs,
            size.rounds,
            result=size.download * MIB,
        )
        for kind, goal, programs in (
            ("sync", 0.40, sync),
            ("async", 0.25, in_async),
            ("async, against a blocked loop", None, blocking),
        )
    ]


def _by_several(size: Size, folder: str) -> list[Measure]:
    """Four connections against one: of a store that limits each to 60 MiB/s, and of one that does not."""
    measures = []
    for mib, large, quickest in ((60, size.limited, 1 / 3.5), (0, size.download, 1.0)):
        what = f"1 GiB, {mib} MiB/s each" if mib else "1 GiB, as fast as can be"
        a_gib = 1024 / large
        work = {"size": large * MIB, "mib": mib, "path": str(Path(folder) / RESULT)}
        figures = (
            Figure(f"{what}, time", "seconds", quickest, "s", a_gib, relative=True),
            Figure("    CPU", "cpu", 1.0, "s", a_gib, relative=True),
            Figure("    memory added", "memory", 8, "MB", 1e-6),
        )
        programs = _job("download_limited", (HTTPX, DCIPHER), connections=4, **work)
        measures.append(Measure(figures, programs, size.rounds, result=large * MIB))
    return measures
