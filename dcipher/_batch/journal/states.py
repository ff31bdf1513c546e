"""The states of a row, and the changes from one to the next; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ENDS",
    "KEY_RETENTION",
    "NEXT",
    "RERUN",
    "Change",
    "Entry",
    "Row",
    "State",
    "may_follow",
]

State: TypeAlias = Literal[
    "planned", "sent", "started", "done", "failed", "cancelled", "expired", "unknown", "rejected"
]

ENDS: Final[frozenset[str]] = frozenset(
    {"done", "failed", "cancelled", "expired", "unknown", "rejected"}
)
"""The states of a row that has its outcome."""

KEY_RETENTION: Final = 86_400.0
"""Seconds for which a service is expected to remember an idempotency key."""

RERUN: Final[frozenset[str]] = frozenset({"failed", "expired"})
"""The states from which `retry_failed` runs a row again."""

NEXT: Final[Mapping[str, frozenset[str]]] = {
    "planned": frozenset({"sent"}),
    # planned: the service rejected it without processing it. failed: it rejected the params.
    "sent": frozenset({"planned", "sent", "started", "failed", "unknown"}),
    "started": frozenset({"done", "failed", "cancelled", "expired", "rejected"}),
    "failed": frozenset({"planned"}),
    "expired": frozenset({"planned"}),
    # A person decides: `dcipher journal resolve`.
    "unknown": frozenset({"planned", "started", "failed"}),
    # Its result is in the journal: it may match another type.
    "rejected": frozenset({"done", "rejected"}),
    # Its file was changed or removed.
    "done": frozenset({"expired", "rejected"}),
    "cancelled": frozenset({"failed"}),  # by a person, too: from there, it may run again
}
"""The states that may follow each."""


def may_follow(old: str, new: str) -> bool:
    """Whether a row may go from one state to the other."""
    return new in NEXT.get(old, frozenset())


@dataclass(frozen=True)
class Entry:
    """A row of the input, as it is planned."""

    key: str
    params: str = field(repr=False)
    """Canonical JSON."""
    digest: bytes
    """SHA-256 of the params."""
    position: int
    """Its number in the input, from 0."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What of the params must not be shown."""


@dataclass
class Row:
    """A row of the journal, as it was read."""

    id: int
    key: str
    position: int
    state: str
    generation: int
    attempts: int
    idempotency_key: str
    params: str = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    task_id: str | None = None
    run: str | None = field(default=None, repr=False)
    """The run as JSON, with the URLs of its results until the row has ended."""
    sent_at: float | None = None
    """When its start was sent first, under this idempotency key."""
    started_at: float | None = None
    ended_at: float | None = None
    result: bytes | None = field(default=None, repr=False)
    format: str | None = None
    files: str | None = None
    """JSON: path, size and SHA-256 of each."""
    error: str | None = None
    """JSON: class and text."""
    resent: int = 0
    """How often its start was sent again, although the service may have accepted it before."""

    def was_resent_late(self, now: float) -> bool:
        """Whether it was, or would be now, when a service may have forgotten the idempotency key."""
        return (self.started_at or now) - (self.sent_at or now) > KEY_RETENTION


@dataclass(frozen=True)
class Change:
    """One transition of one row."""

    id: int
    old: str
    new: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """Columns that change with it."""
