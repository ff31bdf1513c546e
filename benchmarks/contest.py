"""Runs measures: every program in a fresh process, the contestants taking turns."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from .measures import MIB, RESULT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .measures import Figure, Measure

__all__ = ["Contest", "Line", "Value", "write_certificates"]

ROOT = Path(__file__).resolve().parent.parent
BARE = "bare Python of "
LIBRARIES = {"httpx2": "httpx2", "apify": "apify_client"}
"""Contestants that take part where their library is installed."""


class Value(NamedTuple):
    """What one contestant needed over all rounds."""

    median: float
    best: float


@dataclass(frozen=True)
class Line:
    """A figure, measured."""

    figure: Figure
    values: Mapping[str, Value]
    """Contestant → what it needed, in the figure's unit."""

    @property
    def ratio(self) -> Value | None:
        """Ours to httpx's: median to median, best to best."""
        ours, theirs = self.values["dcipher"], self.values.get("httpx")
        if theirs is None or not self.figure.relative:
            return None
        return Value(ours.median / theirs.median, ours.best / theirs.best)

    @property
    def reached(self) -> bool | None:
        """Whether the goal is; `None`: there is none.

        A ratio is judged by the best rounds: whatever else the machine does only ever adds.
        """
        if self.figure.at_most is None:
            return None
        value = self.values["dcipher"].median if self.ratio is None else self.ratio.best
        return value <= self.figure.at_most


class Contest:
    """Where the programs run: a folder for their files, and the Python of the published package."""

    def __init__(self, folder: Path, published: str | None) -> None:
        self._folder = folder
        self._published = published

    def run(self, measure: Measure) -> list[Line]:
        """All rounds of one measure."""
        programs = {
            name: program
            for name, program in measure.programs.items()
            if (self._published is not None if name == "published" else _is_there(name))
        }
        if measure.less is not None:
            programs |= {BARE + name: measure.less for name in programs}
        samples: dict[str, list[dict[str, float]]] = defaultdict(list)
        with self._server(measure) as environment:
            for number in range(measure.rounds + measure.warm_up):
                for name, program in programs.items():
                    if measure.result:
                        self._make_room(measure.result)
                    sample = self._sample(name, program, environment)
                    if number >= measure.warm_up:
                        samples[name].append(sample)
        return [_line(figure, samples, measure.programs) for figure in measure.figures]

    def _sample(
        self, name: str, program: Sequence[str], environment: Mapping[str, str]
    ) -> dict[str, float]:
        """What the system says of one process, and what the process itself reports."""
        python, path = sys.executable, {"PYTHONPATH": str(ROOT)}
        if self._published is not None and name.endswith("published"):
            # It has the same name as ours: only one of the two may be found.
            python, path = self._published, {}
        before = _cpu_of_children()
        # In its folder there is neither this package nor a .env file.
        done = subprocess.run(
            [python, *program],
            env={**environment, **path},
            cwd=self._folder,
            stdout=subprocess.PIPE,
            check=False,
        )
        cpu = _cpu_of_children() - before
        if done.returncode != 0:
            if name in LIBRARIES:
                return {}  # it cannot do this, such as trust our certificate: its column stays empty
            raise SystemExit(f"{name} failed, as it says above: {' '.join(program)}")
        return {"cpu": cpu, **(json.loads(done.stdout) if done.stdout else {})}

    def _make_room(self, size: int) -> None:
        """Let each who saves a file find the same: none in its way, and memory in use until now.

        The first use of a page of memory is dear in a virtual machine, up to several times what
        the whole download costs.
        """
        result = self._folder / RESULT
        with result.open("wb") as file:
            for _ in range(size // MIB):
                file.write(bytes(MIB))
        result.unlink()

    @contextmanager
    def _server(self, measure: Measure) -> Iterator[dict[str, str]]:
        """A server in a process of its own; the environment of those who call it."""
        arguments = ["--blob", str(measure.result)]
        certificates = self._folder / "ca.pem" if measure.tls else None
        if measure.tls:
            arguments += ["--certificate", str(self._folder / "server.pem")]
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as server:
            assert server.stdout is not None
            yield _environment(server.stdout.readline().strip(), certificates)
            # Its standard input is closed on the way out: that ends it.


def _is_there(name: str) -> bool:
    """Whether the library of a contestant is installed."""
    library = LIBRARIES.get(name)
    return library is None or find_spec(library) is not None


def _environment(url: str, certificates: Path | None) -> dict[str, str]:
    """The same for all, without proxies, other settings of Python, or the user's own DCIPHER_*."""
    ours = ("python", "dcipher_", "ssl_cert_", "requests_ca_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().startswith(ours) and not name.lower().endswith("_proxy")
    }
    trusted = {
        name: str(certificates)
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
        if certificates is not None
    }
    return {
        **kept,
        **trusted,
        "BENCHMARK_URL": url,
        "DCIPHER_BASE_URL": url,
        "DCIPHER_API_KEY": "benchmark-key",
    }


def _cpu_of_children() -> float:
    """User and system time of all processes that were started here and have ended, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _line(
    figure: Figure,
    samples: Mapping[str, Sequence[Mapping[str, float]]],
    names: Mapping[str, object],
) -> Line:
    values = {}
    for name in names:
        if name in samples and all(figure.key in sample for sample in samples[name]):
            value, bare = _value(samples[name], figure), _value(samples.get(BARE + name), figure)
            values[name] = Value(value.median - bare.median, value.best - bare.best)
    return Line(figure, values)


def _value(samples: Sequence[Mapping[str, float]] | None, figure: Figure) -> Value:
    if samples is None:
        return Value(0.0, 0.0)
    figures = [sample[figure.key] * figure.scale for sample in samples]
    return Value(median(figures), min(figures))


def write_certificates(folder: Path) -> bool:
    """What TLS needs; whether it can be had (trustme is installed)."""
    try:
        import certifi
        import trustme
    except ImportError:
        return False
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(folder / "server.pem")
    )
    # As many authorities as usual: loading them is a good part of a cold start.
    trusted = Path(certifi.where()).read_bytes() + authority.cert_pem.bytes()
    (folder / "ca.pem").write_bytes(trusted)
    return True
