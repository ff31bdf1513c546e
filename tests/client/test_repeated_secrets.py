"""Secrets that a service, a store or a proxy repeats are redacted, and no header hides the status."""

from __future__ import annotations

import base64
import json
import pickle
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from dcipher import (
    APIConnectionError,
    APIStatusError,
    BadRequestError,
    HTTPClient,
    InvalidParamsError,
    InvalidResponseError,
    Output,
    Resilience,
    Run,
    RunFailedError,
)
from dcipher.models import SecretURL
from tests.faulty import FaultyServer, Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anyio.from_thread import BlockingPortal

    from tests.conftest import Connect

KEY = "emu_k3y-canary+/0123456789"
SIGN = "canary-SIGNATURE-0123456789abcdef"
ONCE = Resilience(max_retries=0)
BROKEN = "text/html; charset*" + "9" * 5000 + "=a"
SIGNED = f"https://s.example/r?X-Amz-Signature={SIGN}"


def shown(error: APIStatusError) -> str:
    """Returns everything that a user, or an error reporter, sees of an error."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    texts = [str(error), repr(error), repr(error.body), str(error.error), repr(vars(error))]
    texts += [error.response.text, again.response.text, repr(error.response.headers.raw)]
    return "\n".join([*texts, repr(pickle.dumps(error))])


def test_a_content_type_that_cannot_be_parsed(connect: Connect, server: FaultyServer) -> None:
    """It does not hide the status, nor end the retries of a start."""
    bad = Reply(b"oops", 503, {"Content-Type": BROKEN})
    server.on("/flows/f/run", bad, json_reply('{"taskId": "t"}'))
    server.on("/flows/f", bad)
    assert connect(server).flows.start("f").task_id == "t"
    with pytest.raises(APIStatusError) as caught:
        connect(server, resilience=ONCE).flows.get("f")
    assert caught.value.status_code == 503
    assert caught.value.response.text == "oops"
    assert caught.value.response.charset_encoding is None


@pytest.mark.parametrize("charset", ["utf-16", "utf-7", "cp037", "utf-8", "latin-1"])
def test_a_key_in_text_of_any_charset(connect: Connect, server: FaultyServer, charset: str) -> None:
    """A repeated key is redacted as a reader of the text would see it."""
    body = f"<p>key {KEY} is wrong</p>"
    server.on(
        "/flows/f", Reply(body.encode(charset), 400, {"Content-Type": f"a/b; charset={charset}"})
    )
    with pytest.raises(BadRequestError) as caught:
        connect(server, api_key=KEY).flows.get("f")
    assert "canary" not in shown(caught.value)
    assert caught.value.response.text == "<p>key [redacted] is wrong</p>"


@pytest.mark.parametrize("charset", ["utf-7", "cp037", "rot13", "zlib", "undefined"])
def test_a_charset_that_is_not_the_bodys(
    connect: Connect, server: FaultyServer, charset: str
) -> None:
    """JSON is UTF-8 (RFC 8259), and a name that is in it twice is in its bytes twice."""
    body = json.dumps({"message": "no", "b": 1}).replace("1}", f'"{KEY}", "b": 1}}')
    for content in (body.encode(), f"key {KEY}".encode()):
        server.on("/flows/f", Reply(content, 400, {"Content-Type": f"a/b; charset={charset}"}))
        with pytest.raises(BadRequestError) as caught:
            connect(server, api_key=KEY).flows.get("f")
        assert "canary" not in shown(caught.value)


@pytest.mark.parametrize("name", ["Content-Type", "Content-Encoding"])
def test_a_key_in_a_header_of_a_success(connect: Connect, server: FaultyServer, name: str) -> None:
    """The error for an unusable response does not repeat it."""
    server.on("/flows/f", Reply(b"<html>", 200, {name: f"text/{KEY}"}))
    with pytest.raises(InvalidResponseError) as caught:
        connect(server, api_key=KEY, resilience=ONCE).flows.get("f")
    assert "canary" not in f"{caught.value!r} {pickle.dumps(caught.value)!r}"


def test_a_flow_that_repeats_secrets(connect: Connect, server: FaultyServer) -> None:
    """A flow is redacted like a run, in its repr and in logs."""
    params = [{"name": "p", "description": SIGNED}]
    server.on("/flows/f", json_reply(json.dumps({"id": "f", "x": KEY, "params": params})))
    flow = connect(server, api_key=KEY).flows.get("f")
    assert "canary" not in repr(flow)
    assert (flow.id, flow.params[0].name) == ("f", "p")


OWN = [
    (f"https://s.example/r?auth={SIGN}", f"see https://s.example/r?auth={SIGN}"),
    (SIGNED, f"GET /r?X-Amz-Signature={SIGN} failed"),
    (SIGNED, f"signature {SIGN} refused"),
    (f"https://s.example/it's/r?x={SIGN}", f"403 for https://s.example/it's/r?x={SIGN}"),
    (SIGNED, f"403 for s3://b/r?X-Amz-Signature={SIGN}"),
    (SIGNED, f"next=https%3A%2F%2Fs.example%2Fr%3FX-Amz-Signature%3D{SIGN}"),
]


@pytest.mark.parametrize("count", [1, 150])
@pytest.mark.parametrize(("url", "message"), OWN)
def test_a_run_whose_urls_are_repeated(
    connect: Connect, server: FaultyServer, url: str, message: str, count: int
) -> None:
    """In the answer to the start, in a status, in an error: the run's own URLs are secrets."""
    others = [f"https://s.example/{i}?auth=signature-{i:08}" for i in range(count - 1)]
    started = {"taskId": "t", "signedResponseURLs": [*others, url], "note": message}
    server.on("/flows/f/run", json_reply(json.dumps(started)))
    failed = json.dumps({"status": "FAILED", "message": message, "x": [message]})
    server.on(
        "/flows/f/status", json_reply(json.dumps({"message": message}), 400), json_reply(failed)
    )
    client = connect(server, resilience=ONCE)
    run = client.flows.start("f")
    assert "canary" not in repr(run)
    assert run.outputs[-1].url.get_secret_value() == url
    with pytest.raises(BadRequestError) as refused:
        client.runs.refresh(run)
    assert "canary" not in shown(refused.value)
    with pytest.raises(RunFailedError) as caught:
        client.runs.wait(run)
    assert "canary" not in f"{caught.value!r} {caught.value.run!r} {pickle.dumps(caught.value)!r}"


def test_common_words_of_a_signed_url_remain(connect: Connect, server: FaultyServer) -> None:
    """Words of every URL are not redacted in the text of the service."""
    url = SecretURL(f"{SIGNED}&response-content-type=application/json")
    server.on("/flows/f/status", json_reply('{"status": "RUNNING", "message": "application/json"}'))
    run = Run(flow_id="f", task_id="t", outputs=(Output(url=url),))
    assert connect(server).runs.refresh(run).message == "application/json"


def test_a_secret_param(connect: Connect, server: FaultyServer) -> None:
    """It is sent in clear, and redacted if the service repeats it."""
    server.on("/flows/f/run", json_reply('{"message": "bad word canary-1"}', 422))
    with pytest.raises(APIStatusError) as caught:
        connect(server).flows.start("f", {"word": SecretStr("canary-1")})
    assert json.loads(server.seen("/flows/f/run")[0].body) == {
        "pipelineParams": {"word": "canary-1"}
    }
    assert "canary" not in shown(caught.value)


LATER = {
    "flows.get": lambda client, _: client.flows.get("f"),
    "runs.refresh": lambda client, run: client.runs.refresh(run),
    "runs.get": lambda client, run: client.runs.get("f", run.task_id),
    "runs.wait": lambda client, run: client.runs.wait(run),
    "a derived client": lambda client, _: client.with_options(timeout=9).flows.get("f"),
    "a start": lambda client, _: client.flows.start("f", {"word": "b"}),
}


@pytest.mark.parametrize("later", LATER)
def test_a_secret_param_of_an_earlier_start(
    connect: Connect, server: FaultyServer, caplog: pytest.LogCaptureFixture, later: str
) -> None:
    """It is masked in the error of a later call, in what it logs, and in a status."""
    body = b'{"message": "user canary-1 has no access"}'
    refused = Reply(body, 400, {"X-Note": "canary-1"})
    server.on("/flows/f", refused)
    server.on("/flows/f/run", json_reply('{"taskId": "t"}'), refused)
    server.on("/flows/f/status", refused)
    client = connect(server, resilience=ONCE)
    run = client.flows.start("f", {"word": SecretStr("canary-1"), "short": SecretStr("user")})
    with caplog.at_level("DEBUG"), pytest.raises(BadRequestError) as caught:
        LATER[later](client, run)
    assert "canary" not in shown(caught.value) + caplog.text
    assert "user [redacted] has no access" in str(caught.value)


def test_a_status_that_repeats_a_secret_param(connect: Connect, server: FaultyServer) -> None:
    """The last hundred secrets of a client are masked in its runs, also when they are fetched by their ids."""
    server.on("/flows/f/run", json_reply('{"taskId": "t"}'))
    server.on("/flows/f/status", json_reply('{"status": "FAILED", "message": "canary-0 canary-9"}'))
    client = connect(server, resilience=ONCE)
    words = [SecretStr("canary-0"), *(SecretStr(f"secret-{i:03}") for i in range(99))]
    run = client.flows.start("f", {"words": words})
    client.flows.start("f", {"words": [SecretStr("canary-9"), *words[1:]]})
    with pytest.raises(RunFailedError) as caught:
        client.runs.wait(run)
    assert caught.value.run.message == client.runs.get("f", "t").message == "canary-0 [redacted]"


PASSWORD = "canary-p@ss/1234"
ENCODED = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
QUOTED = "canary-p%40ss%2F1234"


IDS: dict[str, Callable[[Any, Path], object]] = {
    "get": lambda client, _: client.flows.get(KEY),
    "start": lambda client, _: client.flows.start(KEY, {}),
    "run": lambda client, _: client.flows.run(KEY, {}),
    "idempotency key": lambda client, _: client.flows.start("f", idempotency_key=KEY),
    "run's id": lambda client, _: client.runs.refresh(Run(flow_id="f", task_id=KEY)),
    "rows": lambda client, _: client.flows.map(KEY, [{"a": 1}], progress=False).run(),
    "journal": lambda client, folder: client.flows.map(
        KEY, [], key="a", journal=folder / "j"
    ).run(),
    "partition": lambda client, folder: client.flows.partition(KEY, key="a", journal=folder),
}


@pytest.mark.parametrize("call", IDS.values(), ids=IDS)
def test_a_key_in_place_of_an_id(
    connect: Connect,
    server: FaultyServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    call: Callable[[Any, Path], object],
) -> None:
    """Ids are logged, and errors quote them, so a key is rejected before it is sent or stored."""
    caplog.set_level(1)
    with pytest.raises(InvalidParamsError, match="API key") as caught:
        call(connect(server, api_key=KEY), tmp_path)
    assert "canary" not in repr(caught.value) + caplog.text
    assert not any("canary" in note for note in getattr(caught.value, "__notes__", ()))
    assert server.requests == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("password", [ENCODED, PASSWORD, QUOTED])
@pytest.mark.parametrize("source", ["environment", "client"])
def test_a_proxy_that_repeats_its_password(
    connect: Connect,
    kind: str,
    portal: BlockingPortal,
    monkeypatch: pytest.MonkeyPatch,
    password: str,
    source: str,
) -> None:
    """The password of a proxy is a secret of ours, too: in clear, and as it is sent."""
    with FaultyServer() as proxy:
        url = proxy.url.replace("http://", f"http://user:{QUOTED}@")
        proxy.on("*", Reply(raw=f"HTTP/9 {password}\r\n\r\n".encode(), after="close"))
        monkeypatch.setenv("HTTPS_PROXY", url if source == "environment" else "")
        plain, given = httpx.Client(proxy=url), httpx.AsyncClient(proxy=url)
        args = (
            {} if source == "environment" else {"http_client": plain if kind == "sync" else given}
        )
        client = connect(base_url="https://api.example.com", resilience=ONCE, **args)
        try:
            with pytest.raises(APIConnectionError) as caught:
                client.flows.get("f")
        finally:
            plain.close()
            portal.call(given.aclose)
        assert "canary" not in str(caught.value)
        assert ENCODED not in str(caught.value)
        assert "[redacted]" in str(caught.value)


@pytest.mark.parametrize(
    "args",
    [
        {"proxy": f"http://user:{QUOTED}@h"},
        {"proxy": httpx.Proxy("http://h", auth=("user", PASSWORD))},
        {"mounts": {"all://": httpx.HTTPTransport(proxy=f"http://user:{QUOTED}@h")}},
        {"transport": httpx.HTTPTransport(proxy=f"http://user:{QUOTED}@h")},
    ],
)
def test_the_password_of_any_proxy_is_known(args: dict[str, Any]) -> None:
    """For any configuration of a proxy, also in a client derived for stores."""
    client = HTTPClient("https://api.example.com", httpx_args=args)
    for known in (client.secrets(), client.anonymous().secrets()):
        assert {PASSWORD, ENCODED} <= {*known}


@pytest.mark.parametrize("location", ["/" + "a" * 65_530, "https://[", "?" + "é" * 30_000])
def test_a_location_that_cannot_be_followed(
    connect: Connect, server: FaultyServer, location: str
) -> None:
    """A redirect is the error of its status, wherever it leads."""
    server.on("/flows/f", Reply(b"", 302, {"Location": location}))
    with pytest.raises(APIStatusError) as caught:
        connect(server, resilience=ONCE).flows.get("f")
    assert caught.value.status_code == 302
