"""The repository is consistent, and refers only to itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

import dcipher
from dcipher._version import __version__

ROOT = Path(__file__).resolve().parents[1]

# Each is written so that it does not match itself.
FOREIGN = {
    "a package registry": r"\b(?:pypi|pythonhosted|npmjs)\.(?:org|com)\b",
    "a folder of one machine": r"(?<![\w.*}])/(?:root|home|Users|work)/[\w.]",
    "an interpreter of one machine": r"\.pyenv/versions/\d+\.\d+\.\d+",
    "an issue by its number": r"(?i)\b(?:issue|pull request|PR) ?#\d+",
}


def files() -> list[Path]:
    """Returns the committed and new files; in an unpacked sdist, all."""
    git = shutil.which("git")
    if git is not None and (ROOT / ".git").exists():
        words = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(words, cwd=ROOT, capture_output=True, check=True)  # noqa: S603
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        paths = [
            path
            for path in ROOT.rglob("*")
            if not any(
                part.startswith(".") or part == "__pycache__"
                for part in path.relative_to(ROOT).parts
            )
        ]
    return [path for path in paths if path.is_file()]


def foreign(text: str) -> list[str]:
    """Returns references to the environment of the author in `text`, with their lines."""
    return [
        f"line {number}: {what}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), start=1)
        for what, pattern in FOREIGN.items()
        if re.search(pattern, line)
    ]


def text_of(path: Path) -> str:
    data = path.read_bytes()
    return "" if b"\0" in data else data.decode("utf-8")


def test_no_reference_to_the_environment_of_the_author() -> None:
    """No file names a package registry, a folder of a machine, or the number of an issue."""
    found = {path.relative_to(ROOT).as_posix(): foreign(text_of(path)) for path in files()}
    assert "pyproject.toml" in found
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "see https://{}.org/project/x".format("pypi"),
        "files.{}.org".format("pythonhosted"),
        "python = '/{}/someone/bin/python'".format("home"),
        "/{}/.pyenv/shims".format("root"),
        "~/.pyenv/versions/{}/bin".format("3.10.13"),
        "fixes issue {}12".format("#"),
    ],
)
def test_finds_each_kind_of_reference(line: str) -> None:
    """The search above finds each kind."""
    assert len(foreign(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "https://app.dcipheranalytics.com/workflows",
        'glob("versions/3.*/bin")',
        "https://example.org/home/page",
        "the colour #123456",
    ],
)
def test_leaves_the_rest_alone(line: str) -> None:
    """An address of the service, a pattern and a colour are no breach."""
    assert foreign(line) == []


def test_no_line_ends_of_another_system() -> None:
    """Every text file ends its lines with a line feed alone."""
    assert [path.name for path in files() if "\r\n" in text_of(path)] == []


def test_version_is_in_the_changelog() -> None:
    """The changelog describes the next release."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[?{re.escape(__version__)}\b", changelog, re.MULTILINE)


@pytest.mark.parametrize(
    "name",
    ["py.typed", "_wire/messages/openapi.json", "_client/client.py", "emulator/console/index.html"],
)
def test_the_package_is_complete(name: str) -> None:
    """Modules that are not imported, or are generated, are installed, too."""
    assert resources.files(dcipher).joinpath(name).is_file()


def test_ci_runs_documented_targets() -> None:
    """CI has no other commands: each is a target of the Makefile that the README names."""
    commands = [
        line
        for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in commands:
        make, target = command.split()
        assert make == "make"
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        assert re.search(rf"\bmake {target}(?![\w-])", readme)
