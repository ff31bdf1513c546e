"""Formats the start of a flow as a curl command, without the key."""

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
"""Bytes of a body within the command. On Linux, an argument may have 128 KiB."""


def as_curl(operation: Operation, base_url: str) -> tuple[str, Path | None]:
    """Returns the command, and the file with the body if that is long or cannot be printed."""
    content = operation.content or b"{}"
    file = None if len(content) <= LONGEST and _can_be_printed(content.decode()) else _kept(content)
    # --data-binary sends the bytes unchanged. @ begins a file name; no JSON begins with it.
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
    """Returns whether the text is printed unchanged: some characters are escaped on stdout."""
    try:
        _ = text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return printable(text) == text


def _kept(content: bytes) -> Path:
    # mkstemp creates a private file.
    handle, name = tempfile.mkstemp(prefix="dcipher-", suffix=".json")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return Path(name)
