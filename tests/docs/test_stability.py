"""The page "Stability" names the public modules, the Pythons, the dependencies and the formats as they are."""

from __future__ import annotations

import importlib
import pkgutil
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import dcipher
from dcipher import errors, models, rejects
from dcipher._batch.journal import schema
from dcipher.cli.state import ledger
from dcipher.emulator.runs import database

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "stability.md").read_text(encoding="utf-8")
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def test_every_module_of_the_package_is_public_or_private_there() -> None:
    """No module is missing, and each has its names in `__all__`."""
    found = {module.name for module in pkgutil.iter_modules(dcipher.__path__)} - {*dcipher._FORMER}
    found = {f"dcipher.{name}" for name in found if not name.startswith("_")}
    named = set(re.findall(r"`(dcipher(?:\.[a-z]\w*)*)`", PAGE))
    assert found <= named
    for name in named:
        module = importlib.import_module(name)
        if name != "dcipher.airflow" or find_spec("airflow"):  # its names need Airflow
            assert all(hasattr(module, public) for public in module.__all__)


def test_the_types_of_attributes_exist() -> None:
    """The public names outside of `dcipher.__all__` exist where it says."""
    assert models.SecretURL.__module__ == "dcipher.models"
    assert {"RequestInfo"} <= set(errors.__all__)
    assert {"Reason"} <= set(rejects.__all__)


def test_the_pythons_are_those_of_the_classifiers() -> None:
    """Each version in the classifiers is promised there, and no other."""
    line = re.search(r"^CPython (.+?)\. ", PAGE, re.MULTILINE)
    assert line is not None
    named = re.findall(r"3\.\d+", line[1])
    assert named == re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PROJECT)


def test_the_dependencies_are_those_of_the_package() -> None:
    """Each dependency has its lowest version, its limit, and the extras that need it."""
    core = PROJECT.partition("\ndependencies = [")[2].partition("\n]")[0]
    extras = PROJECT.partition("[project.optional-dependencies]\n")[2].partition("\n[")[0]
    expected: dict[str, tuple[str, set[str]]] = {}

    def add(requirement: str, by: str) -> None:
        name, versions = re.split(r"(?=>=)", requirement, maxsplit=1)
        text = versions.replace(">=", "≥ ").replace(",<", ", < ")
        expected.setdefault(name, (text, set()))[1].add(by)

    for requirement in re.findall(r'^  "(.+?)"', core, re.MULTILINE):
        add(requirement, "dcipher")
    for extra, list_ in re.findall(r"^([a-z]+) = \[(.+?)\]\s*(?:#.*)?$", extras, re.MULTILINE):
        for requirement in re.findall(r'"(.+?)"', list_) if extra != "all" else ():
            add(requirement, extra)
    named = {
        name: (versions, set(re.findall(r"`(.+?)`", by)))
        for name, versions, by in rows("Python and dependencies")
        if name != "---"
    }
    assert named == expected


@pytest.mark.parametrize(
    ("file", "version"),
    [
        ("the journal", schema.VERSION),
        ("the list of runs", ledger._VERSION),
        ("the emulator's state", database.VERSION),
    ],
)
def test_the_formats_of_files_are_these(file: str, version: int) -> None:
    """A new format of a file has its line there."""
    (line,) = [cells for cells in rows("Files") if cells[0].startswith(file)]
    assert f"format {version})" in line[0]
