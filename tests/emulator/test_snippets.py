"""A request as curl and as Python: the printed code is executed, and sends the same request."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import Dcipher
from dcipher.emulator.console.snippets import Sent, as_curl, as_python

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.emulator.wire import Lab

HEADER = {"X-Dcipher-Emulator": "1"}
TEXTS = [
    "rivers",
    'it\'s "quoted" $HOME `id` \\ !',
    "two\nlines\ttab",
    "@file",
    "\u202egnirts\u200f \x1b[31m \U0001f600",
    "",
]
BASE = "http://127.0.0.1:8787"


def last(lab: Lab) -> Any:
    """The last request, as the console shows it."""
    number = len(lab.emulator.requests)
    return lab.web.get(f"{lab.emulator.console}requests/{number}", headers=HEADER).json()


def sh(command: str, lab: Lab, folder: Path) -> str:
    """Run a command of POSIX sh that has the emulator's key."""
    if not shutil.which("curl"):
        pytest.skip("there is no curl here")
    environment = {"PATH": os.environ["PATH"], "DCIPHER_API_KEY": lab.emulator.api_key}
    words = ["sh", "-c", command.replace("curl ", "curl -sS ", 1)]
    done = subprocess.run(  # noqa: S603 - our own command
        words, cwd=folder, env=environment, capture_output=True, timeout=30, check=True
    )
    assert done.stderr == b""
    return done.stdout.decode()


def run_python(code: str, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a program that has the emulator's key."""
    monkeypatch.setenv("DCIPHER_API_KEY", lab.emulator.api_key)
    exec(compile(code, "<console>", "exec"), {})  # noqa: S102 - our own program


@pytest.fixture
def echo(lab: Lab) -> str:
    """A flow that takes any text."""
    flow_id = "echo"
    if flow_id not in {flow.id for flow in lab.emulator._service.flows.every()}:
        lab.emulator.flow(flow_id)(lambda text="", **more: [text, more])
    return flow_id


@pytest.mark.parametrize("text", TEXTS)
def test_a_start_is_repeated(
    lab: Lab, echo: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Curl and Python send the same params and the same Idempotency-Key."""
    params = {"text": text, "list": [1, 2.5, None, True]}
    with Dcipher(lab.emulator.api_key, base_url=lab.emulator.url) as client:
        run = client.flows.start(echo, params, idempotency_key="it's$x")
    shown = last(lab)
    assert {c for c in shown["curl"] if not c.isprintable()} <= {"\n", "\t"}
    assert json.loads(sh(shown["curl"], lab, tmp_path))["taskId"] == run.task_id
    run_python(shown["python"], lab, monkeypatch)
    assert [(r.status, r.idempotency_key) for r in lab.emulator.requests] == [(200, "it's$x")] * 3
    assert [r.params for r in lab.emulator.runs] == [params]


def test_polls_are_repeated(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The status of a run, and a flow."""
    with Dcipher(lab.emulator.api_key, base_url=lab.emulator.url) as client:
        run = client.flows.run("file")
        shown = last(lab)
        assert json.loads(sh(shown["curl"], lab, tmp_path)) == {"status": "SUCCEEDED"}
        run_python(shown["python"], lab, monkeypatch)
        assert run.status in capsys.readouterr().out
        _ = client.flows.get("file")
    shown = last(lab)
    assert json.loads(sh(shown["curl"], lab, tmp_path))["id"] == "file"
    run_python(shown["python"], lab, monkeypatch)
    assert "id='file'" in capsys.readouterr().out


def test_a_download_is_repeated_with_a_stored_run(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No code has the signed URL. Python reads it from the stored run."""
    monkeypatch.chdir(tmp_path)
    with Dcipher(lab.emulator.api_key, base_url=lab.emulator.url) as client:
        run = client.flows.run("file", save_path="first")
    shown = last(lab)
    assert "Signature=***" in shown["curl"]
    assert "# Replace each *** with the secret" in shown["curl"]
    tmp_path.joinpath("run.json").write_text(run.to_json(reveal=True), encoding="utf-8")
    run_python(shown["python"], lab, monkeypatch)
    assert (tmp_path / "output-0").read_bytes() == (tmp_path / "first").read_bytes()


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/nothing/a%20b?x=%5B1%5D&y={2}", b""),
        ("DELETE", "/flows/file", b""),
        ("POST", "/flows/file/run", b"no json"),
        ("POST", "/flows/file/run", b""),
        ("POST", "/flows/file/run", "\u202e \\ no\r\njson 7".encode()),
        ("PUT", "/flows/file", b'{"a": 1}'),
        ("GET", "/flows/file/status", b""),
    ],
)
def test_any_request_is_repeated(
    lab: Lab,
    method: str,
    target: str,
    body: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An unknown or invalid operation has the same error both times."""
    headers = {**lab.headers, "Content-Type": "application/json", "X-Odd": "it's $x"}
    url = lab.emulator.url + target
    response: httpx.Response = lab.web.request(method, url, headers=headers, content=body)
    shown = last(lab)
    assert sh(shown["curl"], lab, tmp_path) == response.text
    run_python(shown["python"], lab, monkeypatch)
    assert capsys.readouterr().out.rstrip("\n") == response.text
    requests = lab.emulator.requests
    assert len({(r.method, r.path, r.query, r.status, r.headers["x-odd"]) for r in requests}) == 1
    if body:
        assert len({r.headers["content-length"] for r in requests}) == 1


def sent(**changes: Any) -> Sent:
    """A start."""
    values: dict[str, Any] = {
        "base_url": BASE,
        "method": "POST",
        "path": "/flows/f/run",
        "query": "",
        "headers": {"authorization": "***"},
        "body": '{"pipelineParams": {}}',
    }
    return Sent(**{**values, **changes})


def test_the_key_is_a_variable() -> None:
    """The code has no key, and needs none if none was sent."""
    assert '-H "Authorization: Api-Key $DCIPHER_API_KEY"' in as_curl(sent())
    assert "DCIPHER_API_KEY" not in as_curl(sent(headers={}))
    assert "HTTPClient(" in as_python(sent(path="/x", headers={}))
    assert "DCIPHER_API_KEY" not in as_python(sent(path="/x", headers={}))


def test_a_body_that_was_not_stored_is_a_file() -> None:
    """The user has to provide it."""
    assert "--data-binary @body" in as_curl(sent(body=None))
    assert "# The body was not stored" in as_curl(sent(body=None))
    code = as_python(sent(body=None))
    assert 'content=open("body", "rb").read()' in code
    compile(code, "<console>", "exec")


def test_omitted_parts_are_noted() -> None:
    """A signature, which curl cannot create, and redacted values."""
    headers = {"authorization": "***", "signature": "***", "cookie": "***", "x-empty": ""}
    shown = as_curl(sent(headers=headers, body='{"pipelineParams": {"token": "***"}}'))
    assert "# The request was signed" in shown
    assert "# Replace each *** with the secret" in shown
    assert "cookie" not in shown
    assert "-H 'x-empty;'" in shown
    assert "# Replace each ***" in as_python(sent(body='{"pipelineParams": {"token": "***"}}'))
    assert "# Replace each ***" in as_python(sent(path="/x", body='{"token": "***"}'))


def test_plain_http_to_another_host_is_permitted_explicitly() -> None:
    """A remote emulator has no TLS: the code permits that."""
    assert "allow_insecure=True" in as_python(sent(base_url="http://10.0.0.7:8787"))
    assert "allow_insecure" not in as_python(sent(base_url="http://[::1]:8787"))


def test_long_calls_take_several_lines() -> None:
    """And are still Python."""
    params = {"documents": ["x" * 60, 'y"' * 40], "n": {"a": [1] * 40}}
    code = as_python(sent(body=json.dumps({"pipelineParams": params})))
    compile(code, "<console>", "exec")
    assert max(map(len, code.splitlines())) < 130


def test_names_are_quoted() -> None:
    """A slash within a name is part of it, and so is a quote."""
    code = as_python(sent(method="GET", path="/flows/a\"b'c", body=""))
    assert "client.flows.get('a\"b\\'c')" in code
    assert "/flows/a%22b'\"'\"'c'" in as_curl(sent(method="GET", path="/flows/a\"b'c", body=""))
