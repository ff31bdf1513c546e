"""The page "What happens when…" matches its catalogue, and existing tests verify each row."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

pytest.importorskip("fastapi")

from dcipher import errors
from tests.conformance.catalogue import SECTIONS, Case, Fault
from tests.conformance.instructions import INSTRUCTIONS, OPERATIONS, Means
from tests.conformance.test_conformance import error_of, is_sent_again

if TYPE_CHECKING:
    from types import ModuleType

    from tests.conformance.instructions import Operation

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "what_happens.py"
FAULTS = [fault for part in SECTIONS for fault in part.faults]
CASES = [case for part in SECTIONS for case in part.cases]
OURS = {name for name in errors.__all__ if name[0].isupper()} - {"RequestInfo"}


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("what_happens_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(SCRIPT.parent))  # where Python itself looks, for a script
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(SCRIPT.parent))
    return module


script = load()


def is_error(name: str) -> bool:
    """Whether a word is the name of an error, ours or Python's."""
    found = getattr(builtins, name, None)
    return name in OURS or (isinstance(found, type) and issubclass(found, BaseException))


def named(text: str) -> set[str]:
    """The errors that stand in backticks."""
    return {name for name in re.findall(r"`(\w+)`", text) if is_error(name)}


class Found(NamedTuple):
    """A test function, as its source has it."""

    node: ast.FunctionDef | ast.AsyncFunctionDef
    words: frozenset[str]
    """The names that it uses, and those of whatever of its module it is made from: its parameters, fixtures,
    helpers, classes and constants, theirs, and so on. Docstrings and comments do not count."""


@cache
def definitions(path: Path) -> dict[str, ast.stmt]:
    """What stands at the top of a module, by name; nothing of it is imported."""
    found: dict[str, ast.stmt] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {one.id: node for one in node.targets if isinstance(one, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return found


def words_of(node: ast.AST) -> set[str]:
    kinds = {ast.Name: "id", ast.Attribute: "attr", ast.arg: "arg"}
    return {getattr(one, kinds[type(one)]) for one in ast.walk(node) if type(one) in kinds}


@cache
def test_of(name: str) -> Found | None:
    """The test that pytest calls so, or none."""
    place, _, function = name.partition("::")
    path = ROOT / place
    known = definitions(path) if path.is_file() else {}
    node = known.get(function)
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    words: set[str] = set()
    todo = {function}
    while todo:
        new = words_of(known[todo.pop()]) - words
        words |= new
        todo |= new & known.keys()
    return Found(node, frozenset(words))


test_of.__test__ = False  # type: ignore[attr-defined] # a helper, whatever its name begins with


def test_the_page_is_what_is_printed() -> None:
    """The page on disk is what the catalogue and the table of the conformance tests make of it."""
    command = [sys.executable, str(SCRIPT), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stderr) == (0, "")


def test_every_instruction_has_one_row() -> None:
    """Each instruction of the table is covered by exactly one row, and no row covers anything else."""
    assert Counter(name for fault in FAULTS for name in fault.covers) == Counter([*INSTRUCTIONS])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.happens)
def test_what_a_row_covers_means_the_same(fault: Fault) -> None:
    """All instructions of a row mean the same for every operation."""
    assert len(script.outcomes(fault)) == 4


def test_different_meanings_in_a_row_are_noticed() -> None:
    """A row that covers what does not mean the same is not printed."""
    with pytest.raises(ValueError, match="does not mean the same"):
        script.outcomes(Fault("either", ("429", "404")))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_words_are_what_is_tested(operation: Operation) -> None:
    """A cell says of an instruction what the conformance tests expect of it: sent again or not, and which error."""
    for instruction in INSTRUCTIONS.values():
        words = script.outcome(instruction, operation)
        if operation in instruction.leaves_out:
            assert words == "-"
        elif instruction.meaning(operation)[0] is Means.FINE:
            assert words == "success"
        else:
            assert named(words) == {error_of(instruction, operation).__name__}
            again = is_sent_again(instruction, operation)
            assert (words.startswith("retried, "), words.endswith(", at once")) == (
                again,
                not again,
            )


def test_no_row_stands_twice() -> None:
    """Within a section, no two rows say that the same happens."""
    for part in SECTIONS:
        rows = Counter(case.happens for case in part.cases)
        assert [happens for happens, count in rows.items() if count > 1] == []


def test_the_tables_are_whole() -> None:
    """Each line of a table has as many cells as its title, and no cell breaks the line."""
    blocks = re.findall(r"(?:^\|.*\n)+", script.page(), re.MULTILINE)
    assert len(blocks) >= len(SECTIONS)
    for block in blocks:
        assert len({line.count("|") for line in block.splitlines()}) == 1


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.happens)
def test_a_row_is_held_by_tests(case: Case) -> None:
    """Each row names one to three tests; they are there, and none of them is expected to fail."""
    assert 1 <= len(set(case.tests)) == len(case.tests) <= 3
    found = {name: test_of(name) for name in case.tests}
    assert [name for name, test in found.items() if test is None] == []
    assert [name for name, test in found.items() if test and is_expected_to_fail(test.node)] == []


def is_expected_to_fail(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether all of a test is; single parameters of it may be."""
    return any(
        "xfail" in (words := words_of(decorator)) and "parametrize" not in words
        for decorator in node.decorator_list
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.happens)
def test_the_errors_of_a_row_are_tested(case: Case) -> None:
    """Each error that a row names is used by one of its tests, or by what of its module that test is made from."""
    words = {word for name in case.tests if (test := test_of(name)) for word in test.words}
    assert named(f"{case.does} {case.then}") - words == set()


def test_every_error_has_a_row() -> None:
    """Each public error of dcipher stands in at least one row."""
    assert OURS - named(script.page()) == set()


def test_a_missing_test_is_noticed() -> None:
    """The search finds what is there, its errors included, and nothing else."""
    here = "tests/conformance/test_catalogue.py::"
    assert test_of(f"{here}test_nothing") is None
    assert test_of("tests/nowhere.py::test_nothing") is None
    assert test_of(f"{here}load") is not None
    found = test_of(f"{here}test_different_meanings_in_a_row_are_noticed")
    assert found is not None
    assert "ValueError" in found.words
    assert "TypeError" not in found.words
    # By way of what it calls:
    assert {"FAULTS", "SECTIONS", "Counter"} <= found_words("test_every_instruction_has_one_row")


def found_words(name: str) -> frozenset[str]:
    found = test_of(f"tests/conformance/test_catalogue.py::{name}")
    return found.words if found else frozenset()
