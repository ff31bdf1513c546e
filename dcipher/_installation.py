"""How this package was installed, for the errors that say how to install more of it."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["install", "install_command"]


def install(*extras: str) -> str:
    """The command that installs these extras from where this package came: an index, a folder, a wheel."""
    try:
        origin = distribution("dcipher").read_text("direct_url.json")
    except PackageNotFoundError:  # run from its folder, without having been installed
        folder = Path(__file__).resolve().parents[2]
        origin = json.dumps({"url": folder.as_uri(), "dir_info": {"editable": True}})
    return install_command(",".join(extras), origin)


def install_command(extras: str, origin: str | None) -> str:
    """`pip install …`, by what pip wrote down of a package's origin (PEP 610); nothing of an index."""
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
