"""Displays of progress: a bar on a terminal, a card in a notebook, lines in a log."""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeVar

from dcipher._html.cards import progress_card

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Display", "Snapshot", "display"]

P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)

MINUTE: Final = 60.0
OFF: Final = frozenset({"0", "false", "no", "off"})

logger = logging.getLogger("dcipher")


class Snapshot(NamedTuple):
    """Progress at one moment: a line of text, and the completed share."""

    text: str
    done: int = 0
    total: int | None = None
    """`None`: unknown."""


class Display(Protocol[P_contra]):
    """Something that displays progress."""

    def is_due(self, now: float, /) -> bool:
        """Returns whether it should be updated now."""
        ...

    def report(self, progress: P_contra, /) -> object:
        """Updates it."""
        ...

    def close(self, progress: P_contra, /) -> object:
        """Updates it for the last time."""
        ...


def display(option: Any, snapshot: Callable[[P], Snapshot]) -> Display[P]:
    """Returns the display for a `progress=` argument. DCIPHER_PROGRESS=0 takes precedence over it.

    A function of the user gets the progress itself, and its exceptions are raised. Our displays
    get a `snapshot`, and one that fails, as on a stream that was closed, is no longer updated.
    """
    if option is False or os.environ.get("DCIPHER_PROGRESS", "").strip().lower() in OFF:
        return _Nowhere()
    if callable(option):
        return _Callback(option)
    return _Safe(_found(), snapshot)


def _found() -> _Lines | _Terminal | _Notebook:
    if _in_notebook():
        return _Notebook()
    if sys.stderr is not None and sys.stderr.isatty():
        try:
            return _Terminal()
        except ImportError:
            pass  # rich is an extra: lines are the fallback
    return _Lines()


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return type(shell).__name__ == "ZMQInteractiveShell"


class _Nowhere:
    def is_due(self, _now: float, /) -> bool:
        return False

    def report(self, _progress: object, /) -> None:
        """Displays nothing."""

    def close(self, _progress: object, /) -> None:
        """Has nothing to close."""


class _Interval:
    """Is due at intervals."""

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


class _Callback(_Interval, Generic[P]):
    """A function of the user."""

    def __init__(self, function: Callable[[P], object]) -> None:
        super().__init__()
        self._function = function

    def report(self, progress: P) -> object:
        return self._function(progress)

    def close(self, progress: P) -> object:
        return self._function(progress)


class _Safe(Generic[P]):
    """One of our displays: its failure does not fail the call."""

    def __init__(
        self, target: _Lines | _Terminal | _Notebook, snapshot: Callable[[P], Snapshot]
    ) -> None:
        self._target: _Lines | _Terminal | _Notebook | None = target
        self._snapshot = snapshot

    def is_due(self, now: float) -> bool:
        return self._target is not None and self._target.is_due(now)

    def report(self, progress: P) -> None:
        self._update(progress, is_last=False)

    def close(self, progress: P) -> None:
        self._update(progress, is_last=True)

    def _update(self, progress: P, *, is_last: bool) -> None:
        if self._target is None:
            return
        try:
            (self._target.close if is_last else self._target.report)(self._snapshot(progress))
        except Exception:
            self._target = None
            logger.debug("progress is not displayed any more", exc_info=True)


class _Lines(_Interval):
    """Prints a line per minute to stderr, for logs; the first after ten seconds."""

    interval = 10.0

    def __init__(self) -> None:
        super().__init__()
        self._last = ""

    def report(self, snapshot: Snapshot) -> None:
        self.interval = MINUTE
        if snapshot.text != self._last:
            self._last = snapshot.text
            _write(f"dcipher: {snapshot.text}\n")

    def close(self, snapshot: Snapshot) -> None:
        if self.interval == MINUTE:
            self.report(snapshot)


def _write(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text)
        sys.stderr.flush()


class _Terminal(_Interval):
    """Displays a progress bar, with rich."""

    interval = 0.2

    def __init__(self) -> None:
        super().__init__()
        rich = import_module("rich.progress")
        console = import_module("rich.console").Console(stderr=True)
        columns = (
            rich.BarColumn(),
            rich.TextColumn("{task.description}", markup=False),
            rich.TimeElapsedColumn(),
        )
        self._bar = rich.Progress(*columns, console=console, transient=True)
        self._task: Any = None

    def report(self, snapshot: Snapshot) -> None:
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task("")
        self._bar.update(
            self._task,
            total=snapshot.total,
            completed=snapshot.done,
            description=snapshot.text,
        )

    def close(self, snapshot: Snapshot) -> None:
        if self._task is not None:
            self._bar.stop()
            _write(f"dcipher: {snapshot.text}\n")


class _Notebook(_Interval):
    """Displays a card, and updates it in place."""

    def __init__(self) -> None:
        super().__init__()
        self._card: Any = None

    def report(self, snapshot: Snapshot) -> None:
        module = import_module("IPython.display")
        html = module.HTML(progress_card(snapshot.text, snapshot.done, snapshot.total))
        if self._card is None:
            self._card = module.display(html, display_id=True)
        else:
            self._card.update(html)

    def close(self, snapshot: Snapshot) -> None:
        self.report(snapshot)
