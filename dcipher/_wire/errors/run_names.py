"""How errors name a run and its idempotency key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcipher._masking.text import clean

if TYPE_CHECKING:
    from dcipher.models import Run

__all__ = ["named", "new_key", "same_start"]


def new_key(run: Run) -> str:
    """Returns the advice on the idempotency key of a start that must not return this run again."""
    if run.idempotency_key is None:
        return "with a new idempotency key"
    return f"not with idempotency_key={clean(run.idempotency_key, 255)!r}, which returns this run again"


def same_start(run: Run) -> str:
    """Returns the advice to repeat the start, which returns the run with its URLs.

    Empty if its idempotency key is not known.
    """
    if run.idempotency_key is None:
        return ""
    return (
        f"; or repeat the start with idempotency_key={clean(run.idempotency_key, 255)!r}, "
        "which returns this run with its URLs"
    )


def named(run: Run) -> str:
    """Returns the ids of the run, cleaned for a message."""
    return f"{clean(run.task_id)} of flow {clean(run.flow_id)}"
