"""What the documents say is what happens: each of their blocks, each example and the demo run."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import pytest

import dcipher
from dcipher import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcipher.emulator import Emulator

pytest.importorskip("fastapi", reason="documents and examples run against the emulator")

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\S+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"# (\w+\.py)\n")
PACKAGE = Path(dcipher.__file__).resolve().parents[1]


class Block(NamedTuple):
    """A fenced block, and the line that its code begins at."""

    language: str
    code: str
    line: int


def blocks(text: str) -> list[Block]:
    return [Block(m[1], m[2], text.count("\n", 0, m.start(2))) for m in FENCE.finditer(text)]


def run_block(block: Block, document: str, module: ModuleType) -> None:
    """Run a block as its reader who pastes it would: no name of another block is there."""
    # The blank lines give a traceback the numbers of the document.
    code = compile("\n" * block.line + block.code, document, "exec", dont_inherit=True)
    exec(code, vars(module))  # noqa: S102 - our own document
    # A client that a block leaves open is noticed here, by the warning of its sockets.
    vars(module).clear()
    gc.collect()


def run_tests(file: Path) -> None:
    """Run a block that is a test as its reader would: as a file of its own, by pytest."""
    folder = file.parent
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(file))
    python(*words, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")


def python(*words: str, cwd: Path | None = None, **variables: str) -> str:
    """Run Python with warnings as errors; what it prints. It has this package, wherever it is."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("DCIPHER_")}
    environment = {**ours, "PYTHONPATH": str(PACKAGE), "PYTHONUTF8": "1", **variables}
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-W", "error", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_blocks_of_a_document_run(
    path: Path, hosted: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every Python block of a document runs by itself, in its order, against a Dcipher service."""
    if path.name == "tables.md":
        for library in ("pyarrow", "pandas", "polars", "duckdb"):
            pytest.importorskip(library, reason=f"{library} is not installed")
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.language != "python":
            continue
        named = NAME.match(block.code)
        file = tmp_path / (named[1] if named else "test_block.py")
        if named or "def test_" in block.code:
            file.write_text(block.code, encoding="utf-8")
        if "def test_" in block.code:
            run_tests(file)
        else:
            # Pydantic and FastAPI look names up in the module that a class is said to be of.
            module = ModuleType("document")
            monkeypatch.setitem(sys.modules, "document", module)
            run_block(block, str(path), module)
    assert {request.status for request in hosted.requests} <= {200, 401, 404, 422}


def test_blocks_pass_strict_type_checking(tmp_path: Path) -> None:
    """What a reader pastes into a typed application passes `mypy --strict` there."""
    pytest.importorskip("mypy", reason="the type checker is not installed")
    for path in DOCUMENTS:
        for number, block in enumerate(blocks(path.read_text(encoding="utf-8"))):
            if block.language == "python":
                named = NAME.match(block.code)
                file = tmp_path / (named[1] if named else f"{path.stem.lower()}_{number}.py")
                file.write_text(block.code, encoding="utf-8")
    # An installed package is found without it, and mypy refuses site-packages there.
    where = {"MYPYPATH": str(PACKAGE)} if PACKAGE == ROOT else {}
    shown = python("-m", "mypy", "--strict", ".", cwd=tmp_path, **where)
    assert "Success: no issues found" in shown


def test_the_guides_have_blocks() -> None:
    """Nothing is left out by mistake: the documents hold Python, and no other spelling of it."""
    found = [block.language for path in DOCUMENTS for block in blocks(path.read_text("utf-8"))]
    assert found.count("python") > 30
    assert set(found) == {"python", "sh", "text", "diff"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the texts that the demo reads; what it writes does not go to the real one."""
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
    """Every line but the titles of the cells, whose mark is not shown."""
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
def test_example_without_a_key_says_so(name: str, tmp_path: Path) -> None:
    """An example that cannot run ends with 1 and a line that says what to do."""
    with pytest.raises(AssertionError, match="Set DCIPHER_API_KEY"):
        python(str(ROOT / "examples" / name), str(ROOT / "README.md"), cwd=tmp_path)


def test_wire_page_says_what_the_contract_says() -> None:
    """Each operation and each field stands on the page of the wire, with the contract's source."""
    contract = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
    rows = {
        (operation["operationId"], f"`{verb.upper()} {path}`", operation["x-dcipher-source"])
        for path, item in contract["paths"].items()
        for verb, operation in item.items()
    } | {
        (name, f"`{field}`", described["x-dcipher-source"])
        for name, schema in contract["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
    }
    page = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| `(\w+)` \| (`[^|]+`) \|(?:[^|]+\|)? (\w+) \|$", page, re.MULTILINE)
    assert set(lines) == rows


def test_readme_links_what_is_there() -> None:
    """Each link of README leads to a file, and each page of the guides and concepts is linked."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = set(re.findall(r"\]\(([^)#:]+)\)", readme))
    assert {link for link in links if not (ROOT / link).is_file()} == set()
    folders = ROOT / "docs" / "guides", ROOT / "docs" / "concepts"
    pages = {p.relative_to(ROOT).as_posix() for folder in folders for p in folder.glob("*.md")}
    assert pages - links == set()


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
