"""No displayed, logged or stored text contains key, secret, passwords, cookies or signed URLs."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import pickle
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trustme

from dcipher import (
    AsyncDcipher,
    Dcipher,
    DcipherError,
    HTTPAuthenticatedClient,
    HTTPClient,
    Resilience,
    Run,
    Settings,
)
from tests.faulty import NOTHING, RESET, STALL, FaultyServer, Reply, json_reply
from tests.fuzz.leaks import Search
from tests.waiting import HANG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Connect
    from tests.faulty import Recorded

KEY, SECRET, PASSWORD = 'emu_canary/key+1="q', "canary/secret 2&x", "canary:password?3"
COOKIE, PROXY = "canary-cookie+4", "canary-proxy5"
SIGNED = {
    "S3": "X-Amz-Date=20240102T030405Z&X-Amz-Expires=604800000&X-Amz-Credential=canary-cred%2F6"
    "&X-Amz-Security-Token=canary-token%2B7&X-Amz-Signature=canary-s3-8",
    "GCS": "X-Goog-Date=20240102T030405Z&X-Goog-Expires=604800000&X-Goog-Signature=canary-gcs-9",
    "Azure": "sv=2024-01-01&se=2099-01-01T00%3A00%3A00Z&sp=r&sig=canary%2Fazure%2B10%3D",
    "CloudFront": "Expires=4070908800&Signature=canary~front_11&Key-Pair-Id=canary-pair-12",
}
SIGNATURES = {
    "credential": "canary-cred%2F6",
    "token": "canary-token%2B7",
    "S3": "canary-s3-8",
    "GCS": "canary-gcs-9",
    "Azure": "canary%2Fazure%2B10%3D",
    "CloudFront": "canary~front_11",
}
OURS = {"key": KEY, "secret": SECRET, **SIGNATURES}
"""What the client knows to be secret."""
EVERY_STATUS = pytest.mark.parametrize(
    "statuses",
    [
        pytest.param([200, 302, 401, 404, 409, 422, 429, 503], id="one of a kind"),
        pytest.param(
            [300, 307, 400, 403, 408, 418, 425, 500, 502, 599],
            id="the others",
            marks=pytest.mark.thorough,
        ),
    ],
)


@pytest.fixture
def search() -> Iterator[Search]:
    """Collects leaks, of all logs too; a test that leaves one fails."""
    found = Search(**OURS)
    with found.of_all_logs():
        yield found
        gc.collect()  # a client that was not closed warns
    assert found.looked_at > 0
    assert not found.found(), "\n".join(found.found())


def started(server: FaultyServer, store: str) -> Reply:
    url = f"{server.url}/result?{SIGNED[store]}"
    return json_reply(json.dumps({"taskId": "t", "signedResponseURL": url, "copy": {"of": [url]}}))


def echo(status: int, style: str) -> Callable[[Recorded], Reply]:
    """A service that answers with the request: its URL, its headers, its body."""

    def reply(request: Recorded) -> Reply:
        url = f"http://{request.headers['host']}{request.target}"
        lines = [f"{request.method} {url}", *(f"{n}: {v}" for n, v in request.pairs)]
        text = " | ".join(lines)
        if style == "message":
            return json_reply(json.dumps({"message": text, "headers": request.headers}), status)
        if style == "fields":
            detail = [{"loc": lines, "msg": text, "type": text}]
            named = {text: dict.fromkeys(lines, lines)}
            return json_reply(json.dumps({"detail": detail, "errors": detail, **named}), status)
        if style == "html":
            return Reply(f"<html><pre>{text}</pre>".encode(), status, {"Content-Type": "text/html"})
        if style == "escaped":
            escaped = "".join(f"\\u{ord(c):04x}" if not c.isalnum() else c for c in text)
            return json_reply(f'{{"message": "{escaped}", "a": "{escaped}"}}', status)
        if style == "reason":
            return Reply(raw=f"HTTP/1.1 {status} {text}\r\nContent-Length: 0\r\n\r\n".encode())
        if style == "location":
            return Reply(b"", status, {"Location": f"{url}#{request.headers.get('authorization')}"})
        assert style == "headers"
        repeated = {f"X-Echo-{n}": v for n, v in request.pairs}
        return Reply(b"", status, {"X-Request-Id": text, "Link": f"<{url}>; rel=x", **repeated})

    return reply


STYLES = ["message", "fields", "html", "escaped", "location"]


def caught(
    search: Search, where: str, call: Callable[[], object], **how: bool
) -> DcipherError | None:
    """Searches everything that a call returns or raises."""
    try:
        result = call()
    except DcipherError as error:
        search.error(where, error, **how)
        return error
    search.value(where, result)
    return None


@pytest.mark.parametrize("store", list(SIGNED))
def test_a_complete_run_shows_no_secret(
    connect: Connect, api: FaultyServer, search: Search, tmp_path: Path, store: str
) -> None:
    """From the start to the rows of the result, with every logger at its lowest level."""
    api.on("/flows/f/run", started(api, store))
    api.on(
        "/flows/f/status",
        json_reply('{"status": "RUNNING"}'),
        json_reply('{"status": "SUCCEEDED"}'),
    )
    client = connect(api, api_key=KEY, api_secret=SECRET)
    search.value("client", client)
    run = client.flows.start("f", {"n": 1})
    search.model("started", run)
    seen: list[Run] = []
    run = client.runs.wait(run, on_status=seen.append)
    run = run.model_copy(update={"files": client.runs.download(run, tmp_path / "out.json")})
    assert client.runs.read(run) == {"text": 1}
    assert list(client.runs.records(run)) == [{"text": 1}]
    for part in (run, *seen, *run.outputs):
        search.model("run", part)
    search.value("derived", client.with_options(headers={"X-A": "1"}))
    url = run.outputs[0].url
    assert url is not None
    assert url.get_secret_value().endswith(SIGNED[store])
    assert SIGNED[store] in run.to_json(reveal=True)


@EVERY_STATUS
@pytest.mark.parametrize("style", [*STYLES, "reason"])
def test_a_service_that_repeats_the_request(
    connect: Connect, server: FaultyServer, search: Search, style: str, statuses: list[int]
) -> None:
    """No error of any status repeats the key or a signed URL, in any notation."""
    client = connect(server, api_key=KEY, api_secret=SECRET, max_retries=0)
    _echoed(client, server, search, style, statuses)


@EVERY_STATUS
def test_headers_that_repeat_the_key_are_not_logged(
    connect: Connect, server: FaultyServer, statuses: list[int]
) -> None:
    """A header in which the service repeats the key is not in httpcore's log."""
    search = Search(**OURS)
    client = connect(server, api_key=KEY, max_retries=0)
    with search.of_all_logs():
        _echoed(client, server, search, "headers", statuses)
    assert not search.found(), "\n".join(search.found())


@EVERY_STATUS
def test_headers_that_repeat_the_key_are_in_no_error(
    connect: Connect, server: FaultyServer, statuses: list[int]
) -> None:
    """Nor does an error keep a header in which the service repeats the key."""
    search = Search(**OURS)  # without the logs
    client = connect(server, api_key=KEY, api_secret=SECRET, max_retries=0)
    _echoed(client, server, search, "headers", statuses)
    assert not search.found(), "\n".join(search.found())


def _echoed(
    client: Any, server: FaultyServer, search: Search, style: str, statuses: list[int]
) -> None:
    calls = {
        "flow": lambda: client.flows.get("f"),
        "start": lambda: client.flows.start("f"),
        "status": lambda: client.runs.get("f", "t"),
    }
    for status in statuses:
        server.on("*", echo(status, style))
        for name, call in calls.items():
            assert caught(search, f"{name} {status} {style}", call) is not None


@EVERY_STATUS
@pytest.mark.parametrize("style", ["message", "html", "headers"])
def test_a_service_that_answers_with_the_users_headers(
    connect: Connect, server: FaultyServer, style: str, statuses: list[int]
) -> None:
    """A password or a cookie that the user sends in a header of their own is a secret, too."""
    search = Search(password=PASSWORD, cookie=COOKIE)
    headers = {"X-Password": PASSWORD, "Cookie": f"session={COOKIE}"}
    client = connect(server, api_key=KEY, headers=headers, max_retries=0)
    search.value("client", client)
    _echoed(client, server, search, style, statuses)
    assert not search.found(), "\n".join(search.found())


def test_headers_of_the_user_are_not_shown(
    connect: Connect, api: FaultyServer, tmp_path: Path
) -> None:
    """Passwords and cookies are in no log, repr or error, either."""
    search = Search(password=PASSWORD, cookie=COOKIE, **OURS)
    headers = {"X-Password": PASSWORD, "Cookie": f"session={COOKIE}"}
    with search.of_all_logs():
        client = connect(api, api_key=KEY, headers=headers, max_retries=0, timeout=0.5)
        search.value("client", client)
        search.value("derived", client.with_options(headers=headers))
        caught(search, "run", lambda: client.flows.run("f", save_path=tmp_path / "out"))
        for reply in (Reply(b"", 500), RESET, STALL, Reply(b"{}")):
            api.on("*", reply)
            api.on("/flows/f/run", reply)
            assert caught(search, "start", lambda: client.flows.start("f")) is not None
    assert not search.found(), "\n".join(search.found())


HEADS = [
    "HTTP/1.1 200 OK\r\n{} no colon\r\n\r\n",
    "HTTP/1.1 {}\r\n\r\n",
    "{}\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: {}\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}\r\n",
    "HTTP/1.1 200 OK\r\nX-Echo: \x00{}\r\n\r\n",
]


@pytest.mark.parametrize("head", HEADS)
def test_a_head_that_cannot_be_parsed(
    connect: Connect, server: FaultyServer, search: Search, head: str
) -> None:
    """Httpcore quotes the line that it cannot parse, in its exception and in its log: not with a key."""

    def reply(request: Recorded) -> Reply:
        output = " ".join(f"{n} {v.replace(':', ' ')}" for n, v in request.pairs) + request.target
        return Reply(raw=head.format(output).encode(), after="close")

    server.on("*", reply)
    client = connect(server, api_key=KEY, api_secret=SECRET, max_retries=1)
    for call in (client.flows.get, client.flows.start):
        assert caught(search, "call", lambda call=call: call("f")) is not None  # type: ignore[misc]


@pytest.mark.parametrize("store", list(SIGNED))
def test_a_store_that_answers_with_the_request(
    connect: Connect, api: FaultyServer, search: Search, tmp_path: Path, store: str
) -> None:
    """No error of a download repeats the signature: status, redirect, rubbish, lost connection."""
    api.on("/flows/f/run", started(api, store))
    client = connect(api, api_key=KEY, max_retries=0)
    run = client.runs.refresh(client.flows.start("f"))
    client = client.with_options(timeout=0.2)
    replies: list[Any] = [echo(s, style) for s in (400, 403) for style in STYLES]
    replies += [echo(302, "location"), RESET, NOTHING, STALL, Reply(b"x", length=9, after="close")]
    replies += [
        lambda r, head=head: Reply(raw=head.format(r.target).encode(), after="close")
        for head in HEADS
    ]
    replies += [echo(403, "reason"), Reply(b"x", headers={"Content-Encoding": "br"})]
    replies += [Reply(b"x", headers={"Repr-Digest": f"sha-256=:{'A' * 43}=:"})]
    for at, reply in enumerate(replies):
        api.on("/result", reply)
        where = f"download {at}"
        caught(search, where, lambda: client.runs.download(run, tmp_path / "out"))
        caught(search, where, lambda: client.runs.read(run, list[int]))
        caught(search, where, lambda: list(client.runs.records(run, int)))


LOCATIONS = [
    "/other?{}",
    "other?{}",
    "//127.0.0.1:9/x?{}",
    "http://192.0.2.1/x?{}",
    "https://user:canary-s3-8@127.0.0.1:9/",
    "/other?a b&{}",
    "other? {}",
    "//[?{}",
    "\t?a\x01b{}",
]


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_store_that_redirects(
    connect: Connect, api: FaultyServer, search: Search, tmp_path: Path, location: str
) -> None:
    """The target of a redirect is a signed URL, too, in any notation."""
    api.on("/flows/f/run", started(api, "S3"))
    api.on("/result", Reply(b"", 302, {"Location": location.format(SIGNED["S3"])}))
    api.on("/other", Reply(b"1"))
    client = connect(api, api_key=KEY, max_retries=0)
    run = client.runs.refresh(client.flows.start("f"))
    caught(search, "redirect", lambda: client.runs.download(run, tmp_path / "out"))
    caught(search, "redirect", lambda: client.runs.read(run))


def test_a_status_that_repeats_the_url(connect: Connect, api: FaultyServer, search: Search) -> None:
    """If the message of the service has the URL of the result, it is redacted."""
    api.on("/flows/f/run", started(api, "S3"))
    url = f"https://s/r?{SIGNED['S3']}"
    for status in ("FAILED", "RUNNING", "CANCELLED", f"writing to {url}"):
        output = {"status": status, "message": f"cannot write {url} with {KEY}", "at": [url, KEY]}
        api.on("/flows/f/status", json_reply(json.dumps(output)))
        client = connect(api, api_key=KEY)
        run = client.flows.start("f")
        search.model("refreshed", client.runs.refresh(run))
        caught(search, status, lambda: client.runs.wait(run, timeout=0))  # noqa: B023 - called at once
        caught(search, status, lambda: client.runs.download(run, "unused"))  # noqa: B023 - called at once


@pytest.mark.parametrize(
    "text",
    [
        '{"taskId": "t", "signedResponseURL": "%s",}',
        '{"signedResponseURL": "%s"}',
        '["%s"]',
        "<p>%s",
        '{"taskId": "..", "signedResponseURLs": ["%s"]}',
    ],
)
def test_an_unusable_start_response(
    connect: Connect, server: FaultyServer, search: Search, text: str
) -> None:
    """It may contain a signed URL, which is not repeated."""
    server.on("*", Reply((text % f"https://s/x?{SIGNED['S3']}").encode()))
    client = connect(server, api_key=KEY, max_retries=0)
    assert caught(search, "start", lambda: client.flows.start("f")) is not None


def test_an_invalid_url() -> None:
    """A run whose URL is invalid is rejected without it."""
    search = Search(**OURS)
    with pytest.raises(ValueError, match="outputs") as refused:
        Run.model_validate({"flow_id": "f", "task_id": "t", "outputs": [{"url": [SIGNED["S3"]]}]})
    search.text("error", f"{refused.value} {refused.value!r}")
    assert not search.found(), "\n".join(search.found())


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A closed port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_connections_that_fail(connect: Connect, silent_port: int, search: Search) -> None:
    """Errors for refused connections and untrusted certificates have no key, and nothing of a result's URL."""
    certificate = trustme.CA().issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with FaultyServer(context) as secure:
        for base_url in (secure.url, f"http://127.0.0.1:{silent_port}"):
            client = connect(base_url=base_url, api_key=KEY, api_secret=SECRET, max_retries=0)
            for call in (client.flows.get, client.flows.start):
                error = caught(search, base_url, lambda call=call: call("f"))  # type: ignore[misc]
                assert error is not None
            for store in SIGNED.values():
                url = f"{base_url}/result?{store}"
                run = Run.model_validate(
                    {
                        "flow_id": "f",
                        "task_id": "t",
                        "status": "SUCCEEDED",
                        "outputs": [{"url": url}],
                    }
                )
                assert caught(search, "store", lambda run=run: client.runs.read(run))  # type: ignore[misc]  # noqa: B023


def test_calls_that_cannot_work(
    connect: Connect, api: FaultyServer, search: Search, tmp_path: Path
) -> None:
    """Wrong arguments, files that cannot be written, results that do not fit, timeouts, a closed client."""
    api.on("/flows/f/run", started(api, "Azure"))
    client = connect(api, api_key=KEY, api_secret=SECRET, max_retries=0)
    run = client.runs.refresh(client.flows.start("f"))
    nowhere = Run(flow_id="f", task_id="t", status="SUCCEEDED")
    calls: dict[str, Callable[[], object]] = {
        "missing folder": lambda: client.runs.download(run, tmp_path / "no" / "out"),
        "folder": lambda: client.runs.download(run, tmp_path),
        "folder first": lambda: client.flows.run("f", save_path=tmp_path),
        "type": lambda: client.runs.read(run, list[int]),
        "rows": lambda: list(client.runs.records(run, int)),
        "unknown URL": lambda: client.runs.read(nowhere),
        "index": lambda: client.runs.read(run, output_index=5),
        "id": lambda: client.flows.get(".."),
        "params": lambda: client.flows.start("f", {"n": {1}}),
        "no run": lambda: client.runs.wait("t"),
        "key": lambda: client.flows.start("f", idempotency_key="a b"),
    }
    for name, call in calls.items():
        assert caught(search, name, call) is not None, name
    api.on("/flows/f/status", json_reply('{"status": "RUNNING"}'))
    fresh = client.flows.start("f")
    assert caught(search, "wait", lambda: client.runs.wait(fresh, timeout=0)) is not None
    api.on("/flows/f/status", STALL)
    hasty = client.with_options(timeout=0.2)
    assert caught(search, "stall", lambda: hasty.runs.refresh(fresh)) is not None
    client.close()
    assert caught(search, "closed", lambda: client.runs.read(run)) is not None


def test_a_cancelled_call(api: FaultyServer, search: Search, tmp_path: Path) -> None:
    """A call that is cancelled while it waits shows nothing, in logs, notes and tracebacks."""
    api.on("/flows/f/run", started(api, "GCS"))
    api.on("/result", STALL)

    async def cancelled() -> None:
        async with AsyncDcipher(KEY, api_secret=SECRET, base_url=api.url) as client:
            run = await client.runs.refresh(await client.flows.start("f"))
            calls = [
                lambda: client.runs.read(run),
                lambda: client.runs.download(run, tmp_path / "out"),
                lambda: client.flows.run("f", save_path=tmp_path / "out"),
            ]
            for call in calls:
                try:
                    with anyio.fail_after(0.2):
                        await call()
                except TimeoutError as error:
                    search.error("cancelled", error)

    anyio.run(cancelled)


def test_settings_and_clients() -> None:
    """Settings and HTTP clients show neither key nor secret, and do not pickle."""
    search = Search(password=PASSWORD, cookie=COOKIE, **OURS)
    settings = Settings(api_key=KEY, api_secret=SECRET)
    http = HTTPAuthenticatedClient(
        "https://x.invalid",
        api_key=KEY,
        api_secret=SECRET,
        headers={"X-Password": PASSWORD},
        cookies={"session": COOKIE},
    )
    search.value("settings", settings)
    search.text("settings", f"{settings.model_dump()} {settings.model_dump_json()}")
    search.text("http", f"{http!r} {http} {http._signer()!r} {http.with_timeout(1)!r}")
    for value in (settings, http):
        with pytest.raises(TypeError) as error:
            pickle.dumps(value)
        search.error("pickle", error.value)
    assert not search.found(), "\n".join(search.found())


@pytest.mark.parametrize("name", ["api_key", "api_secret", "base_url", "timeout", "max_retries"])
@pytest.mark.parametrize("value", [f"{KEY}\n{KEY}", f"https://u:{KEY}@h/", f"é{KEY}", f"{KEY} x"])
def test_invalid_settings(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error for a key in the wrong setting, or with a blank, does not show it."""
    search = Search(key=KEY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"DCIPHER_{name.upper()}", value)
    for read in (Settings, Dcipher, AsyncDcipher):
        try:
            read()
        except DcipherError as error:
            search.text("error", f"{error} {error!r} {vars(error)} {error.__cause__!r}")
    assert not search.found(), "\n".join(search.found())


def test_unexpected_statuses_have_no_secret(server: FaultyServer, search: Search) -> None:
    """A key that the service repeats is not in an `UnexpectedStatus`."""
    _unexpected(server, search, frames=False)


def test_frames_of_unexpected_statuses_have_no_secret(server: FaultyServer) -> None:
    """Nor in the variables of a frame of the package, which error reporters store."""
    search = Search(**OURS)
    _unexpected(server, search, frames=True)
    assert not search.found(), "\n".join(search.found())


def _unexpected(server: FaultyServer, search: Search, *, frames: bool) -> None:
    for style in STYLES:
        server.on("*", echo(418, style))
        http = HTTPAuthenticatedClient(server.url, api_key=KEY, raise_on_unexpected_status=True)
        with http as opened:
            get = opened.get_or_create_httpx_client().get
            assert caught(search, style, lambda get=get: get("/flows/f"), frames=frames)  # type: ignore[misc]


def test_hidden_causes_have_no_signature(connect: Connect, api: FaultyServer) -> None:
    """The hidden causes of an error do not contain the signed URL, either."""
    search = Search(**OURS)
    api.on("/flows/f/run", started(api, "S3"))
    api.on("/result", RESET)
    client = connect(api, api_key=KEY, max_retries=0)
    run = client.runs.refresh(client.flows.start("f"))
    assert caught(search, "read", lambda: client.runs.read(run), suppressed=True) is not None
    assert not search.found(), "\n".join(search.found())


def test_a_proxy_with_a_password(
    server: FaultyServer, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password of a proxy is in no log, repr or error; not in that of a proxy which cannot be used."""
    search = Search(proxy=PROXY, **OURS)
    proxy = f"http://user:{PROXY}@127.0.0.1:{server.port}"
    with search.of_all_logs():
        for given in ({"proxy": proxy}, {}):
            if not given:
                monkeypatch.setenv("HTTP_PROXY", proxy)
                monkeypatch.setenv("HTTPS_PROXY", proxy)
            for url in ("http://192.0.2.1", "https://192.0.2.1"):
                http = HTTPAuthenticatedClient(url, api_key=KEY, httpx_args=given, timeout=0.2)
                with Dcipher(http_client=http, max_retries=0, allow_insecure=True) as client:
                    search.value("client", client)
                    for reply in (Reply(b"no", 407), Reply(b"", 502), RESET, STALL):
                        server.on("*", reply)
                        server.on("192.0.2.1:443", reply)
                        assert caught(search, url, lambda c=client: c.flows.get("f"))  # type: ignore[misc]
        for bad in (f"ftp://user:{PROXY}@h", f"http://user:{PROXY}@h:x", f"http://user:{PROXY}@["):
            monkeypatch.setenv("HTTP_PROXY", bad)
            for make in (lambda: Dcipher(KEY), lambda: HTTPClient("https://h")):
                try:
                    make()
                except DcipherError as error:
                    # Its frames have what the environment and the caller gave as variables.
                    search.error(bad.replace(PROXY, "…"), error, frames=False)
    assert not search.found(), "\n".join(search.found())


CHILD = """
import asyncio, sys
import dcipher
from dcipher import AsyncDcipher, Dcipher
kind, url = sys.argv[1:]
if kind == "uncaught":
    Dcipher(base_url=url, max_retries=1).flows.start("f")
elif kind == "unclosed":
    client = Dcipher(base_url=url)
    run = client.flows.run("f", save_path="out")
    print(client, run, repr(run), vars(run))
    del client
elif kind == "async unclosed":
    async def main():
        client = AsyncDcipher(base_url=url)
        print(await client.flows.run("f"))
    asyncio.run(main())
elif kind == "bad key":
    Dcipher(base_url=url, api_key=sys.stdin.read())
"""


@pytest.mark.parametrize("kind_of_end", ["uncaught", "unclosed", "async unclosed", "bad key"])
def test_a_program_that_ends(api: FaultyServer, tmp_path: Path, kind_of_end: str) -> None:
    """Neither stdout nor stderr of a program shows a secret: a traceback, a warning, the log at debug."""
    api.on("/flows/f/run", started(api, "S3"))
    if kind_of_end == "uncaught":
        api.on("/flows/f/run", echo(401, "message"))
    search = Search(**OURS)
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-X", "dev", "-c", CHILD, kind_of_end, api.url],
        capture_output=True,
        text=True,
        input=f"{KEY} {KEY}",
        cwd=tmp_path,
        timeout=5 * HANG,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "DCIPHER_API_KEY": KEY,
            "DCIPHER_API_SECRET": SECRET,
            "DCIPHER_LOG": "debug",
        },
        check=False,
    )
    assert done.returncode == (kind_of_end in {"uncaught", "bad key"}), done.stderr
    assert done.stdout or done.stderr
    search.text("stdout", done.stdout)
    search.text("stderr", done.stderr)
    assert not search.found(), "\n".join(search.found())


def test_the_emulator_shows_no_secret(
    capfd: pytest.CaptureFixture[str], search: Search, tmp_path: Path
) -> None:
    """Neither its output nor its journal, repr, document or log shows its key, secret or URLs."""
    pytest.importorskip("fastapi")
    from dcipher.emulator import Emulator

    with Emulator(api_key=KEY, api_secret=SECRET, queue_time=0.0) as emulator:

        @emulator.flow("f")
        def f(n: int = 1) -> int:
            return n // (n - 2)

        with Dcipher(KEY, api_secret=SECRET, base_url=emulator.url) as client:
            run = client.flows.run("f", {"n": 1}, save_path=tmp_path / "out")
            for params in ({"n": 2}, {"n": "x"}, {"m": 1}):
                caught(search, "flow", lambda params=params: client.flows.run("f", params))  # type: ignore[misc]
        with Dcipher("emu_another-key", base_url=emulator.url) as other:
            assert caught(search, "other key", lambda: other.flows.get("f")) is not None
        url = run.outputs[0].url
        assert url is not None
        own = Search(signed=url.get_secret_value().partition("Signature=")[2], **OURS)
        with HTTPClient(emulator.url) as plain:
            text = plain.get_or_create_httpx_client().get("/openapi.json").text
        for name, shown in (("document", text), ("emulator", f"{emulator!r} {emulator}")):
            own.text(name, shown)
        # The path that a caller asked for is the caller's own.
        for record in emulator.requests:
            own.text("journal", f"{record.query} {record.headers} {record.idempotency_key}")
    out, err = capfd.readouterr()
    own.text("stdout", out)
    own.text("stderr", err)
    assert not own.found(), "\n".join(own.found())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_no_logger_shows_a_secret_whichever_loop_runs(
    api: FaultyServer, search: Search, tmp_path: Path, backend: str
) -> None:
    """Every record of every logger, of asyncio's debug mode too, from the start to an error."""
    api.on("/flows/f/run", started(api, "S3"))

    async def main() -> None:
        if backend == "asyncio":
            loop = asyncio.get_running_loop()
            loop.set_debug(True)
            loop.slow_callback_duration = 0.0  # each one is told of
        async with AsyncDcipher(
            KEY, api_secret=SECRET, base_url=api.url, resilience=Resilience(max_retries=1)
        ) as client:
            run = await client.flows.run("f", {"n": 1}, save_path=tmp_path / "out")
            run = run.model_copy(update={"files": ()})  # not read from there
            assert await client.runs.read(run) == {"text": 1}
            api.on("/result", RESET, Reply(b"no", 403))
            with pytest.raises(DcipherError):
                await client.runs.read(run)

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("level", [1, 5])
def test_a_server_that_logs_everything_shows_no_signature(
    caplog: pytest.LogCaptureFixture, level: int
) -> None:
    """The emulator's uvicorn, with the root logger at its lowest level: each scope is in its log."""
    pytest.importorskip("fastapi")
    from dcipher.emulator import Emulator

    caplog.set_level(level)
    for name in (
        "uvicorn.asgi",
        "uvicorn.error",
    ):  # another server of this process may have set one
        caplog.set_level(level, name)
    with Emulator(api_key=KEY, api_secret=SECRET, queue_time=0.0) as emulator:
        emulator.flow("f")(lambda: 1)
        with Dcipher(KEY, api_secret=SECRET, base_url=emulator.url) as client:
            run = client.flows.run("f")
            assert client.runs.read(run) == 1
    url = run.outputs[0].url
    assert url is not None
    own = Search(signed=url.get_secret_value().partition("Signature=")[2], **OURS)
    for record in caplog.records:
        own.emit(record)
    assert not own.found(), "\n".join(own.found())
    assert "query_string" in caplog.text
