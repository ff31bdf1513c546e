"""`dcipher flows generate`, and `dcipher flows get --python`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.faulty import json_reply

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Call
    from tests.faulty import FaultyServer


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_call_in_python(dcipher: Call) -> None:
    """`flows get --python` prints the call that runs the flow."""
    done = dcipher("flows", "get", "shout", "--python")
    assert (done.code, done.out) == (
        0,
        'run = client.flows.run("shout", {"text": "hi", "times": 1})\n',
    )


def test_a_module_for_several_flows(dcipher: Call, folder: Path) -> None:
    """One class a flow; standard output without `-o`; a generated file is made anew, with the same text."""
    printed = dcipher("flows", "generate", "shout", "rows")
    assert printed.code == 0
    assert 'class Shout(FlowCall[Any], flow="shout"):' in printed.out
    assert 'flow="rows"' in printed.out
    assert dcipher("flows", "generate", "shout", "rows", "-o", "flows.py").code == 0
    assert (folder / "flows.py").read_text() == printed.out
    (folder / "flows.py").write_text(printed.out.replace('text: str = "hi"', "text: int"))
    assert dcipher("flows", "generate", "-o", "flows.py").code == 0
    assert (folder / "flows.py").read_text() == printed.out


def test_other_files_are_not_replaced(dcipher: Call, folder: Path) -> None:
    """A file that was not generated is replaced only with --overwrite."""
    (folder / "flows.py").write_text("mine")
    refused = dcipher("flows", "generate", "shout", "-o", "flows.py")
    assert refused.code == 1
    assert "already exists" in refused.err
    assert (folder / "flows.py").read_text() == "mine"
    assert dcipher("flows", "generate", "shout", "-o", "flows.py", "--overwrite").code == 0


def test_a_check_reports_changes(dcipher: Call, folder: Path) -> None:
    """Exit code 0 without changes; 2 with each difference otherwise."""
    dcipher("flows", "generate", "shout", "-o", "flows.py")
    same = dcipher("flows", "generate", "-o", "flows.py", "--check")
    assert (same.code, same.out, same.err) == (0, "", "flows.py matches its flows.\n")
    # As if the flow had been another one when the file was written.
    source = (folder / "flows.py").read_text()
    digest = source.partition("sha256:")[2][:64]
    former = source.replace(digest, "0" * 64).replace("times: int = 1", "often: int = 1")
    (folder / "flows.py").write_text(former)
    changed = dcipher("flows", "generate", "-o", "flows.py", "--check")
    assert changed.code == 2
    assert changed.out.splitlines() == [
        "breaking: Shout: often: the flow has no such param",
        "compatible: Shout: times: a new optional param",
    ]
    record = json.loads(dcipher("flows", "generate", "-o", "flows.py", "--check", "--json").out)
    assert record == {
        "flow_id": "shout",
        "class": "Shout",
        "breaking": ["often: the flow has no such param"],
        "compatible": ["times: a new optional param"],
    }
    (folder / "flows.py").write_text(source.replace(digest, "0" * 64))
    described = dcipher("flows", "generate", "shout", "-o", "flows.py", "--check")
    assert (described.code, described.out) == (2, "compatible: Shout: its description\n")
    assert (folder / "flows.py").read_text() == source.replace(digest, "0" * 64)


@pytest.mark.parametrize(
    ("arguments", "text", "code", "output"),
    [
        (["generate"], None, 2, "No flow was given"),
        (["generate", "-o", "flows.py"], None, 2, "No flow was given"),
        (["generate", "shout", "--check"], None, 2, "--check needs -o FILE"),
        (["generate", "--check", "-o", "flows.py"], None, 1, "flows.py cannot be read"),
        (["generate", "--check", "-o", "flows.py"], "x = 1", 1, "has no generated class"),
        (["generate", "rows", "--check", "-o", "flows.py"], "shout", 1, "no class for flow rows"),
        (
            ["generate", "shout", "rows", "--sample", "r.json"],
            None,
            2,
            "--sample needs exactly one flow",
        ),
        (["generate", "shout", "--sample", "r.json"], None, 2, "r.json cannot be read"),
        (["generate", "nothing", "-o", "flows.py"], None, 1, "nothing"),
    ],
)
def test_invalid_arguments(
    dcipher: Call, folder: Path, arguments: list[str], text: str | None, code: int, output: str
) -> None:
    """Each has its reason, and nothing is written."""
    if text == "shout":
        dcipher("flows", "generate", "shout", "-o", "flows.py")
    elif text is not None:
        (folder / "flows.py").write_text(text)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = dcipher("flows", *arguments)
    assert done.code == code
    assert output in done.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_file_that_cannot_be_imported(dcipher: Call, folder: Path) -> None:
    """A check of a broken file reports it, with the command that regenerates it."""
    dcipher("flows", "generate", "shout", "-o", "flows.py")
    source = (folder / "flows.py").read_text()
    digest = source.partition("sha256:")[2][:64]
    (folder / "flows.py").write_text(source.replace(digest, "0" * 64) + "\nraise RuntimeError\n")
    done = dcipher("flows", "generate", "-o", "flows.py", "--check")
    assert done.code == 1
    assert "flows.py cannot be imported: RuntimeError." in done.err
    assert "dcipher flows generate -o flows.py" in done.err


def test_a_model_of_the_rows(dcipher: Call, folder: Path) -> None:
    """With a sample of the result, the class names the type of its rows."""
    pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")
    (folder / "r.json").write_text('[{"topic": "a", "size": 3}]')
    done = dcipher("flows", "generate", "shout", "--sample", "r.json")
    assert done.code == 0
    assert "class Row(BaseModel):" in done.out
    assert 'class Shout(FlowCall[list[Row]], flow="shout"):' in done.out


def test_text_of_a_service_is_not_code(
    api: FaultyServer, call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hostile name or description remains text, also in a check, which executes the file."""
    monkeypatch.setenv("DCIPHER_API_KEY", "emu_key")
    monkeypatch.setenv("DCIPHER_BASE_URL", api.url)
    hostile = '"""\nopen("owned", "w")\n"""'
    flow = {
        "id": "f",
        "name": hostile,
        "description": hostile,
        "params": [
            {"name": hostile, "type": hostile, "default": hostile, "description": hostile},
            {"name": "x = open('owned', 'w')", "required": True},
        ],
    }
    api.on("/flows/f", json_reply(json.dumps(flow)))
    assert call("flows", "generate", "f", "-o", "flows.py").code == 0
    api.on("/flows/f", json_reply(json.dumps({**flow, "description": "another"})))
    assert call("flows", "generate", "-o", "flows.py", "--check").code == 2
    assert [path.name for path in folder.iterdir()] == ["flows.py"]
