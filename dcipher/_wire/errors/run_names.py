"""How errors name a run and its idempotency key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcipher._masking.text import clean

if TYPE_CHECKING:
    from dcipher.models import Run

__all__ = ["anew", "named", "same_start"]


def anew(run: Run, text: str) -> tuple[str, str]:
    """Returns the advice to start a run that is not this one again, for Python and for the shell.

    `text`: the advice, with `{new_key}` for what it says of the idempotency key.
    """
    if run.idempotency_key is None:
        key = shell = "with a new idempotency key"
    else:
        name = clean(run.idempotency_key, 255)
        key = f"not with idempotency_key={name!r}, which returns this run again"
        shell = f"not with --idempotency-key {name}, which returns this run again"
    return text.replace("{new_key}", key), text.replace("{new_key}", shell)


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
