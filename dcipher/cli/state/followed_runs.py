"""The runs that a command follows, for the ledger and for the message at Ctrl-C."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dcipher.cli.state.ledger import Ledger, is_off
from dcipher.errors import DcipherError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from dcipher.cli.terminal.output import Output
    from dcipher.models import Run

__all__ = ["FollowedRuns"]


class FollowedRuns:
    """The runs of one command, with their last known state."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.is_recorded: bool = not is_off()
        self.urls = False
        """Whether the ledger stores signed URLs, too."""
        self.saving = False
        """Whether the results are to be saved when a run has ended."""
        self.start: tuple[str, str] | None = None
        """Flow and idempotency key of the start in progress."""
        self.params: Mapping[str, Any] = {}
        """The params of that start."""
        self.runs: dict[str, Run] = {}
        self._recorded: dict[str, str] = {}  # task → the status in the ledger

    def is_known(self, run: Run) -> bool:
        """Returns whether the ledger contains `run`."""
        if not self.is_recorded:
            return False
        try:
            return Ledger().find(run.task_id, run.flow_id) is not None
        except OSError:  # `record` prints the warning
            return False

    def record(self, run: Run) -> None:
        """Stores the state of `run`. If the ledger cannot be written, a warning is printed."""
        self.runs[run.task_id] = run
        if not self.is_recorded or self._recorded.get(run.task_id) == str(run.status):
            return
        self._recorded[run.task_id] = str(run.status)
        self._store(lambda ledger: ledger.record(run, urls=self.urls))

    @contextmanager
    def starting(self, flow_id: str, idempotency_key: str) -> Generator[None]:
        """Stores a start until its response is known. `record` stores the run then."""
        self.start = flow_id, idempotency_key
        self._store(lambda ledger: ledger.begin(flow_id, idempotency_key))
        try:
            yield
        except DcipherError:  # its text has the key, where there may be a run
            self._store(lambda ledger: ledger.forget(idempotency_key))
            raise
        self.start = None

    def _store(self, write: Callable[[Ledger], None]) -> None:
        if not self.is_recorded:
            return
        try:
            write(Ledger())
        except OSError as error:
            self.is_recorded = False
            self._output.note(
                f"warning: the run was not added to `dcipher runs list`: {error.strerror or error}."
            )

    def add(self, runs: Sequence[Run]) -> None:
        """Adds runs that are waited for: the message at Ctrl-C names them."""
        self.runs.update((run.task_id, run) for run in runs)
