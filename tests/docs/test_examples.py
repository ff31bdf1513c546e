"""The documentation is correct: each block, each example and the demo run."""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dcipher
from dcipher import errors

pytest.importorskip("fastapi", reason="documents and examples run against the emulator")
pytest.importorskip("sybil", reason="sybil finds the examples of the documents")

from tests.docs.examples import (
    EVALUATORS,
    NEEDS,
    NOT_RUN,
    PACKAGE,
    ROOT,
    examples,
    file_name,
    language,
    python,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcipher.emulator import Emulator

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


WITH_TABS = [path for path in DOCUMENTS if '\n=== "' in path.read_text(encoding="utf-8")]


def is_installed(library: str) -> bool:
    return find_spec(library.partition(".")[0]) is not None


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_blocks_of_a_document_run(path: Path, hosted: Emulator) -> None:
    """Every block of a document runs by itself, in its order, against a Dcipher service."""
    for library in NEEDS.get(name_of(path), ()):
        pytest.importorskip(library, reason=f"{library} is not installed")
    for example in examples(path):
        example.evaluate()
    assert {request.status for request in hosted.requests} <= {200, 401, 404, 422}


def test_blocks_pass_strict_type_checking(tmp_path: Path) -> None:
    """A block passes `mypy --strict` in a typed application."""
    pytest.importorskip("mypy", reason="the type checker is not installed")
    for path in DOCUMENTS:
        if not all(map(is_installed, NEEDS.get(name_of(path), ()))):
            continue
        for example in examples(path):
            if language(example) == "python":
                unnamed = f"{path.parent.name}_{path.stem}_{example.line}.py".lower()
                file = tmp_path / (file_name(example) or unnamed)
                file.write_text(example.parsed, encoding="utf-8")
    # An installed package is found without it, and mypy refuses site-packages there.
    where = {"MYPYPATH": str(PACKAGE)} if PACKAGE == ROOT else {}
    shown = python("-m", "mypy", "--strict", ".", cwd=tmp_path, **where)
    assert "Success: no issues found" in shown


@pytest.mark.parametrize("path", WITH_TABS, ids=name_of)
def test_tabs_make_the_same_calls(path: Path) -> None:
    """A tab for the blocking client is beside one for the async client, which makes the same calls."""
    tabs = re.split(r'^=== "(\w+)"\n', path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    of_each = list(zip(tabs[1::2], (calls(text) for text in tabs[2::2]), strict=True))
    for (title, made), (other, made_too) in zip(of_each[::2], of_each[1::2], strict=True):
        assert (title, other) in {("Blocking", "Async"), ("Threads", "Tasks")}
        assert made == made_too


def calls(text: str) -> set[str]:
    """Returns the calls of the tab at the beginning of `text`."""
    tab = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[0]
    return set(re.findall(r"client\.(?:flows|runs)\.\w+", tab))


def test_every_language_has_a_runner() -> None:
    """The documentation has Python, and no language without a runner."""
    found = [language(example) for path in DOCUMENTS for example in examples(path)]
    assert found.count("python") > 30
    assert set(found) <= set(EVALUATORS)


def test_excluded_commands_exist() -> None:
    """Each command that is not executed is in a document, and its reason is given."""
    texts = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    assert {command for command in NOT_RUN if command not in texts} == set()
    assert all(NOT_RUN.values())


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the texts that the demo reads, which receives its output."""
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    return tmp_path


def test_demo_shows_all_that_it_runs(checkout: Path) -> None:
    """The demo prints each line of its tour, finds topics, and leaves the result in a file."""
    shown = python(str(ROOT / "examples" / "demo.py"), str(checkout))
    tour = (ROOT / "examples" / "tour.py").read_text(encoding="utf-8").partition("# %% ")[2]
    missing = [line for line in code_lines(tour) if line not in shown]
    assert missing == []
    rows = json.loads((checkout / "output.json").read_bytes())
    assert len(rows) > 1
    assert all(", ".join(row["terms"][:6]) in shown for row in rows)
    assert re.search(r"s  SUCCEEDED$", shown, re.MULTILINE)


def code_lines(source: str) -> Iterator[str]:
    """Returns every line but the titles of the cells, which are not shown."""
    for line in source.splitlines():
        if not line.startswith("# %% "):
            yield line


@pytest.mark.parametrize("name", ["run_topics.py", "run_topics_async.py"])
def test_example_brings_its_emulator(name: str, tmp_path: Path) -> None:
    """An example runs without an account, saves the rows and prints each."""
    shown = python(
        str(ROOT / "examples" / name), "--emulator", str(ROOT / "README.md"), cwd=tmp_path
    )
    rows = json.loads((tmp_path / "output.json").read_bytes())
    assert rows
    assert all(row["label"] in shown for row in rows)


def test_example_asks_the_service_of_the_environment(emulator: Emulator, tmp_path: Path) -> None:
    """Without options, key and base URL come from the environment, and the flow from `--flow`."""
    words = (str(ROOT / "examples" / "run_topics.py"), str(ROOT / "README.md"), "--flow")
    service = {"DCIPHER_BASE_URL": emulator.url, "DCIPHER_API_KEY": emulator.api_key}
    python(*words, "topics", cwd=tmp_path, **service)
    assert [run.flow_id for run in emulator.runs] == ["topics"]


@pytest.mark.parametrize("name", ["run_topics.py", "run_topics_async.py"])
def test_an_example_without_a_key(name: str, tmp_path: Path) -> None:
    """An example that cannot run ends with 1 and a line of advice."""
    with pytest.raises(AssertionError, match="Set DCIPHER_API_KEY"):
        python(str(ROOT / "examples" / name), str(ROOT / "README.md"), cwd=tmp_path)


def test_links_of_the_readme_exist() -> None:
    """Each link of README leads to a file, and each page of the guides and concepts is linked."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = set(re.findall(r"\]\(([^)#:]+)\)", readme))
    assert {link for link in links if not (ROOT / link).is_file()} == set()
    folders = ROOT / "docs" / "guides", ROOT / "docs" / "concepts"
    pages = {p.relative_to(ROOT).as_posix() for folder in folders for p in folder.glob("*.md")}
    assert pages - links == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_no_line_of_code_is_cut_off(path: Path) -> None:
    """No line of a block has more than the 100 characters that fit on a screen of 1280 pixels."""
    lines = [line for example in examples(path) for line in example.parsed.splitlines()]
    assert [line for line in lines if len(line) > 100] == []


def test_readme_names_every_error() -> None:
    """The table of errors in README has each error that the package exports."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    names = {name for name in errors.__all__ if name[0].isupper()} - {"RequestInfo"}
    assert {name for name in names if f"`{name}`" not in readme} == set()


def test_contributing_names_every_module() -> None:
    """The tree in CONTRIBUTING.md has every module and folder at the top of the package."""
    tree = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    package = Path(dcipher.__file__).parent
    names = {path.name for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert {name for name in names - {"__pycache__"} if name not in tree} == set()
