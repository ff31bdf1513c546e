"""The error for a result whose URL is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcipher.errors import (
    ResultError,
)

if TYPE_CHECKING:
    from dcipher.models import Run
from dcipher._wire.errors.run_names import named, same_start

__all__ = ["without_outputs"]


def without_outputs(run: Run, index: int | None = None) -> ResultError:
    """The error for a result whose URL is not known."""
    return ResultError(_why_no_url(run), run=run, output_index=index)


def _why_no_url(run: Run) -> str:
    # Only a start says when a run was created; JSON and pickles keep that, and the place of each URL.
    if run.created_at is not None and not run.outputs:
        return (
            f"The service gave no URL for the results of run {named(run)}, neither in its answer to "
            "the start nor with its status: there is nothing to be fetched. Check that the flow gives "
            "a result; if it does, tell the service's support the ids of the run."
        )
    text = (
        f"The URLs of the results of run {named(run)} are not known: the service says them only in "
        "the answer to the start, and JSON and pickles leave them out. Keep the run with "
        f"run.to_json(reveal=True), and read it with Run.from_json{same_start(run)}."
    )
    if any(output.url is None for output in run.outputs):
        text += " If it never was JSON or a pickle, the service gave none: tell its support."
    return text
