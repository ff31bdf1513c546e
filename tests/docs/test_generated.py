"""Generated pages and tables match their sources, and the checks can fail."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import Settings, errors

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
ERRORS = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
SOURCES = [file.read_text("utf-8") for file in Path(errors.__path__[0]).glob("*.py")]


def load(name: str) -> ModuleType:
    """A script as a module; its neighbours are found as they are when it is run."""
    spec = importlib.util.spec_from_file_location(f"{name}_script", ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return module


def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["script", *words])
    code = script.main()
    assert isinstance(code, int)
    return code


@pytest.mark.parametrize("name", ["settings", "wire"])
def test_tables_are_up_to_date(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page in the repository has the output of its script."""
    assert run(load(name), monkeypatch, "--check") == 0


@pytest.mark.parametrize("name", ["settings", "wire"])
def test_a_stale_table_is_noticed_and_fixed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One changed cell fails the check; writing fixes it, and leaves the prose unchanged."""
    script = load(name)
    page = script.TARGET.read_text(encoding="utf-8")
    stale = tmp_path / "page.md"
    stale.write_text(re.sub(r"observed \||timeout`", "x |", page), encoding="utf-8")
    monkeypatch.setattr(script, "TARGET", stale)
    monkeypatch.setattr(sys.modules["generated_files"], "ROOT", tmp_path)
    assert run(script, monkeypatch, "--check") == 1
    assert "page.md is not up to date" in capsys.readouterr().err
    assert run(script, monkeypatch) == 0
    assert run(script, monkeypatch, "--check") == 0
    assert stale.read_text(encoding="utf-8") == page


def test_a_table_without_its_marks_is_an_error() -> None:
    """A page without the marks of a table, or with two pairs, is not up to date."""
    filled = load("wire").run.__globals__["filled"]
    mark = "<!-- generated: a, by scripts/a.py -->\n<!-- end -->\n"
    assert "| x |" in filled(mark, {"a": ["| x |"]})
    for page in ("", mark + mark):
        with pytest.raises(ValueError, match="the table 'a'"):
            filled(page, {"a": ["| x |"]})


def test_every_setting_has_a_row() -> None:
    """Each field of `Settings` is in the table, with its variable."""
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` `(\w+)` \|", page, re.MULTILINE)
    assert rows == [(name, f"DCIPHER_{name.upper()}") for name in Settings.model_fields]


def test_wire_page_matches_the_contract() -> None:
    """It has every operation, parameter, status, header and field, with its source."""
    contract = json.loads((ROOT / "docs" / "openapi.json").read_bytes())
    page = (ROOT / "docs" / "reference" / "wire.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    for operation, name, described in facts(contract):
        source = described["x-dcipher-source"]
        words = described.get("description") or described["summary"]
        (row,) = (r for r in rows if f"| {words} |" in r and shows(r, name, operation))
        assert row.endswith(f"| {source} |")


def facts(contract: Any) -> list[tuple[str, str, Any]]:
    """Returns the sources of the contract: for each name, its place and its description."""
    found = []
    for item in contract["paths"].values():
        for operation in item.values():
            of = operation["operationId"]
            found.append((of, f"`{of}`", operation))
            found += [(of, f"`{each['name']}`", each) for each in operation["parameters"]]
            for status, answer in operation["responses"].items():
                found.append((of, status, answer))
                headers = answer.get("headers", {})
                found += [(status, f"`{name}`", header) for name, header in headers.items()]
    for body, schema in contract["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            found.append((f"`{body}`", f"`{field}`", described))
    return found


def shows(row: str, name: str, operation: str) -> bool:
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    of = {
        part
        for cell in cells[:2]
        for part in cell.replace("`" + operation + "`", operation).split(", ")
    }
    return name in cells[:2] and operation.strip("`") in {part.strip("`") for part in of}


def public_names() -> list[str]:
    return [name for name in errors.__all__ if name[0].isupper()]


def public_errors() -> list[str]:
    return [name for name in public_names() if issubclass(getattr(errors, name), Exception)]


def test_every_error_has_one_anchor() -> None:
    """The name in a traceback is an anchor of the page of errors, exactly once."""
    anchors = re.findall(r"^### (\w+) \{ #(\w+) \}$", ERRORS, re.MULTILINE)
    assert sorted(anchors) == sorted((name, name) for name in public_names())


@pytest.mark.parametrize("name", public_errors())
def test_every_error_has_advice(name: str) -> None:
    """The section of each error says when it is raised, when to catch it, and how to fix it."""
    section = ERRORS.partition(f"{{ #{name} }}\n")[2].partition("\n#")[0]
    points = re.findall(r"^- \*\*(Raised|Catch it|Fix)(?: if)?[:,]?\*\*", section, re.MULTILINE)
    assert points == ["Raised", "Catch it", "Fix"]


@pytest.mark.parametrize("name", public_names())
def test_every_error_lists_its_attributes(name: str) -> None:
    """Each new attribute of a class is named in its section."""
    own = re.compile(
        r"^ +self\.(\w+)(?:: .+)? = |^    (\w+): |@property\n    def (\w+)", re.MULTILINE
    )
    body = re.compile(rf"^class {name}\b.*\n((?: .*\n|\n)*)", re.MULTILINE)
    (source,) = [match[1] for text in SOURCES for match in body.finditer(text)]
    found = own.findall(source)
    section = ERRORS.partition(f"{{ #{name} }}\n")[2].partition("\n#")[0]
    named = re.findall(r"`\.(\w+)`", section.partition("- **Attributes:**")[2])
    assert set(named) == {attribute for groups in found for attribute in groups if attribute}


def test_the_tree_of_errors_is_that_of_the_module() -> None:
    """The page draws the tree that the docstring of `dcipher.errors` draws."""
    tree = (errors.__doc__ or "").split("```")[1].strip()
    assert tree in ERRORS
