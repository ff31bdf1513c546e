"""The command that installs an extra, from the origin of the package."""

from __future__ import annotations

import json
import re
import shlex
from importlib.metadata import distribution
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from dcipher._extras.installation import (
    _complete,
    install,
    install_command,
    install_library,
    installer,
)

if TYPE_CHECKING:
    from pathlib import Path


def folder(url: str, **more: Any) -> str:
    return json.dumps({"url": url, "dir_info": more})


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, "pip install 'dcipher[cli,arrow]'"),
        ("", "pip install 'dcipher[cli,arrow]'"),
        ("no JSON", "pip install 'dcipher[cli,arrow]'"),
        ("[]", "pip install 'dcipher[cli,arrow]'"),
        (folder("file:///src/sdk"), "pip install '/src/sdk[cli,arrow]'"),
        (folder("file:///src/sdk", editable=True), "pip install -e '/src/sdk[cli,arrow]'"),
        (folder("file:///a%20b/it's"), "pip install '/a b/it'\"'\"'s[cli,arrow]'"),
        (folder("file:///C:/src"), "pip install 'C:/src[cli,arrow]'"),
        (
            json.dumps({"url": "file:///dist/dcipher-1.0.0-py3-none-any.whl", "archive_info": {}}),
            "pip install '/dist/dcipher-1.0.0-py3-none-any.whl[cli,arrow]'",
        ),
        (
            json.dumps({"url": "https://user:SECRET@host/d.whl?sig=SECRET", "archive_info": {}}),
            "pip install 'dcipher[cli,arrow] @ https://host/d.whl'",
        ),
        (
            json.dumps(
                {
                    "url": "https://token@host/sdk.git",
                    "vcs_info": {"vcs": "git", "commit_id": "c0ffee"},
                }
            ),
            "pip install 'dcipher[cli,arrow] @ git+https://host/sdk.git@c0ffee'",
        ),
        (
            json.dumps(
                {
                    "url": "ssh://git:SECRET@host/all.git",
                    "subdirectory": "python/sdk",
                    "vcs_info": {"vcs": "git", "commit_id": "c0ffee"},
                }
            ),
            "pip install 'dcipher[cli,arrow] @ git+ssh://git@host/all.git@c0ffee#subdirectory=python/sdk'",
        ),
    ],
)
def test_an_extra_has_the_source_of_the_package(origin: str | None, command: str) -> None:
    """An index, a folder, a wheel or a repository, as recorded by pip, without secrets."""
    assert install_command("cli,arrow", origin) == command
    assert shlex.split(command)[:2] == ["pip", "install"]


def test_it_can_be_pasted() -> None:
    """For this package, it is one line with the requested extras."""
    words = shlex.split(install("cli", "arrow"))
    assert "install" in words
    assert "[cli,arrow]" in words[-1]


WHEEL = json.dumps({"url": "file:///dist/d.whl", "archive_info": {}})


@pytest.mark.parametrize(
    ("folder_name", "recorded_by", "file", "command"),
    [
        ("venv", "pip\n", None, "pip install '/dist/d.whl[cli]'"),
        ("venv", "conda\n", "conda-meta/history", "pip install '/dist/d.whl[cli]'"),
        ("venv", "uv", None, "uv pip install '/dist/d.whl[cli]'"),
        (".venv", "uv", None, "uv pip install '/dist/d.whl[cli]'"),
        (".venv", "uv", "../uv.lock", "uv add '/dist/d.whl[cli]'"),
        (".venv", "pip", "../uv.lock", "pip install '/dist/d.whl[cli]'"),
        ("venv", "Poetry 2.5.1", None, "poetry add '/dist/d.whl[cli]'"),
        ("dcipher", "uv", "uv-receipt.toml", "uv tool install --force '/dist/d.whl[cli]'"),
        (
            "notes",
            "uv",
            "uv-receipt.toml",
            "uv tool install --force notes --with '/dist/d.whl[cli]'",
        ),
        ("dcipher", "pip", "pipx_metadata.json", "pipx install --force '/dist/d.whl[cli]'"),
        ("dcipher", "uv", "pipx_metadata.json", "pipx install --force '/dist/d.whl[cli]'"),
        ("notes", "pip", "pipx_metadata.json", "pipx inject notes --force '/dist/d.whl[cli]'"),
        ("archive-v0/AWxK5", "uv", None, "uvx --from '/dist/d.whl[cli]' dcipher"),
    ],
)
def test_an_extra_is_installed_by_the_same_installer(
    tmp_path: Path, folder_name: str, recorded_by: str, file: str | None, command: str
) -> None:
    """pip, uv, its projects, tools and cache, pipx, Poetry: an environment of uv has no pip."""
    environment = tmp_path / folder_name
    environment.mkdir(parents=True)
    if file is not None:
        (environment / file).parent.mkdir(exist_ok=True)
        (environment / file).touch()
    assert install_command("cli", WHEEL, installer(recorded_by, environment)) == command


def test_a_checkout_stays_editable() -> None:
    """`-e` is used for the commands that accept it."""
    origin = folder("file:///src", editable=True)
    commands = [
        install_command("cli", origin, command)
        for command in (
            "uv pip install {}",
            "uv add {}",
            "poetry add {}",
            "pipx install --force {}",
            "uvx --from {} dcipher",
        )
    ]
    assert commands == [
        "uv pip install -e '/src[cli]'",
        "uv add --editable '/src[cli]'",
        "poetry add -e '/src[cli]'",
        "pipx install --force -e '/src[cli]'",
        "uvx --from '/src[cli]' dcipher",
    ]


def test_a_tool_keeps_its_extras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a tool is recreated: the command includes the installed extras."""
    (tmp_path / "dcipher").mkdir()
    (tmp_path / "dcipher" / "uv-receipt.toml").touch()
    expected = _complete(distribution("dcipher"))
    assert "all" not in expected
    monkeypatch.setattr("sys.prefix", str(tmp_path / "dcipher"))
    found = re.search(r"\[([\w,]+)\]", install("new"))
    assert found is not None
    assert found[1].split(",") == ["new", *expected]
    assert ("fastapi" in expected) == (find_spec("fastapi") is not None)


@pytest.mark.parametrize(
    ("name", "file", "command"),
    [
        ("notes", "pipx_metadata.json", "pipx inject notes 'httpx[socks]'"),
        ("dcipher", "uv-receipt.toml", "uv pip install --python {} 'httpx[socks]'"),
        ("venv", None, "pip install 'httpx[socks]'"),
    ],
)
def test_another_library_is_installed_beside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str | None, command: str
) -> None:
    """A library without an extra is installed into the same environment, by the same installer."""
    (tmp_path / name).mkdir()
    if file is not None:
        (tmp_path / name / file).touch()
    monkeypatch.setattr("sys.prefix", str(tmp_path / name))
    assert install_library("httpx[socks]").endswith(command.format(tmp_path / name))
