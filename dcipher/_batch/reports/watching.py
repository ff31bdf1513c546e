"""Shows progress where somebody can see it: on a terminal, in a notebook, in a log."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from .html import progress_card
from .progress import BatchProgress, sentence

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Watcher", "watcher"]

MINUTE = 60.0
OFF = frozenset({"0", "false", "no", "off"})


class Watcher(Protocol):
    """Somebody who is told how far a batch is."""

    def is_due(self, now: float, /) -> bool:
        """Whether it is to be told now."""
        ...

    def report(self, progress: BatchProgress, /) -> object:
        """Tells it."""
        ...

    def close(self, progress: BatchProgress, /) -> None:
        """Tells it the last time."""
        ...


def watcher(option: Any) -> Watcher:
    """Returns who is told: by `progress=`, over which DCIPHER_PROGRESS=0 takes precedence."""
    if option is False or os.environ.get("DCIPHER_PROGRESS", "").strip().lower() in OFF:
        return _Nobody()
    if callable(option):
        return _Callback(option)
    if _in_notebook():
        return _Notebook()
    if sys.stderr is not None and sys.stderr.isatty():
        try:
            return _Terminal()
        except ImportError:
            pass  # rich is an extra: lines serve as well
    return _Lines()


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return type(shell).__name__ == "ZMQInteractiveShell"


class _Nobody:
    def is_due(self, _now: float, /) -> bool:
        return False

    def report(self, _progress: BatchProgress, /) -> None:
        """Never asked for."""

    def close(self, _progress: BatchProgress, /) -> None:
        """It has nothing to close."""


class _Timed:
    """Is told at intervals."""

    interval = 0.5

    def __init__(self) -> None:
        self._next: float | None = None

    def is_due(self, now: float) -> bool:
        if self._next is None:
            self._next = now + self.interval
        if now < self._next:
            return False
        self._next = now + self.interval
        return True


class _Callback(_Timed):
    """A function of the user."""

    def __init__(self, function: Callable[[BatchProgress], object]) -> None:
        super().__init__()
        self._function = function

    def report(self, progress: BatchProgress) -> object:
        return self._function(progress)

    def close(self, progress: BatchProgress) -> None:
        self._function(progress)


class _Lines(_Timed):
    """A line a minute on stderr, for logs: the first after ten seconds, if it takes so long."""

    interval = 10.0

    def report(self, progress: BatchProgress) -> None:
        self.interval = MINUTE
        _write(f"dcipher: {sentence(progress)}\n")

    def close(self, progress: BatchProgress) -> None:
        if self.interval == MINUTE:
            self.report(progress)


def _write(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text)
        sys.stderr.flush()


class _Terminal(_Timed):
    """A bar, by rich."""

    interval = 0.2

    def __init__(self) -> None:
        super().__init__()
        rich = import_module("rich.progress")
        console = import_module("rich.console").Console(stderr=True)
        columns = (rich.BarColumn(), rich.TextColumn("{task.description}"))
        self._bar = rich.Progress(*columns, console=console, transient=True)
        self._task: Any = None

    def report(self, progress: BatchProgress) -> None:
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task("")
        self._bar.update(
            self._task,
            total=progress.rows,
            completed=progress.ended,
            description=sentence(progress),
        )

    def close(self, progress: BatchProgress) -> None:
        if self._task is not None:
            self._bar.stop()
            _write(f"dcipher: {sentence(progress)}\n")


class _Notebook(_Timed):
    """One card, which is updated in its place."""

    def __init__(self) -> None:
        super().__init__()
        self._card: Any = None

    def report(self, progress: BatchProgress) -> None:
        display = import_module("IPython.display")
        html = display.HTML(progress_card(progress))
        if self._card is None:
            self._card = display.display(html, display_id=True)
        else:
            self._card.update(html)

    def close(self, progress: BatchProgress) -> None:
        self.report(progress)
