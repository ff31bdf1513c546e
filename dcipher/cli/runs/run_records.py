"""A run as the command line prints it: without its signed URLs, unless they are requested."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dcipher._masking.urls import redact_urls

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dcipher.models import Run

__all__ = ["COLUMNS", "run_record"]

COLUMNS = ("task_id", "flow_id", "status", "message", "created_at", "finished_at", "files")
"""The columns for people."""
_KNOWN = (*COLUMNS[:-1], "idempotency_key", "outputs", "files")


def run_record(
    run: Run, *, reveal: bool = False, files: Sequence[Path] = (), reported: bool = False
) -> dict[str, Any]:
    """Returns the run as a JSON object. Signed URLs in the service's texts are redacted.

    `reported`: the message of a run that has ended is left out, because the error on stderr has it.
    """
    document: dict[str, Any] = json.loads(run.to_json(reveal=reveal))
    # Unknown fields of the service are left out: they may contain secrets.
    record = {name: document.get(name) for name in _KNOWN}
    for name in ("status", "message"):
        text = record[name]
        if isinstance(text, str):
            record[name] = redact_urls(text)
    outputs: list[dict[str, Any]] = document.get("outputs") or []
    record["outputs"] = [{name: one.get(name) for name in ("url", "expires_at")} for one in outputs]
    if reported and run.is_terminal:
        record["message"] = None
    if files:
        record["files"] = [str(file) for file in files]
    return record
