"""How a wait or a download gets on: one line that is rewritten on a terminal, a line a change elsewhere."""

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
    """What fits where stderr leads to. With `-q` nothing is said."""
    if output.quiet or sys.stderr is None:
        return nullcontext(Progress())
    return Bar() if moving(sys.stderr) else Lines(output)


class Progress:
    """Says nothing; what the others are, too."""

    def status(self, run: Run) -> None:
        """The status of a run has changed."""
        del run

    def bytes(self, done: int, total: int | None) -> None:
        """So many bytes of the results are there, of so many."""
        del done, total


class Lines(Progress, AbstractContextManager["Lines"]):
    """A line for each change: for pipes, and for the logs of CI."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def __exit__(self, *exc: object) -> None:
        pass

    def status(self, run: Run) -> None:
        """A line."""
        self._output.note(f"{run.task_id}  {status_text(run)}")


class Bar(Progress):
    """One line of a terminal, by rich, which shows how long it takes; gone at the end."""

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
        # What a service says is no markup.
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
        """The line of the run."""
        self._show(self._waiting)
        text = f"{printable(run.task_id)}  {status_text(run)}"
        task = self._tasks.get(run.task_id)
        if task is None:
            task = self._tasks[run.task_id] = self._waiting.add_task(text, total=None)
        self._waiting.update(task, description=text)
        if run.is_terminal:
            self._waiting.stop_task(task)

    def bytes(self, done: int, total: int | None) -> None:
        """The line of the download."""
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
    """The status on one line, and what the service says of it, unless that is said at the end."""
    from dcipher._masking.text import clean, masked_urls

    said = "" if run.is_terminal else clean(masked_urls(run.message or ""), 120)
    status = clean(masked_urls(str(run.status)), 80)
    return f"{status}  {said}" if said else status
