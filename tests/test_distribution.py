"""The release: the sdist, the wheel, their contents, and the Pythons that they name."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from dcipher._version import __version__

ROOT = Path(__file__).resolve().parents[1]
INFO = f"dcipher-{__version__}.dist-info"


def run(*words: str, cwd: Path = ROOT) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1580601600", "COLUMNS": "200"}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", *words],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def source(*folders: str) -> set[str]:
    """Return the files of these folders that are not caches."""
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_the_package_and_nothing_else(tmp_path: Path) -> None:
    """Built from the sdist or not, the wheel is the same: small, complete, licensed, without tests or caches."""
    for tool in ("hatchling", "twine"):
        pytest.importorskip(tool, reason=f"{tool}, of the group `release`, is not installed")
    run("hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(tmp_path))
    (wheel,) = tmp_path.glob("*.whl")
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as sdist:
        packed = {name.partition("/")[2] for name in sdist.getnames()}
        sdist.extractall(tmp_path, filter="data")
    unpacked = tmp_path / archive.name.removesuffix(".tar.gz")
    run("hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "again"), cwd=unpacked)
    assert (tmp_path / "again" / wheel.name).read_bytes() == wheel.read_bytes()
    run("twine", "check", "--strict", str(wheel), str(archive))
    assert wheel.stat().st_size < 1_000_000

    with zipfile.ZipFile(wheel) as package:
        names = set(package.namelist())
        about = email.message_from_bytes(package.read(f"{INFO}/METADATA"))
        scripts = package.read(f"{INFO}/entry_points.txt").decode()
    assert {name for name in names if not name.startswith(INFO)} == source("dcipher")
    assert {
        "dcipher/py.typed",
        "dcipher/_wire/messages/openapi.json",
        "dcipher/emulator/console/index.html",
        f"{INFO}/licenses/LICENSE",
    } <= names
    assert (about["Name"], about["Version"]) == ("dcipher", __version__)
    assert (about["License-Expression"], about["Requires-Python"]) == ("MIT", ">=3.10")
    assert "dcipher = dcipher.cli:main" in scripts

    assert archive.stat().st_size < 2_500_000
    missing = source("dcipher", "tests", "docs", "examples", "benchmarks", "scripts") - packed
    assert missing == set()
    assert {
        "pyproject.toml",
        "Makefile",
        "noxfile.py",
        "mkdocs.yml",
        ".ci/run",
        "LICENSE",
    } <= packed
    assert [
        name for name in packed if re.search(r"__pycache__|\.pyc$|^\.(?!ci|gitignore)", name)
    ] == []


def test_the_classifiers_name_the_pythons_that_are_tested() -> None:
    """Each from the lowest that pip accepts on, without a gap; nox tests them, and the tools check the lowest."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    lowest = re.search(r'^requires-python = ">=(3\.\d+)"', project, re.MULTILINE)
    assert lowest is not None
    first = int(lowest[1].partition(".")[2])
    assert named == [f"3.{minor}" for minor in range(first, first + len(named))]
    assert f'target-version = "py3{first}"' in project
    assert re.findall(r'^python_?[vV]ersion = "(.+)"', project, re.MULTILINE) == [lowest[1]] * 2
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python {lowest[1]} or newer" in readme
    pytest.importorskip("nox", reason="nox, of the group `dev`, is not installed")
    sys.path.insert(0, str(ROOT))
    path = os.environ["PATH"]
    try:
        import noxfile
    finally:
        sys.path.remove(str(ROOT))
        os.environ["PATH"] = path
    assert noxfile.PYTHONS[: len(named)] == named
