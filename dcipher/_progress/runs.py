"""The display of one run: its status while it is waited for, then the bytes of its results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from dcipher._concurrency.clock import monotonic
from dcipher.errors import InvalidParamsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from dcipher.models import Run

    from .displays import Display, Snapshot

__all__ = ["RunDisplay", "RunProgress", "check_progress", "run_display"]

RunProgress: TypeAlias = Literal["auto"] | bool
"""The values of `progress=` of a single run."""


class _Progress(NamedTuple):
    task_id: str
    status: str
    is_terminal: bool = False
    seconds: float = 0.0
    received: int | None = None
    total: int | None = None


class RunDisplay:
    """Displays a run in a `with` block, or nothing.

    Not by `contextlib`, which assigns to the exception: a frozen dataclass forbids that.
    """

    def __init__(self, display: Display[_Progress] | None = None) -> None:
        self._display = display
        self._began: float | None = None
        self._last: _Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._display is not None and self._last is not None:
            self._display.close(self._last)

    def status(self, run: Run) -> None:
        """Displays the status of the run."""
        if self._display is not None:
            self._last = _Progress(run.task_id, run.status or "", run.is_terminal)
            self._display.report(self._last)

    def on_progress(self, function: Callable[..., Any] | None = None) -> Callable[..., Any] | None:
        """Returns the callback of a download, which displays its bytes, and calls `function`."""
        if self._display is None:
            return function

        def both(received: int, total: int | None) -> object:
            self._received(received, total)
            return None if function is None else function(received, total)

        return both

    def _received(self, received: int, total: int | None) -> None:
        now = monotonic()
        if self._began is None:
            self._began = now
        before = self._last or _Progress("", "")
        self._last = before._replace(received=received, total=total, seconds=now - self._began)
        if self._display is not None and self._display.is_due(now):
            self._display.report(self._last)


_SILENT: Final = RunDisplay()  # ten thousand waits share it: it remembers nothing


def run_display(option: RunProgress) -> RunDisplay:
    """Returns the display for a `progress=` argument."""
    if option is False:
        return _SILENT
    from .displays import display

    return RunDisplay(display(option, _snapshot))


def check_progress(option: Any) -> None:
    """Raises InvalidParamsError for an invalid `progress=`."""
    if option != "auto" and not isinstance(option, bool):
        raise InvalidParamsError(
            'progress must be "auto", True or False. To have a function of yours called, pass '
            "on_status= or on_progress=."
        )


def _snapshot(progress: _Progress) -> Snapshot:
    from .displays import Snapshot

    name = f"run {progress.task_id}" if progress.task_id else "results"
    received, total = progress.received, progress.total
    if received is None:
        whole = 1 if progress.is_terminal else None
        return Snapshot(f"{name}: {progress.status}", whole or 0, whole)
    of = "" if total is None else f" of {_size(total)}"
    rate = f", {_size(received / progress.seconds)}/s" if progress.seconds >= 1 else ""
    return Snapshot(f"{name}: {_size(received)}{of}{rate}", received, total)


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
