"""The span and the metrics of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .context import attached
from .library import is_loaded
from .metrics import measure
from .spans import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .context import Attached

__all__ = ["BatchSpan"]


class BatchSpan(Span):
    """The span of `flows.map`. It is current for the rows, not for the caller of the generator."""

    def __init__(self, flow_id: str | None) -> None:
        name = "dcipher.flows.map" if is_loaded() else None
        super().__init__(name, flow_id or "", is_current=False)
        self._active = 0

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.active(0)
        super().__exit__(_, error, __)

    def current(self) -> Attached:
        """Returns the context of the rows."""
        return attached(self._span, is_batch=True)

    def found(self, flow_id: str) -> None:
        """Reports the flow, which the first row may name."""
        self._flow_id = flow_id
        self.set("dcipher.flow.id", flow_id)

    def active(self, runs: int) -> None:
        """Reports the number of runs in progress."""
        if runs != self._active:
            measure("run.active", runs - self._active, self._flow_id)
            self._active = runs

    def item(self, status: str) -> None:
        """Reports the outcome of a row."""
        measure("batch.items", 1, self._flow_id, batch_status=status)

    def ended(self, rows: int, counts: Mapping[str, int]) -> None:
        """Reports the counts at the end."""
        for name, count in {"rows": rows, **counts}.items():
            self.set(f"dcipher.batch.{name}", count)
