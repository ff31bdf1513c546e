"""A start of a flow as the same request by curl, without the key."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcipher._core.operations import Operation

__all__ = ["as_curl"]

LONGEST = 8_000
"""Bytes of a body that stands in the line itself. One argument may have 128 KiB on Linux."""


def as_curl(operation: Operation, base_url: str) -> tuple[str, Path | None]:
    """The line, and the file that it reads the body from where that is long."""
    content = operation.content or b"{}"
    file = _kept(content) if len(content) > LONGEST else None
    # --data-binary sends as it is; @ begins the name of a file, which no JSON does.
    body = f"@{file}" if file else content.decode()
    words = [
        *("curl", "--fail-with-body", "--silent", "--show-error", "--request", "POST"),
        shlex.quote(f"{base_url}{operation.target}"),
        *("--header", '"Authorization: Api-Key $DCIPHER_API_KEY"'),
        *("--header", shlex.quote("Content-Type: application/json")),
        *("--header", shlex.quote("Accept: application/json")),
        *("--header", shlex.quote(f"Idempotency-Key: {operation.idempotency_key}")),
        *("--data-binary", shlex.quote(body)),
    ]
    return " ".join(words), file


def _kept(content: bytes) -> Path:
    # mkstemp makes it readable for its owner alone.
    handle, name = tempfile.mkstemp(prefix="dcipher-", suffix=".json")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return Path(name)
