"""Params on the command line, and their comparison with a flow."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from dcipher._flow_types.fitting import problems
from dcipher._wire.messages.operations import start_run
from dcipher.cli.app import invocation
from dcipher.cli.app.arguments import seconds
from dcipher.cli.app.invocation import read_text
from dcipher.cli.app.params import params_of
from dcipher.cli.runs.starting import as_curl
from dcipher.cli.terminal.errors import CommandError
from dcipher.models import Flow


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("k=v", {"k": "v"}),
        ("k=5", {"k": "5"}),
        ("k=true", {"k": "true"}),
        ("k=", {"k": ""}),
        ("k=a=b:=c", {"k": "a=b:=c"}),
        ("k= v ", {"k": " v "}),
        ("k:=5", {"k": 5}),
        ("k:=null", {"k": None}),
        ('k:={"a": [1]}', {"k": {"a": [1]}}),
        ('k:="text"', {"k": "text"}),
        ("k:=12345678901234567890", {"k": 12345678901234567890}),
        ("k=@@literal", {"k": "@literal"}),
        ("k=@@", {"k": "@"}),
        ("a:b=c", {"a:b": "c"}),
        ("a::=1", {"a:": 1}),
        ("größe=ü", {"größe": "ü"}),
    ],
)
def test_nothing_is_guessed(text: str, expected: dict[str, Any]) -> None:
    """`=` is text, `:=` is JSON, and the first of them counts."""
    assert params_of([text], [], None, read_text) == expected


@pytest.mark.parametrize(
    "text", ["", "-", "@", "@@x", "@/etc/passwd", "@-", "[1]", "a=b", ":=1", " v\n"]
)
def test_a_text_as_it_stands(text: str) -> None:
    """With --text nothing that a text begins with has a meaning: it may come from a variable."""
    assert params_of(["n:=1"], [f"k={text}"], None, read_text) == {"n": 1, "k": text}


@pytest.mark.parametrize(
    ("given", "texts", "output"),
    [
        (["k=1"], ["k=2"], "k is given twice"),
        ([], ["k=1", "k=2"], "k is given twice"),
        ([], ["k"], "NAME=TEXT"),
        ([], ["=v"], "NAME=TEXT"),
    ],
)
def test_invalid_texts(given: list[str], texts: list[str], output: str) -> None:
    """Such a param needs a name, which is unique."""
    with pytest.raises(CommandError, match=output):
        params_of(given, texts, None, read_text)


@pytest.mark.parametrize(
    ("given", "document"),
    [(["k=@/dev/zero"], None), (["k:=@/dev/zero"], None), ([], Path("/dev/zero"))],
)
@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no endless file")
def test_an_endless_file(
    given: list[str], document: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that would fill the memory is rejected."""
    monkeypatch.setattr(invocation, "LARGEST", 1024 * 1024)
    with pytest.raises(CommandError, match="/dev/zero is longer than 1 MiB"):
        params_of(given, [], document, read_text)


def test_an_endless_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless standard input is rejected, too. Input of exactly the limit is read completely."""
    monkeypatch.setattr(invocation, "LARGEST", 4)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"12345")))
    with pytest.raises(CommandError, match="standard input is longer"):
        params_of(["k=@-"], [], None, read_text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1234")))
    assert params_of(["k=@-"], [], None, read_text) == {"k": "1234"}


@pytest.mark.parametrize(
    ("given", "output"),
    [
        (["k"], "NAME=TEXT"),
        (["=v"], "NAME=TEXT"),
        ([":=1"], "NAME=TEXT"),
        (["k=1", "k=2"], "-p k is given twice"),
        (["k=-"], "standard input is k=@-; for the text -, use --text k=-"),
        (["k=1", "k:=2"], "-p k is given twice"),
        (["k:=hello"], "not JSON: Expecting value, line 1 column 1. For text, write k=…"),
        (["k:="], "not JSON"),
        (["k:=NaN"], "NaN is not a JSON number"),
        (["k:=[Infinity]"], "Infinity is not a JSON number"),
        (['k:={"a":1,"a":2}'], "'a' occurs twice"),
        (["k:=" + "[" * 100_000], "not JSON"),
        (["k=@missing.txt"], "missing.txt cannot be read: No such file"),
        (["k=@."], "cannot be read"),
    ],
)
def test_invalid_params(given: list[str], output: str) -> None:
    """An invalid param is a usage error that names the param and the correct syntax."""
    with pytest.raises(CommandError) as caught:
        params_of(given, [], None, read_text)
    assert output in caught.value.message
    assert caught.value.code == 2


def test_files(tmp_path: Path) -> None:
    """`=@` reads a text from a file, `:=@` JSON, `--params` an object, over which -p takes precedence."""
    (tmp_path / "t").write_bytes("größer\r\n".encode())
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbf[1]")
    (tmp_path / "all").write_text('{"text": "old", "n": 1}')
    given = [f"text=@{tmp_path / 't'}", f"list:=@{tmp_path / 'bom'}"]
    found = params_of(given, [], tmp_path / "all", read_text)
    assert found == {"text": "größer\r\n", "n": 1, "list": [1]}


@pytest.mark.parametrize(
    ("content", "output"),
    [(b"[1]", "must be a JSON object"), (b"{", "not JSON"), (b'{"\xff": 1}', "not UTF-8")],
)
def test_documents_that_are_no_params(tmp_path: Path, content: bytes, output: str) -> None:
    """A document that is no object, no JSON or no UTF-8 is a usage error that names the file."""
    file = tmp_path / "p.json"
    file.write_bytes(content)
    with pytest.raises(CommandError, match=output) as caught:
        params_of([], [], file, read_text)
    assert "p.json" in caught.value.message
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("90s", 90),
        ("30m", 1800),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h1m1s", 3661),
        ("0", 0),
        ("0s", 0),
    ],
)
def test_durations(text: str, expected: int) -> None:
    """Seconds, and hours, minutes and seconds in this order."""
    assert seconds(text, "--timeout") == expected


@pytest.mark.parametrize(
    "text", ["", "s", "1.5h", "-1", "1d", "30 m", "m30", "1m1h", "1e3", "٣", "inf", "9" * 30]
)
def test_invalid_durations(text: str) -> None:
    """An invalid one is a usage error that lists the syntax."""
    with pytest.raises(CommandError, match="1h30m") as caught:
        seconds(text, "--timeout")
    assert caught.value.code == 2


FLOW = Flow.model_validate(
    {
        "id": "f",
        "params": [
            {"name": "text", "type": "string", "required": True},
            {"name": "top", "type": "integer"},
            {"name": "share", "type": "number", "default": 0.5},
            {"name": "deep", "type": "boolean"},
            {"name": "tags", "type": "array"},
            {"name": "more", "type": "object"},
            {"name": "odd", "type": "date-time"},
        ],
    }
)


@pytest.mark.parametrize(
    "params",
    [
        {"text": "t"},
        {"text": "", "top": 3, "share": 1, "deep": False, "tags": [], "more": {}, "odd": 7},
        {"text": "t", "top": 3.0, "share": 0.1},
        {"text": "t", "top": None, "tags": None},
    ],
)
def test_valid_params(params: dict[str, Any]) -> None:
    """Values of the declared JSON types are valid, and so are all values for an unknown type."""
    assert problems(FLOW, params) == []


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["text (string) is missing"]),
        ({"text": 5}, ["text must be string, and is a number"]),
        ({"text": None}, ["text must be string, and is null"]),
        ({"text": "", "top": "5"}, ["top must be integer, and is text (for JSON, write top:=…)"]),
        ({"text": "", "top": True}, ["top must be integer, and is a boolean"]),
        ({"text": "", "top": 1.5}, ["top must be integer, and is a number"]),
        ({"text": "", "deep": 1}, ["deep must be boolean, and is a number"]),
        ({"text": "", "tags": {}}, ["tags must be array, and is an object"]),
        ({"text": "", "more": [1]}, ["more must be object, and is an array"]),
        ({"text": "", "tops": 1}, ["tops is not a param of this flow (nearest: top)"]),
    ],
)
def test_mismatching_params(params: dict[str, Any], expected: list[str]) -> None:
    """Each problem is named, with the nearest name or the syntax for JSON."""
    assert problems(FLOW, params) == expected


def test_all_problems_are_reported_at_once() -> None:
    """They are in one message."""
    found = problems(FLOW, {"top": "x", "zzz": 1})
    assert [text.split()[0] for text in found] == ["text", "top", "zzz"]
    assert "which has text, top" in found[2]


def test_a_flow_without_declared_params() -> None:
    """Undeclared params are not an error: the service may not describe them."""
    assert problems(Flow(id="f"), {"any": 1}) == []


HARD = {"text": 'it\'s "quoted" $HOME `x` \\ \n größer', "n": [1, None]}


def test_curl_line_is_the_request() -> None:
    """A shell reads from the line exactly the body, and the key only from its environment."""
    operation = start_run("a b", HARD, "key'1")
    line, file = as_curl(operation, "https://h/x")
    assert file is None
    assert "emu_" not in line
    words = shlex.split(line)
    assert words[0] == "curl"
    assert "https://h/x/flows/a%20b/run" in words
    assert "Authorization: Api-Key $DCIPHER_API_KEY" in words
    assert '"Authorization: Api-Key $DCIPHER_API_KEY"' in line  # quoted so that a shell fills it in
    assert "Idempotency-Key: key'1" in words
    assert json.loads(words[words.index("--data-binary") + 1]) == {"pipelineParams": HARD}


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")
def test_a_shell_parses_the_line(tmp_path: Path) -> None:
    """A real shell passes these arguments to `curl`, with the key filled in."""
    fake = tmp_path / "curl"
    fake.write_text('#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done\n')
    fake.chmod(0o700)
    line, _ = as_curl(start_run("f", HARD, "k"), "https://h")
    done = subprocess.run(  # noqa: S602 - a shell is what is tested
        line,
        shell=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "DCIPHER_API_KEY": "emu_x"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    words = done.stdout.decode().split("\0")
    assert "Authorization: Api-Key emu_x" in words
    assert json.loads(words[words.index("--data-binary") + 1]) == {"pipelineParams": HARD}


def test_a_long_body_is_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An argument has at most 128 KiB: a long body is in a private file."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    operation = start_run("f", {"text": "x" * 200_000}, "k")
    line, file = as_curl(operation, "https://h")
    assert file is not None
    assert file.read_bytes() == operation.content
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(line) < 1000
    assert f"@{file}" in shlex.split(line)
