"""`dcipher demo`: a run without an account, from the installed package alone."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("click", reason="the extra `cli` is not installed")

from dcipher._extras.installation import install
from dcipher.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory. Afterwards, it has only files of the test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def _emulates() -> None:
    pytest.importorskip("fastapi", reason="the extra `emulator` is not installed")
    pytest.importorskip("uvicorn", reason="the extra `emulator` is not installed")


@pytest.mark.usefixtures("_emulates")
def test_the_demo(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints its steps on stderr and the topics on stdout, and leaves no file."""
    assert main(["demo"]) == 0
    output, noted = capsys.readouterr()
    assert len(output.splitlines()) == 3
    assert "river" in output
    assert "SUCCEEDED" in noted
    assert "The same in Python" in noted
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("_emulates")
def test_the_demo_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    """With -q there are the topics alone: no progress, no recipe."""
    assert main(["demo", "-q"]) == 0
    output, noted = capsys.readouterr()
    assert (len(output.splitlines()), noted) == (3, "")


@pytest.mark.usefixtures("_emulates")
def test_the_demo_ignores_settings(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings of the user, also invalid ones, have no effect. With --json, stdout is the data."""
    monkeypatch.setenv("DCIPHER_TIMEOUT", "soon")
    monkeypatch.setenv("DCIPHER_API_KEY", "canary-key")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    (folder / ".env").write_text("DCIPHER_BASE_URL=http://127.0.0.1:9\n")
    assert main(["demo", "--json"]) == 0
    output, noted = capsys.readouterr()
    assert {"label", "share", "terms", "documents"} == set(json.loads(output)[0])
    assert "canary" not in output + noted
    assert "In the shell" not in noted


@pytest.mark.usefixtures("_emulates")
def test_a_text_of_the_user(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Blank lines separate paragraphs. Those without a word are ignored."""
    (folder / "my.txt").write_text("Lakes\r\nand rivers.\r\n\r\n---\n \nRivers and lakes!\n")
    assert main(["demo", "my.txt", "--json"]) == 0
    output, noted = capsys.readouterr()
    assert [topic["documents"] for topic in json.loads(output)] == [[0, 1]]
    assert "2 paragraphs" in noted


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "The text has no words"),
        (b" \n\n--", "The text has no words"),
        (b"\xff\xfe", "demo: t.txt is not UTF-8 text (byte 0)"),
        (None, "demo: t.txt cannot be read: No such file"),
    ],
)
def test_invalid_texts(
    folder: Path, capsys: pytest.CaptureFixture[str], body: bytes | None, words: str
) -> None:
    """Each is reported before anything is started. The exit code is 2."""
    if body is not None:
        (folder / "t.txt").write_bytes(body)
    assert main(["demo", "t.txt"]) == 2
    output, noted = capsys.readouterr()
    assert output == ""
    assert words in noted


@pytest.mark.parametrize("words", [["demo"], ["emulator", "start"]], ids=" ".join)
def test_without_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """Without FastAPI, every command has the same message with the line that installs it."""
    for name in [n for n in sys.modules if n.startswith(("fastapi", "dcipher.emulator.a"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert main(words) == 2
    noted = capsys.readouterr().err
    assert noted.startswith("error: The emulator needs fastapi. Next: ")
    assert f"Next: {install('cli', 'emulator')}" in noted


@pytest.mark.usefixtures("_emulates")
@pytest.mark.parametrize("file", [None, "it's.txt"])
def test_the_lines_of_python(
    folder: Path, capsys: pytest.CaptureFixture[str], file: str | None
) -> None:
    """The printed Python code runs, and does the same."""
    (folder / "it's.txt").write_text("Rivers flow into lakes.\n\nLakes feed rivers.")
    assert main(["demo", *([file] if file else [])]) == 0
    noted = capsys.readouterr().err
    lines = noted.partition("in the environment):\n")[2].partition("\nIn the shell")[0]
    exec(compile(textwrap.dedent(lines), "the demo", "exec"), {"__name__": "__main__"})  # noqa: S102 - as it is shown
    assert "lakes" in capsys.readouterr().out
    assert (folder / "topics.json").exists()
