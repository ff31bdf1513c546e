"""The lines of a contest, for people and for programs."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .contest import Line, Value

__all__ = ["HEAD", "as_json", "row", "surroundings"]

_COLUMNS = {
    "published": "0.3.5", "apify": "apify", "httpx2": "httpx2", "httpx": "httpx", "dcipher": "dcipher"
}  # fmt: skip
_ROW = "{:33}" + " {:>10}" * len(_COLUMNS) + " {:>14} {:>8} {:>6}"
HEAD = _ROW.format("", *_COLUMNS.values(), "ratio (best)", "goal", "")


def row(line: Line) -> str:
    """One line of the table."""
    figure, ratio, reached = line.figure, line.ratio, line.reached
    return _ROW.format(
        figure.name,
        *(_shown(line.values.get(name), figure.unit) for name in _COLUMNS),
        f"{ratio.median:.2f} ({ratio.best:.2f})" if ratio else "",
        "" if figure.at_most is None else f"≤ {figure.at_most:.3g}",
        {None: "", True: "pass", False: "FAIL"}[reached],
    ).rstrip()


def _shown(value: Value | None, unit: str) -> str:
    return "" if value is None else f"{value.median:,.3g} {unit}"


def as_json(lines: Iterable[Line]) -> str:
    """Everything that was measured."""
    measured = [
        {
            "name": line.figure.name.strip(),
            "unit": line.figure.unit,
            "values": {name: value._asdict() for name, value in line.values.items()},
            "ratio": line.ratio and line.ratio._asdict(),
            "goal": line.figure.at_most,
            "reached": line.reached,
        }
        for line in lines
    ]
    return json.dumps({"surroundings": surroundings(), "measured": measured}, indent=2)


def surroundings() -> dict[str, str]:
    """What the figures depend on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: _version(name) for name in ("httpx", "httpcore", "h11", "anyio", "pydantic")},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
