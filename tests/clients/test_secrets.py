"""Key, secret and signed URLs are in nothing that is shown, logged or stored."""

from __future__ import annotations

import contextlib
import logging
import pickle
import traceback
from typing import TYPE_CHECKING

import pytest

from dcipher import APIError, DcipherError, HTTPAuthenticatedClient, Run, Settings
from tests.faulty import RESET, Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Connect
    from tests.faulty import FaultyServer

KEY, SECRET, SIGNATURE = "canary-key-1", "canary-secret-2", "canary-signature-3"
CANARIES = (KEY, SECRET, SIGNATURE)


class Everything(logging.Handler):
    """Keeps each record of each logger, as text and in its parts."""

    def __init__(self) -> None:
        super().__init__(0)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts += [self.format(record), repr(record.args)]


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What every logger says at level 0."""
    handler, root = Everything(), logging.getLogger()
    names = ["dcipher", "httpx", "httpcore", "asyncio", "anyio", "tenacity"]
    loggers = [root, *map(logging.getLogger, names)]
    loggers += [logging.getLogger(f"httpcore.{part}") for part in ("connection", "http11", "proxy")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(1)
    root.addHandler(handler)
    yield handler.texts
    root.removeHandler(handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def assert_clean(text: str) -> None:
    for canary in CANARIES:
        assert canary not in text


def assert_error_is_clean(error: BaseException) -> None:
    shown = [str(error), repr(error), repr(vars(error)), repr(error.args)]
    shown.append("".join(traceback.format_exception(error)))
    shown.append(pickle.dumps(error).decode("latin-1"))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    shown += [str(again), repr(vars(again))]
    assert_clean("\n".join(shown))
    assert str(again) == str(error)
    assert type(again) is type(error)


@pytest.fixture
def secret_api(api: FaultyServer) -> FaultyServer:
    started = f'{{"taskId": "t", "signedResponseURL": "{api.url}/result?Signature={SIGNATURE}"}}'
    api.on("/flows/f/run", json_reply(started))
    return api


def test_a_whole_run_is_logged_without_secrets(
    connect: Connect, secret_api: FaultyServer, logged: list[str], tmp_path: Path
) -> None:
    """Neither the package nor httpx nor httpcore logs a secret, while everything goes well."""
    client = connect(secret_api, api_key=KEY, api_secret=SECRET)
    run = client.flows.run("f", save_path=tmp_path / "out.json")
    client.runs.read(run)
    list(client.runs.records(run))
    assert any("/result" in text for text in logged)
    assert_clean("\n".join(logged))
    assert_clean(f"{client!r} {vars(client)!r} {run!r} {run!s} {run.model_dump()} {run.to_json()}")
    assert_clean(pickle.dumps(run).decode("latin-1"))


@pytest.mark.parametrize(
    "location",
    [
        f"/other?Signature={SIGNATURE}",
        f"other?sv=1&tok={SIGNATURE}",
        f"//127.0.0.1:9/x?Signature={SIGNATURE}",
        f"http://192.0.2.1/x?Signature={SIGNATURE}",
        f"https://user:{SIGNATURE}@127.0.0.1:9/",
    ],
)
def test_a_redirect_of_the_store_is_logged_without_secrets(
    connect: Connect, secret_api: FaultyServer, logged: list[str], tmp_path: Path, location: str
) -> None:
    """The address to which a store redirects is a signed URL as well."""
    secret_api.on("/result", Reply(b"", 302, {"Location": location}))
    secret_api.on("/other", Reply(b"1"))
    client = connect(secret_api, api_key=KEY, max_retries=0)
    run = client.runs.refresh(client.flows.start("f"))
    with contextlib.suppress(DcipherError):
        client.runs.download(run, tmp_path / "out")
    assert_clean("\n".join(logged))


ECHOES = [
    json_reply(f'{{"message": "the key {KEY} is unknown"}}', 401),
    json_reply(f'{{"detail": [{{"loc": ["{KEY}"], "msg": "{KEY}"}}]}}', 422),
    Reply(f"<html>{KEY}".encode(), 403),
    Reply(b"", 404, {"X-Request-Id": KEY, "X-Echo": f"Api-Key {KEY}"}),
    Reply(b"", 302, {"Location": f"https://user:{KEY}@x.invalid/?key={KEY}"}),
    Reply(f"not json {KEY}".encode()),
    RESET,
]


@pytest.mark.parametrize("reply", ECHOES, ids=lambda reply: f"{reply.status} {reply.body[:9]!r}")
def test_errors_hold_no_secret(connect: Connect, server: FaultyServer, reply: Reply) -> None:
    """A service that repeats the key does not bring it into an error, its traceback or its pickle."""
    server.on("*", reply)
    client = connect(server, api_key=KEY, api_secret=SECRET, max_retries=0)
    for call in (client.flows.get, client.flows.start):
        with pytest.raises(APIError) as caught:
            call("f")
        assert_error_is_clean(caught.value)
        if (response := getattr(caught.value, "response", None)) is not None:
            assert_clean(f"{response.headers!r} {response.text} {response.request.headers!r}")


@pytest.mark.parametrize(
    "text", ['{"taskId": "t", "signedResponseURL": "%s",}', '{"signedResponseURL": "%s"}', '["%s"]']
)
def test_a_start_that_is_no_json_shows_no_url(
    connect: Connect, server: FaultyServer, text: str
) -> None:
    """An answer to a start that cannot be used may hold a signed URL: it is not repeated."""
    url = f"https://store.invalid/x?Signature={SIGNATURE}"
    server.on("*", Reply((text % url).encode()))
    with pytest.raises(APIError) as caught:
        connect(server, max_retries=0).flows.start("f")
    assert_error_is_clean(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"", 404),
        Reply(b"", 403),
        Reply(f"<Error><SignatureProvided>{SIGNATURE}</SignatureProvided></Error>".encode(), 403),
        Reply(f"no such signature: {SIGNATURE}".encode(), 400),
        Reply(b"x", 200, length=9, after="close"),
        Reply(b"", 302, {"Location": f"http://192.0.2.1/?Signature={SIGNATURE}"}),
        RESET,
    ],
    ids=lambda reply: f"{reply.status} {reply.body[:20]!r}",
)
def test_errors_of_a_store_hold_no_secret(
    connect: Connect, secret_api: FaultyServer, tmp_path: Path, reply: Reply
) -> None:
    """A store that repeats what it was asked for does not bring the signature into an error."""
    secret_api.on("/result", reply)
    client = connect(secret_api, api_key=KEY, max_retries=0)
    run = client.runs.refresh(client.flows.start("f"))
    with pytest.raises(DcipherError) as caught:
        client.runs.download(run, tmp_path / "out")
    assert_error_is_clean(caught.value)


def test_errors_of_a_run_hold_no_secret(connect: Connect, secret_api: FaultyServer) -> None:
    """The run in an error keeps its URL for whoever catches it, and shows it to nobody."""
    secret_api.on("/flows/f/status", json_reply('{"status": "FAILED"}'))
    client = connect(secret_api, api_key=KEY)
    run = client.flows.start("f")
    with pytest.raises(DcipherError) as caught:
        client.runs.wait(run, timeout=0)
    assert_error_is_clean(caught.value)
    url = caught.value.run.outputs[0].url  # type: ignore[attr-defined]
    assert url.get_secret_value().endswith(SIGNATURE)


def test_a_mistyped_url_is_not_shown(
    tmp_path: Path, connect: Connect, server: FaultyServer
) -> None:
    """A run whose URL does not fit the model is refused without it."""
    with pytest.raises(ValueError, match="outputs") as caught:
        Run.model_validate({"flow_id": "f", "task_id": "t", "outputs": [{"url": [SIGNATURE]}]})
    assert_clean(str(caught.value))


def test_values_show_no_secret() -> None:
    """Settings and HTTP clients show neither key nor secret."""
    settings = Settings(api_key=KEY, api_secret=SECRET)
    http = HTTPAuthenticatedClient("https://x.invalid", api_key=KEY, api_secret=SECRET)
    assert_clean(f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}")
    assert_clean(f"{http!r} {http} {http.headers} {http._signer()!r}")
    for value in (settings, http):
        with pytest.raises(TypeError):
            pickle.dumps(value)


def test_unexpected_statuses_hold_no_secret(server: FaultyServer) -> None:
    """A service that repeats the key does not bring it into an `UnexpectedStatus`."""
    server.on("*", Reply(f"your key is {KEY}".encode(), 418, {"X-Request-Id": KEY}))
    http = HTTPAuthenticatedClient(server.url, api_key=KEY, raise_on_unexpected_status=True)
    with http as opened, pytest.raises(DcipherError) as caught:
        opened.get_or_create_httpx_client().get("/flows/f")
    assert_error_is_clean(caught.value)
