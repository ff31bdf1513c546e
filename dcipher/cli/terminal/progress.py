"""The progress of a wait or a download: a live line on a terminal, a line per change elsewhere."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from dcipher.cli.terminal.text import colours, moving, printable

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress as Bars
    from typing_extensions import Self

    from dcipher.cli.terminal.output import Output
    from dcipher.models import Run

__all__ = ["Lines", "Progress", "progress"]


def progress(output: Output) -> AbstractContextManager[Progress]:
    """Returns the progress display for stderr; with `-q`, one that prints nothing."""
    if output.quiet or sys.stderr is None:
        return nullcontext(Progress())
    return Bar() if moving(sys.stderr) else Lines(output)


class Progress:
    """The base class. Prints nothing."""

    def status(self, run: Run) -> None:
        """Reports a new status of a run."""
        del run

    def bytes(self, done: int, total: int | None) -> None:
        """Reports the received bytes of the results, and their total."""
        del done, total


class Lines(Progress, AbstractContextManager["Lines"]):
    """Prints a line for each change, for pipes and CI logs."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def __exit__(self, *exc: object) -> None:
        pass

    def status(self, run: Run) -> None:
        """Prints a line."""
        self._output.note(f"{run.task_id}  {status_text(run)}")


class Bar(Progress):
    """A live line on a terminal, with the elapsed time, which is removed at the end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )
        from rich.progress import Progress as Shown

        console = Console(stderr=True, no_color=not colours(sys.stderr), highlight=False)
        # Text from a service is not markup.
        text = TextColumn("{task.description}", markup=False)
        self._waiting = Shown(
            SpinnerColumn(), text, TimeElapsedColumn(), console=console, transient=True
        )
        self._loading = Shown(
            text,
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, Any] = {}
        self._shown: Bars | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._show(None)

    def status(self, run: Run) -> None:
        """Updates the line of the run."""
        self._show(self._waiting)
        text = f"{printable(run.task_id)}  {status_text(run)}"
        task = self._tasks.get(run.task_id)
        if task is None:
            task = self._tasks[run.task_id] = self._waiting.add_task(text, total=None)
        self._waiting.update(task, description=text)
        if run.is_terminal:
            self._waiting.stop_task(task)

    def bytes(self, done: int, total: int | None) -> None:
        """Updates the line of the download."""
        self._show(self._loading)
        if "" not in self._tasks:
            self._tasks[""] = self._loading.add_task("Downloading", total=total)
        self._loading.update(self._tasks[""], completed=done, total=total)

    def _show(self, bars: Bars | None) -> None:
        if self._shown is bars:
            return
        if self._shown is not None:
            self._shown.stop()
        self._shown = bars
        if bars is not None:
            bars.start()


def status_text(run: Run) -> str:
    """Returns the status with its message, on one line. The message of an ended run is printed later."""
    from dcipher._masking.text import clean, masked_urls

    said = "" if run.is_terminal else clean(masked_urls(run.message or ""), 120)
    status = clean(masked_urls(str(run.status)), 80)
    return f"{status}  {said}" if said else status
