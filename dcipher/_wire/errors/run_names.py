"""How errors name a run, and what they say of its idempotency key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcipher._masking.text import clean

if TYPE_CHECKING:
    from dcipher.models import Run

__all__ = ["named", "new_key", "same_start"]


def new_key(run: Run) -> str:
    """Returns what a start must heed that is to give another run, and not this one again."""
    if run.idempotency_key is None:
        return "with a new idempotency key"
    return (
        f"not with idempotency_key={clean(run.idempotency_key, 255)!r}, which gives this run again"
    )


def same_start(run: Run) -> str:
    """Returns how the start of the run gives it once more, with its URLs; empty where that is not known."""
    if run.idempotency_key is None:
        return ""
    return (
        f"; or the same start again, with idempotency_key={clean(run.idempotency_key, 255)!r}, "
        "which gives this run with its URLs"
    )


def named(run: Run) -> str:
    """The run's ids, fit to be shown."""
    return f"{clean(run.task_id)} of flow {clean(run.flow_id)}"
