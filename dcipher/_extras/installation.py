"""The command that installs an extra, by how this package was installed."""

from __future__ import annotations

import json
import re
import shlex
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["install", "install_command", "install_library", "installer"]


def install(*extras: str) -> str:
    """Returns the command that installs extras from the same source: an index, a folder, a wheel."""
    command = "pip install {}"
    try:
        found = distribution("dcipher")
    except PackageNotFoundError:  # run from its folder, not installed
        folder = Path(__file__).resolve().parents[2]
        origin = json.dumps({"url": folder.as_uri(), "dir_info": {"editable": True}})
    else:
        origin = found.read_text("direct_url.json") or ""
        command = installer(found.read_text("INSTALLER") or "", Path(sys.prefix))
        # It replaces the installed packages: name their extras, too.
        if "pip install" not in command:
            extras = (*extras, *(name for name in _complete(found) if name not in extras))
    return install_command(",".join(extras), origin, command)


def install_library(requirement: str) -> str:
    """Returns the command that installs another library beside this package."""
    try:
        name = distribution("dcipher").read_text("INSTALLER") or ""
    except PackageNotFoundError:
        name = ""
    environment = Path(sys.prefix)
    command = installer(name, environment)
    if command.startswith("pipx"):
        command = f"pipx inject {environment.name} {{}}"
    elif command.startswith(("uv tool", "uvx")):
        command = f"uv pip install --python {shlex.quote(sys.prefix)} {{}}"
    return command.format(shlex.quote(requirement))


def installer(name: str, environment: Path) -> str:
    """Returns the command for an environment, with `{}` for the requirement.

    Args:
        name: What INSTALLER has. An environment that uv made has no pip.
        environment: `sys.prefix`.
    """
    tool = environment.name
    if (environment / "uv-receipt.toml").is_file():
        return f"uv tool install --force {'{}' if tool == 'dcipher' else f'{tool} --with {{}}'}"
    if (environment / "pipx_metadata.json").is_file():
        return f"pipx {'install' if tool == 'dcipher' else f'inject {tool}'} --force {{}}"
    if environment.parent.name.startswith("archive-v"):  # a folder of uv's cache
        return "uvx --from {} dcipher"
    recorded = name.strip().lower()
    if recorded.startswith("poetry"):
        return "poetry add {}"
    if recorded != "uv":
        return "pip install {}"
    # In a project, the next `uv sync` would uninstall what is not in its pyproject.toml.
    is_project = environment.name == ".venv" and (environment.parent / "uv.lock").is_file()
    return "uv add {}" if is_project else "uv pip install {}"


def install_command(extras: str, origin: str | None, command: str = "pip install {}") -> str:
    """Returns the command for the origin that was recorded (PEP 610); nothing for an index."""
    option, requirement = _requirement(extras, origin)
    if "--with" in command or "--from" in command:  # they accept no option
        option = ""
    if command.startswith("uv add"):
        option = option.replace("-e", "--editable")
    return command.format(f"{option}{shlex.quote(requirement)}")


def _requirement(extras: str, origin: str | None) -> tuple[str, str]:
    try:
        found: dict[str, Any] = json.loads(origin or "{}")
        url = str(found["url"])
        parts = urlsplit(url)
    except (KeyError, TypeError, ValueError):
        return "", f"dcipher[{extras}]"
    if parts.scheme == "file" and "vcs_info" not in found:
        option = "-e " if found.get("dir_info", {}).get("editable") else ""
        return option, f"{_path(parts.path)}[{extras}]"
    # Without user info and query, which may be secrets. The user of ssh is none.
    user, _, host = parts.netloc.rpartition("@")
    user = f"{user.partition(':')[0]}@" if user and parts.scheme.endswith("ssh") else ""
    where = f"{parts.scheme}://{user}{host}{parts.path}"
    if "vcs_info" in found:
        vcs = found["vcs_info"]
        where = f"{vcs['vcs']}+{where}@{vcs['commit_id']}"
    if "subdirectory" in found:
        where = f"{where}#subdirectory={found['subdirectory']}"
    return "", f"dcipher[{extras}] @ {where}"


def _path(path: str) -> str:
    # RFC 8089: a drive of Windows follows a slash.
    text = unquote(path)
    return text[1:] if text[2:3] == ":" else text


def _complete(found: Distribution) -> list[str]:
    """Returns the extras whose libraries are all installed."""
    needed: dict[str, list[str]] = {}
    for line in found.requires or ():
        if extra := re.search(r"extra == ['\"]([\w-]+)", line):
            needed.setdefault(extra[1], []).append(re.split(r"[^\w.-]", line)[0])
    return [
        extra
        for extra, names in needed.items()
        if extra != "all" and all(find_spec(name) is not None for name in names)
    ]
