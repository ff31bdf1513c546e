"""The progress of a wait or a download: a live line on a terminal, a line per change elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from dcipher.cli.terminal.text import colours, moving, printable

if TYPE_CHECKING:
    from typing_extensions import Self

    from dcipher.cli.terminal.output import Output
    from dcipher.models import Run

__all__ = ["Lines", "Progress", "progress"]


def progress(output: Output) -> Progress:
    """Returns the progress display for stderr; with `-q`, one that prints nothing."""
    if output.quiet or sys.stderr is None:
        return Progress()
    return Bar() if moving(sys.stderr) else Lines(output)


class Progress:
    """The base class. Prints nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def status(self, run: Run) -> None:
        """Reports a new status of a run."""
        del run

    def bytes(self, done: int, total: int | None) -> None:
        """Reports the received bytes of the results, and their total."""
        del done, total


class Lines(Progress):
    """Prints a line for each change, for pipes and CI logs."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def status(self, run: Run) -> None:
        """Prints a line."""
        self._output.note(f"{run.task_id}  {status_text(run)}")


class Bar(Progress):
    """A live line for each run and the download, with the elapsed time, which is removed at the end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Lines

        console = Console(stderr=True, no_color=not colours(sys.stderr), highlight=False)
        # Text from a service is not markup.
        text = TextColumn("{task.description}", markup=False)
        columns = (text, BarColumn(), TimeElapsedColumn())
        self._lines = Lines(*columns, console=console, transient=True)
        self._tasks: dict[str, Any] = {}

    def __exit__(self, *exc: object) -> None:
        self._lines.stop()

    def status(self, run: Run) -> None:
        """Updates the line of the run."""
        done = int(run.is_terminal)
        self._update(run.task_id, f"{run.task_id}  {status_text(run)}", done, done or None)

    def bytes(self, done: int, total: int | None) -> None:
        """Updates the line of the download."""
        from rich.filesize import decimal

        of = "" if total is None else f" of {decimal(total)}"
        self._update("", f"Downloading {decimal(done)}{of}", done, total)

    def _update(self, name: str, text: str, done: int, total: int | None) -> None:
        self._lines.start()
        if name not in self._tasks:
            self._tasks[name] = self._lines.add_task("", total=total)
        self._lines.update(
            self._tasks[name], description=printable(text), completed=done, total=total
        )


def status_text(run: Run) -> str:
    """Returns the status with its message, on one line. The message of an ended run is printed later."""
    from dcipher._masking.text import clean
    from dcipher._masking.urls import redact_urls

    message = "" if run.is_terminal else clean(redact_urls(run.message or ""), 120)
    status = clean(redact_urls(str(run.status)), 80)
    return f"{status}  {message}" if message else status
