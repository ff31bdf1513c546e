"""The error for a result without a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcipher.errors import (
    ResultError,
)
from dcipher.errors._hints import with_hint

if TYPE_CHECKING:
    from dcipher.models import Run
from dcipher._wire.errors.run_names import named, same_start

__all__ = ["without_outputs"]


def without_outputs(run: Run, index: int | None = None) -> ResultError:
    """Returns the error for a result without a URL."""
    # Only a start sets created_at; JSON and pickles keep it, and an output for each URL.
    if run.created_at is not None and not run.outputs:
        error = ResultError(
            f"The service sent no URL for the results of run {named(run)}, neither in the response to "
            "the start nor with its status, so there is nothing to download.",
            run=run,
            output_index=index,
        )
        advice = "Check that the flow has a result. If it has, report the ids of the run to the support of the service."
        return with_hint(error, advice)
    error = ResultError(
        f"The URLs of the results of run {named(run)} are not known. The service sends them only in "
        "the response to the start.",
        run=run,
        output_index=index,
    )
    advice = (
        "JSON and pickles leave them out: store the run with run.to_json(reveal=True), and restore "
        f"it with Run.from_json{same_start(run)}."
    )
    if any(output.url is None for output in run.outputs):
        advice += " If the run was never JSON or a pickle, the service sent no URL: report that to its support."
    return with_hint(error, advice, cli="")
