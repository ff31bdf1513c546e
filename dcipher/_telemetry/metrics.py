"""The metrics, by the meter of the program."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dcipher._version import __version__

from .library import api, is_loaded, quietly

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["measure"]

_SECONDS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)
_BYTES = tuple(10.0**n for n in range(3, 12))


def measure(name: str, amount: float, flow_id: str, **attributes: str) -> None:
    """Records a measurement of the instrument `dcipher.<name>`."""
    metrics = api("metrics") if is_loaded() else None
    if metrics is not None:
        found = {"dcipher.flow.id": flow_id}
        found.update(
            {f"dcipher.{key.replace('_', '.')}": value for key, value in attributes.items()}
        )
        quietly(lambda: _instruments(metrics.get_meter_provider())[name](amount, found))


@lru_cache(maxsize=2)
def _instruments(provider: Any) -> dict[str, Callable[[float, dict[str, str]], None]]:
    meter = provider.get_meter("dcipher", __version__)
    duration = _histogram(
        meter,
        "dcipher.run.duration",
        "s",
        "Time from the start of a run to the poll that reported its end",
        _SECONDS,
    )
    size = _histogram(
        meter, "dcipher.result.size", "By", "Size of a result that was fetched", _BYTES
    )
    active = meter.create_up_down_counter(
        "dcipher.run.active", "{run}", "Runs that this process waits for"
    )
    polls = meter.create_counter("dcipher.run.polls", "{poll}", "Polls of runs that are waited for")
    items = meter.create_counter("dcipher.batch.items", "{row}", "Rows of batches, by outcome")
    return {
        "run.duration": duration.record,
        "result.size": size.record,
        "run.active": active.add,
        "run.polls": polls.add,
        "batch.items": items.add,
    }


def _histogram(meter: Any, name: str, unit: str, text: str, bounds: tuple[float, ...]) -> Any:
    try:
        return meter.create_histogram(name, unit, text, explicit_bucket_boundaries_advisory=bounds)
    except TypeError:  # before OpenTelemetry 1.30
        return meter.create_histogram(name, unit, text)
