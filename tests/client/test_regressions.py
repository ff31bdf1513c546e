"""Regression tests: each fixed defect stays fixed."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from dcipher import (
    APIConnectionError,
    APIStatusError,
    AsyncDcipher,
    AuthenticationError,
    ConfigurationError,
    Dcipher,
    DcipherError,
    HTTPAuthenticatedClient,
    InvalidParamsError,
    NotFoundError,
    Output,
    ResultError,
    Run,
    RunStatus,
    WaitTimeoutError,
)
from tests.conftest import KEY, QUICK
from tests.faulty import STALL, Reply, json_reply
from tests.waiting import HANG

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
    from pathlib import Path

    from anyio.from_thread import BlockingPortal

    from tests.conftest import Connect, Kind
    from tests.faulty import FaultyServer

CANARY = "canary-signature-7"
LARGE = bytes(2 * 1024 * 1024 + 1)
"""A result of which progress is reported before its end."""
BAD_LOCATIONS = ["https:foo", "mailto:a@b", "http://xn--/"]


def finished(url: str) -> Run:
    """A run that has succeeded, with its one result at `url`."""
    return Run(flow_id="f", task_id="t", status="SUCCEEDED", outputs=(Output(url=url),))


def few_connections(server: FaultyServer, most: int, **options: Any) -> HTTPAuthenticatedClient:
    limits = httpx.Limits(max_connections=most)
    return HTTPAuthenticatedClient(
        server.url, api_key=KEY, httpx_args={"limits": limits}, **options
    )


async def async_callback(*_: object) -> None:
    await anyio.lowlevel.checkpoint()


# Cancelled, interrupted, closed.


def test_cancelled_by_asyncio(api: FaultyServer) -> None:
    """150 calls that `asyncio.wait_for` cancelled at any moment leave a pool of two connections as it was."""
    whole = Reply(b'{"id": "f"}', framing="chunked", delay=0.002)
    # The end of the body comes after the rest: a cancellation falls between the two, and into the closing.
    api.on("/flows/slow", whole, Reply(b'{"id": "f"}', framing="chunked", trickle=0.00002))

    async def main() -> str:
        async with AsyncDcipher(http_client=few_connections(api, 2), resilience=QUICK) as client:
            for number in range(150):
                try:
                    await asyncio.wait_for(client.flows.get("slow"), (number + 1) * 0.0001)
                except asyncio.TimeoutError:
                    continue
            found = [await asyncio.wait_for(client.flows.get("f"), HANG) for _ in range(3)]
            return found[-1].id

    assert asyncio.run(main()) == "f"


class CancelledAt:
    """Awaits a call, and cancels its task natively at its so many-th suspension."""

    def __init__(self, call: Coroutine[Any, Any, Any], step: int) -> None:
        self._call = call
        self._step = step

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._call.__await__()
        go_on: Callable[[], Any] = partial(steps.send, None)
        for number in count():
            try:
                future = go_on()
            except StopIteration as done:
                return done.value
            task = asyncio.current_task()
            if number == self._step and task is not None:
                task.cancel()
            try:
                yield future
            except BaseException as error:  # noqa: BLE001 - it belongs to the call
                go_on = partial(steps.throw, error)
            else:
                go_on = partial(steps.send, None)
        raise AssertionError


def test_cancelled_by_asyncio_at_each_step(api: FaultyServer) -> None:
    """A cancellation at any suspension of a call, closing included, releases the connection."""
    api.on("/flows/f", Reply(b'{"id": "f"}', framing="chunked"))
    outcomes: list[bool] = []

    async def call(client: AsyncDcipher, step: int) -> bool:
        try:
            await CancelledAt(client.flows.get("f"), step)
        except asyncio.CancelledError:
            return False
        return True

    async def main() -> None:
        async with AsyncDcipher(http_client=few_connections(api, 2), resilience=QUICK) as client:
            for step in range(50):
                for warm in (True, False, False):
                    if warm:
                        await asyncio.wait_for(client.flows.get("f"), HANG)
                    outcomes.append(await asyncio.create_task(call(client, step)))
            for _ in range(3):
                await asyncio.wait_for(client.flows.get("f"), HANG)

    asyncio.run(main())
    # Each step of a call was cancelled: with the last of them, calls came to their end.
    assert not any(outcomes[:3])
    assert all(outcomes[-3:])


def test_a_cancelled_download_does_not_keep_the_process(api: FaultyServer) -> None:
    """A program that cancels a download before the response of the store ends at once."""
    api.on("/result", STALL)
    code = f"""
import asyncio, sys
from dcipher import AsyncDcipher, Output, Run

async def main():
    run = Run(flow_id="f", task_id="t", status="SUCCEEDED", outputs=(Output(url="{api.url}/result"),))
    async with AsyncDcipher("k", base_url="{api.url}", timeout=600) as client:
        task = asyncio.create_task(client.runs.read(run))
        await asyncio.to_thread(sys.stdin.readline)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled")

asyncio.run(main())
"""
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert api.arrived("/result")
        output, _ = process.communicate("cancel\n", timeout=HANG)
    assert output.strip() == "cancelled"
    assert process.returncode == 0
    assert len(api.seen("/result")) == 1


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="before Python 3.11, exceptions have no notes"
)
def test_an_interrupted_start_has_a_note_with_its_key(kind: Kind) -> None:
    """After Ctrl-C during a start, a note has the idempotency key to repeat it."""

    def interrupted(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    options: dict[str, Any] = {
        "base_url": "https://dcipher.invalid",
        "transport": httpx.MockTransport(interrupted),
    }

    async def started_async() -> list[str]:
        async with AsyncDcipher(KEY, **options) as client:
            with pytest.raises(KeyboardInterrupt) as caught:
                await client.flows.start("f", idempotency_key="key-of-mine")
            return caught.value.__notes__

    def started() -> list[str]:
        with Dcipher(KEY, **options) as client:
            with pytest.raises(KeyboardInterrupt) as caught:
                client.flows.start("f", idempotency_key="key-of-mine")
            return caught.value.__notes__

    notes = started() if kind == "sync" else anyio.run(started_async)
    assert any("idempotency_key='key-of-mine'" in note for note in notes)


def test_closed_with_a_call_in_flight(connect: Connect, api: FaultyServer) -> None:
    """A call in progress while its client is closed leaves no connection open."""
    api.on("/flows/slow", Reply(b'{"id": "slow"}', delay=0.3))
    client = connect(api)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(client.flows.get, "slow")
            assert api.arrived("/flows/slow")
            client.close()
            assert call.result(HANG).id == "slow"
    assert api.open_connections() == 0


# Callbacks.


@pytest.mark.parametrize("callback", [5, "print", object()])
def test_a_callback_that_cannot_be_called(
    connect: Connect, api: FaultyServer, tmp_path: Path, callback: object
) -> None:
    """A callback that is not a function is rejected before anything is sent."""
    assert_refused(connect(api), api, tmp_path, callback)


def test_an_async_callback_of_the_sync_client(api: FaultyServer, tmp_path: Path) -> None:
    """The blocking client, which would never await it, rejects an async callback before anything is sent."""
    with Dcipher(KEY, base_url=api.url, resilience=QUICK) as client:
        assert_refused(client, api, tmp_path, async_callback)


def assert_refused(client: Any, api: FaultyServer, folder: Path, callback: object) -> None:
    run = Run(flow_id="f", task_id="t")
    with pytest.raises(InvalidParamsError, match="on_status"):
        client.flows.run("f", on_status=callback)
    with pytest.raises(InvalidParamsError, match="on_status"):
        client.runs.wait(run, on_status=callback)
    with pytest.raises(InvalidParamsError, match="on_progress"):
        client.runs.download(run, folder / "result", on_progress=callback)
    assert not api.requests


@pytest.mark.parametrize("way", ["network", "transport"])
def test_an_error_of_httpx_from_a_callback(
    connect: Connect, api: FaultyServer, tmp_path: Path, way: str
) -> None:
    """An error of httpx in `on_progress` is raised unchanged: the result is not requested again."""
    mine = httpx.ReadError("mine")
    api.on("/result", Reply(LARGE))
    requests: list[httpx.Request] = []

    def response(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, stream=Streamed(LARGE))

    def fail(*_: object) -> None:
        raise mine

    through = {"transport": httpx.MockTransport(response)} if way == "transport" else {}
    with pytest.raises(httpx.ReadError) as caught:
        connect(api, **through).runs.download(
            finished(f"{api.url}/result"), tmp_path / "result", on_progress=fail
        )
    assert caught.value is mine
    assert len(requests) + len(api.seen("/result")) == 1
    assert not list(tmp_path.iterdir())


class UnreadableError(Exception):
    """An error whose text cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError("there is no text")


@pytest.mark.parametrize(
    "mine", [DcipherError("mine"), UnreadableError()], ids=["dcipher", "unreadable"]
)
def test_any_error_of_a_callback(
    connect: Connect, api: FaultyServer, tmp_path: Path, mine: Exception
) -> None:
    """The exception of a callback is raised, also `DcipherError` itself, or one without a text."""

    def fail(*_: object) -> None:
        raise mine

    client = connect(api)
    with pytest.raises(type(mine)) as caught:
        client.flows.run("f", on_status=fail)
    assert caught.value is mine
    with pytest.raises(type(mine)) as caught:
        client.runs.download(finished(f"{api.url}/result"), tmp_path / "r", on_progress=fail)
    assert caught.value is mine
    assert client.flows.get("f").name == "F"


# The network.


class Streamed(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that is not there yet when its head is."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


class AsyncOnly(httpx.AsyncBaseTransport):
    """A transport that is async and nothing else."""

    def __init__(self) -> None:
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.lowlevel.checkpoint()
        body = b'{"id": "f"}' if request.url.host == "dcipher.invalid" else b"[1, 2]"
        return httpx.Response(200, stream=Streamed(body))

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_transport_that_is_only_async(backend: str, tmp_path: Path) -> None:
    """An async client over a transport without a sync side calls, downloads, and closes it."""
    transport = AsyncOnly()

    async def main() -> None:
        async with AsyncDcipher(
            KEY, base_url="https://dcipher.invalid", transport=transport
        ) as client:
            assert (await client.flows.get("f")).id == "f"
            run = finished("https://store.invalid/result")
            assert await client.runs.read(run, list[int]) == [1, 2]
            await client.runs.download(run, tmp_path / "result")

    anyio.run(main, backend=backend)
    assert json.loads((tmp_path / "result").read_bytes()) == [1, 2]
    assert transport.closed


def test_a_result_that_a_transport_has_in_memory(connect: Connect, tmp_path: Path) -> None:
    """A result that a transport of the user returns in one piece is saved and read like any other."""
    client = connect(
        base_url="https://dcipher.invalid",
        transport=httpx.MockTransport(lambda _: httpx.Response(200, json=[1, 2])),
    )
    run = finished("https://store.invalid/result")
    assert client.runs.read(run) == [1, 2]
    (path,) = client.runs.download(run, tmp_path / "result")
    assert json.loads(path.read_bytes()) == [1, 2]


@pytest.mark.parametrize("status", [403, 500])
def test_an_error_response_that_a_transport_has_in_memory(connect: Connect, status: int) -> None:
    """A rejected result is a `ResultError`, also if its body is in memory already."""
    client = connect(
        base_url="https://dcipher.invalid",
        transport=httpx.MockTransport(lambda _: httpx.Response(status, text="no")),
        max_retries=0,
    )
    with pytest.raises(ResultError):
        client.runs.read(finished("https://store.invalid/result"))


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_for_this_machine(
    connect: Connect, api: FaultyServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Calls and downloads to this machine are sent directly, with any proxy in the environment."""
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    client = connect(api, max_retries=0)
    assert client.flows.get("f").id == "f"
    assert client.runs.read(finished(f"{api.url}/result")) == {"text": 1}


def test_a_body_that_breaks_in_a_retry_releases_its_permit(
    kind: Kind, server: FaultyServer, portal: BlockingPortal
) -> None:
    """A 500 that is cut off while the retrying transport reads it does not cost the pool its one connection."""
    cut_off = Reply(b"oops", 500, length=100, after="close")
    server.on("/x", cut_off, cut_off, json_reply("1"))
    http = few_connections(server, 1, timeout=2.0, resilience=QUICK)

    async def twice() -> list[int]:
        async with http:
            client = http.get_or_create_async_httpx_client()
            return [(await client.get("/x")).status_code for _ in range(2)]

    if kind == "sync":
        with http:
            client = http.get_or_create_httpx_client()
            statuses = [client.get("/x").status_code for _ in range(2)]
    else:
        statuses = portal.call(twice)
    assert statuses == [200, 200]
    assert len(server.seen("/x")) == 4


@pytest.mark.parametrize("location", BAD_LOCATIONS)
def test_a_redirect_to_nowhere(connect: Connect, api: FaultyServer, location: str) -> None:
    """A redirect whose Location cannot be used is the status 302, not a failure of the connection."""
    api.on("/flows/f", Reply(b"", 302, {"Location": location}))
    with pytest.raises(APIStatusError) as caught:
        connect(api).flows.get("f")
    assert caught.value.status_code == 302
    assert len(api.seen("/flows/f")) == 1


@pytest.mark.parametrize("location", BAD_LOCATIONS)
def test_a_result_that_is_redirected_to_nowhere(
    connect: Connect, api: FaultyServer, location: str
) -> None:
    """A result whose redirect cannot be followed is a `ResultError`."""
    api.on("/result", Reply(b"", 302, {"Location": location}))
    with pytest.raises(ResultError):
        connect(api).runs.read(finished(f"{api.url}/result"))
    assert len(api.seen("/result")) == 1


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example", "xn--"])
def test_a_result_at_an_impossible_host(connect: Connect, host: str) -> None:
    """A signed URL with an invalid host is a `ResultError`, without its signature."""
    run = finished(f"https://{host}/result?Signature={CANARY}")
    with pytest.raises(ResultError) as caught:
        connect(base_url="https://dcipher.invalid", max_retries=0).runs.read(run)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "line", [f"HTTP/1.1 oops {KEY}", f"{KEY} 200 OK", f"HTTP/1.1 200 OK\r\n{KEY}"]
)
def test_a_malformed_response_that_repeats_the_key(
    connect: Connect, api: FaultyServer, line: str
) -> None:
    """A key in a line that is not HTTP is in no error."""
    api.on("/flows/f", Reply(raw=f"{line}\r\n\r\n".encode(), after="close"))
    with pytest.raises(APIConnectionError) as caught:
        connect(api, max_retries=0).flows.get("f")
    error: BaseException | None = caught.value
    while error is not None:
        assert KEY not in f"{error!s} {error!r}"
        error = error.__cause__


# Runs, and what is known of them.


def test_an_unknown_field_that_is_a_signed_url(connect: Connect, api: FaultyServer) -> None:
    """A signed URL is a secret also with an unknown name, and at any depth."""
    url = f"https://store.invalid/more?X-Amz-Signature={CANARY}"
    fields = {"taskId": "t", "more": url, "deep": {"list": [{"url": url}]}, "plain": "as it is"}
    api.on("/flows/f/run", json_reply(json.dumps(fields)))
    run = connect(api).flows.start("f")
    shown = [str(run), run.to_json(), run.model_dump_json(), repr(run.model_dump())]
    assert all(CANARY not in text and "as it is" in text for text in shown)
    assert CANARY not in repr(run)
    stored = pickle.dumps(run)
    assert CANARY.encode() not in stored
    assert pickle.loads(stored).plain == "as it is"  # noqa: S301 - our own
    assert CANARY not in run.to_json(reveal=True)


def test_a_run_whose_first_poll_is_rejected(connect: Connect, api: FaultyServer) -> None:
    """An error after the start has the run, with the URLs of its results, so that it is not lost."""
    api.on("/flows/f/status", json_reply('{"message": "no"}', 401))
    with pytest.raises(AuthenticationError) as caught:
        connect(api).flows.run("f")
    run = caught.value.run
    assert run is not None
    assert run.task_id == "t"
    assert run.outputs[0].url is not None
    assert run.outputs[0].url.get_secret_value().startswith(f"{api.url}/result")


def test_an_unknown_run(connect: Connect, api: FaultyServer) -> None:
    """Waiting for a run that does not exist, by its ids alone, ends with the first poll."""
    api.on("/flows/f/status", json_reply('{"message": "no such task"}', 404))
    with pytest.raises(NotFoundError):
        connect(api).runs.wait(Run(flow_id="f", task_id="t"), timeout=5)
    assert len(api.requests) == 1


def test_a_wait_without_a_successful_poll(connect: Connect, api: FaultyServer) -> None:
    """A wait whose last polls failed does not report a status."""
    api.on("/flows/f/status", json_reply("{}", 500))
    with pytest.raises(WaitTimeoutError, match=r"could not be fetched .* \(InternalServerError\)"):
        connect(api).runs.wait(Run(flow_id="f", task_id="t"), timeout=0.1, poll_interval=0.02)
    assert len(api.requests) > 1


@pytest.mark.parametrize(
    "limits",
    [
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": 1e10},
        {"timeout": True},
        {"poll_interval": 0},
        {"poll_interval": float("inf")},
        {"poll_interval": "often"},
    ],
    ids=repr,
)
def test_limits_of_a_wait_for_a_run_that_has_ended(
    connect: Connect, limits: dict[str, Any]
) -> None:
    """An invalid limit is rejected, even if there is nothing to wait for."""
    client = connect(base_url="https://dcipher.invalid")
    run = Run(flow_id="f", task_id="t", status=RunStatus.SUCCEEDED)
    name = next(iter(limits))
    with pytest.raises(InvalidParamsError, match=name):
        client.runs.wait(run, **limits)
    with pytest.raises(InvalidParamsError, match=name):
        list(client.runs.watch(run, **limits))


# Arguments.


def test_a_timeout_of_centuries(construct: Callable[..., Any], connect: Connect) -> None:
    """A timeout that no socket accepts is rejected at once."""
    with pytest.raises(ConfigurationError, match="timeout"):
        construct(KEY, timeout=1e10)
    client = connect(base_url="https://dcipher.invalid")
    with pytest.raises(ConfigurationError, match="timeout"):
        client.with_options(timeout=1e10)


def test_a_mapping_is_not_settings(construct: Callable[..., Any]) -> None:
    """A mapping is not a `Settings`."""
    with pytest.raises(ConfigurationError, match="Settings, not dict"):
        construct(KEY, settings={"a": 1})


def test_an_unsupported_type(connect: Connect, api: FaultyServer) -> None:
    """A type that Pydantic does not support is an error of the caller, not of the result."""
    with pytest.raises(InvalidParamsError):
        connect(api).runs.read(finished(f"{api.url}/result"), 5)


def test_a_folder_as_the_path(connect: Connect, api: FaultyServer, tmp_path: Path) -> None:
    """A path that ends in a slash is a folder: it is rejected before the run is started."""
    client = connect(api)
    with pytest.raises(InvalidParamsError, match="folder"):
        client.flows.run("f", save_path=f"{tmp_path}/results/")
    assert not api.requests
    with pytest.raises(InvalidParamsError, match="folder"):
        client.runs.download(finished(f"{api.url}/result"), f"{tmp_path}/results/")
    assert not api.requests


def test_a_folder_that_cannot_be_read(connect: Connect, api: FaultyServer, tmp_path: Path) -> None:
    """A file is saved in a folder that may be written to and not read: only its sync is left out."""
    folder = tmp_path / "drop"
    folder.mkdir()
    folder.chmod(0o300)
    if os.access(folder, os.R_OK):
        pytest.skip("this user may read every folder, as root may")
    try:
        run = connect(api).flows.run("f", save_path=folder / "result")
        assert [path.read_bytes() for path in run.files] == [b'{"text": 1}']
    finally:
        folder.chmod(0o700)
