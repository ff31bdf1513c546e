"""The durations of the emulator's statuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcipher.emulator.contract.arguments import number

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Pace"]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds on the emulator's clock, which runs `scale` times as fast as the machine's."""

    queue_time: float = 0.0
    min_run_time: float = 0.0
    accept_time: float = 0.0
    scale: float = 1.0

    @classmethod
    def of(
        cls, *, queue_time: float, min_run_time: float, accept_time: float, time_scale: float
    ) -> Self:
        """Creates it from validated numbers. Raises `TypeError` or `ValueError`."""
        return cls(
            number("queue_time", queue_time),
            number("min_run_time", min_run_time),
            number("accept_time", accept_time),
            number("time_scale", time_scale, above=True),
        )

    def real(self, seconds: float) -> float:
        """Returns seconds of the machine's clock."""
        return seconds / self.scale
