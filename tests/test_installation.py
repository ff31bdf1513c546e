"""The command that installs an extra, from the origin of the package."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from dcipher._extras.installation import install, install_command


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
    ],
)
def test_an_extra_comes_from_where_the_package_came(origin: str | None, command: str) -> None:
    """An index, a folder, a wheel or a repository, as pip wrote it down; without what may be secret."""
    assert install_command("cli,arrow", origin) == command
    assert shlex.split(command)[:2] == ["pip", "install"]


def test_it_can_be_pasted() -> None:
    """Of this very package, it is one line with the extras that were asked for."""
    words = shlex.split(install("cli", "arrow"))
    assert words[:2] == ["pip", "install"]
    assert "[cli,arrow]" in words[-1]
