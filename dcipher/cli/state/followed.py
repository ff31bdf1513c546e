"""The runs that a command follows: what the ledger and Ctrl-C have to know of them."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from dcipher.cli.state.ledger import Ledger, is_off

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dcipher.cli.terminal.output import Output
    from dcipher.models import Run

__all__ = ["Event", "Following", "each_at_once"]


class Event(NamedTuple):
    """What became of one of several runs."""

    run: Run
    error: BaseException | None = None
    ended: bool = False
    """Whether it is followed no more."""


class Following:
    """The runs of one call, as last seen."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.remembering: bool = not is_off()
        self.urls = False
        """Whether the ledger keeps signed URLs, too."""
        self.saving = False
        """Whether the results are to be saved when a run has ended."""
        self.start: tuple[str, str] | None = None
        """Flow and idempotency key of a start that is under way."""
        self.params: Mapping[str, Any] = {}
        """The params of that start."""
        self.runs: dict[str, Run] = {}
        self._noted: dict[str, str] = {}  # task → the status that the ledger has

    def knows(self, run: Run) -> bool:
        """Whether `run` was started or looked at from here before, as far as the ledger can say."""
        if not self.remembering:
            return False
        try:
            return Ledger().find(run.task_id, run.flow_id) is not None
        except OSError:  # `note` warns of it
            return False

    def note(self, run: Run) -> None:
        """Remember what was seen of `run`. A ledger that cannot be written to is a warning."""
        self.runs[run.task_id] = run
        if not self.remembering or self._noted.get(run.task_id) == str(run.status):
            return
        self._noted[run.task_id] = str(run.status)
        try:
            Ledger().record(run, urls=self.urls)
        except OSError as error:
            self.remembering = False
            self._output.note(
                f"warning: the run is not in the list of `dcipher runs list`: "
                f"{error.strerror or error}."
            )

    def expect(self, runs: Sequence[Run]) -> None:
        """These are waited for: Ctrl-C must name them, though they were not seen yet."""
        self.runs.update((run.task_id, run) for run in runs)

    def open(self) -> list[Run]:
        """Those that have not ended, as far as is known."""
        return [run for run in self.runs.values() if not run.is_terminal]


def each_at_once(
    runs: Sequence[Run], follow: Callable[[Run, Callable[[Run], None]], Run]
) -> Iterator[Event]:
    """Follow several runs at once, each in a thread.

    `follow(run, changed)` blocks; it calls `changed`, and gives the run as it ended, or raises.
    """
    found: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def one(run: Run) -> None:
        try:
            ended = follow(run, lambda changed: found.put(Event(changed)))
        except BaseException as error:  # noqa: BLE001 - it is raised in the main thread
            found.put(Event(run, error, ended=True))
        else:
            found.put(Event(ended, ended=True))

    # Daemons: Ctrl-C ends the program, whatever they wait for.
    for run in runs:
        threading.Thread(target=one, args=(run,), daemon=True).start()
    left = len(runs)
    while left:
        try:
            event = found.get(timeout=1.0)
        except queue.Empty:  # so that Ctrl-C is heard on Windows, too
            continue
        left -= event.ended
        yield event
