"""The `pip install` command for an extra, by how this package was installed."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["install", "install_command"]


def install(*extras: str) -> str:
    """Returns the command that installs extras from the same source: an index, a folder, a wheel."""
    try:
        origin = distribution("dcipher").read_text("direct_url.json")
    except PackageNotFoundError:  # run from its folder, not installed
        folder = Path(__file__).resolve().parents[2]
        origin = json.dumps({"url": folder.as_uri(), "dir_info": {"editable": True}})
    return install_command(",".join(extras), origin)


def install_command(extras: str, origin: str | None) -> str:
    """Returns `pip install …` for the origin that pip recorded (PEP 610); nothing for an index."""
    try:
        found: dict[str, Any] = json.loads(origin or "{}")
        url = str(found["url"])
        parts = urlsplit(url)
    except (KeyError, TypeError, ValueError):
        return f"pip install {shlex.quote(f'dcipher[{extras}]')}"
    if parts.scheme == "file" and "vcs_info" not in found:
        editable = "-e " if found.get("dir_info", {}).get("editable") else ""
        return f"pip install {editable}{shlex.quote(f'{_path(parts.path)}[{extras}]')}"
    # Without user info and query, which may be secrets.
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if "vcs_info" in found:
        vcs = found["vcs_info"]
        where = f"{vcs['vcs']}+{where}@{vcs['commit_id']}"
    return f"pip install {shlex.quote(f'dcipher[{extras}] @ {where}')}"


def _path(path: str) -> str:
    # RFC 8089: the drive of Windows stands behind a slash.
    text = unquote(path)
    return text[1:] if text[2:3] == ":" else text
