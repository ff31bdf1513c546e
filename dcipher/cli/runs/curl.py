"""A start of a flow as the same request by curl, without the key."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dcipher.cli.terminal.text import printable

if TYPE_CHECKING:
    from dcipher._wire.messages.operations import Operation

__all__ = ["as_curl"]

LONGEST = 8_000
"""Bytes of a body that stands in the line itself. One argument may have 128 KiB on Linux."""


def as_curl(operation: Operation, base_url: str) -> tuple[str, Path | None]:
    """The line, and the file that it reads the body from where that is long, or cannot be printed."""
    content = operation.content or b"{}"
    file = None if len(content) <= LONGEST and _can_be_printed(content.decode()) else _kept(content)
    # --data-binary sends as it is; @ begins the name of a file, which no JSON does.
    body = f"@{file}" if file else content.decode()
    words = [
        *("curl", "--fail-with-body", "--silent", "--show-error", "--globoff", "--request", "POST"),
        shlex.quote(f"{base_url}{operation.target}"),
        *("--header", '"Authorization: Api-Key $DCIPHER_API_KEY"'),
        *("--header", shlex.quote("Content-Type: application/json")),
        *("--header", shlex.quote("Accept: application/json")),
        *("--header", shlex.quote(f"Idempotency-Key: {operation.idempotency_key}")),
        *("--data-binary", shlex.quote(body)),
    ]
    return " ".join(words), file


def _can_be_printed(text: str) -> bool:
    """Whether the line is the same on stdout, where some characters are escaped."""
    try:
        _ = text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return printable(text) == text


def _kept(content: bytes) -> Path:
    # mkstemp makes it readable for its owner alone.
    handle, name = tempfile.mkstemp(prefix="dcipher-", suffix=".json")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return Path(name)
