"""The emulator as an object: start and stop, invalid arguments, cleanup."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

import dcipher.emulator
from dcipher._extras.installation import install
from dcipher.emulator import Emulator
from tests.waiting import HANG, no_hang, until

if TYPE_CHECKING:
    from collections.abc import Callable

    Connect = Callable[[Emulator], httpx.Client]
    Start = Callable[..., httpx.Response]


def test_it_accepts_connections_within_the_block() -> None:
    """The first request inside succeeds, the first one outside finds a closed port."""
    with Emulator() as emulator:
        assert httpx.get(f"{emulator.url}/openapi.json").status_code == 200
        url = emulator.url
    with pytest.raises(httpx.ConnectError):
        _ = httpx.get(url)


def test_the_key_is_random_and_not_in_the_repr() -> None:
    """Each emulator has its own key."""
    one, two = Emulator(), Emulator()
    assert one.api_key.startswith("emu_")
    assert one.api_key != two.api_key
    assert one.api_key not in repr(one)
    assert Emulator(api_key="emu_mine").api_key == "emu_mine"


def test_it_starts_once() -> None:
    """There is no URL before the start, no second start, and a second stop is nothing."""
    emulator = Emulator()
    emulator.stop()
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = emulator.url
    emulator.start()
    with pytest.raises(RuntimeError, match="can be started only once"):
        emulator.start()
    emulator.stop()
    emulator.stop()
    with pytest.raises(RuntimeError, match="can be started only once"):
        emulator.start()


def test_it_stops_quickly_and_leaves_no_thread(connect: Connect, start: Start) -> None:
    """With idle connections and async runs in progress, it stops completely within a second."""
    before = set(threading.enumerate())
    emulator = Emulator(queue_time=0.0)

    @emulator.flow("sleep")
    async def sleep() -> None:
        await asyncio.sleep(2 * HANG)

    @emulator.flow("wait", duration=2 * HANG)
    def wait() -> None: ...

    emulator.start()
    client = connect(emulator)
    for flow_id in ("sleep", "wait"):
        assert start(client, flow_id).status_code == 200
    assert until(lambda: {run.status for run in emulator.runs} == {"RUNNING"})
    with no_hang():
        emulator.stop()

    def left() -> set[threading.Thread]:
        """Returns the threads of this emulator. Those of another one with new runs end by themselves."""
        every = threading.enumerate()
        return {one for one in every if one.name.startswith("dcipher-emulator")} - before

    assert until(lambda: not left())


def test_it_stops_while_a_flow_computes(connect: Connect, start: Start) -> None:
    """A flow that cannot be interrupted continues in its daemon thread without effect."""
    go, blocked = threading.Event(), list[threading.Thread]()
    with Emulator(queue_time=0.0) as emulator:

        @emulator.flow("block")
        def block() -> bool:
            blocked.append(threading.current_thread())
            return go.wait(2 * HANG)

        assert start(connect(emulator), "block").status_code == 200
        assert until(lambda: blocked)
        with no_hang():
            emulator.stop()
    assert [(thread.is_alive(), thread.daemon) for thread in blocked] == [(True, True)]
    go.set()
    blocked[0].join(HANG)
    assert not blocked[0].is_alive()


def test_it_stops_while_a_download_stalls(connect: Connect, start: Start) -> None:
    """A client that stops reading is disconnected."""
    with Emulator(queue_time=0.0) as emulator:

        @emulator.flow("large")
        def large() -> bytes:
            return bytes(32 * 1024 * 1024)

        url = start(connect(emulator), "large").json()["signedResponseURL"]
        assert until(lambda: emulator.runs[0].status == "SUCCEEDED")
        with httpx.Client() as client, client.stream("GET", url) as response:
            assert response.status_code == 200
            with no_hang():
                emulator.stop()


@pytest.mark.parametrize("run", [lambda f: asyncio.run(f()), lambda f: trio.run(f)])
def test_it_is_an_async_context_manager(run: Callable[[Callable[..., object]], object]) -> None:
    """`async with` starts and stops it without blocking the loop, on asyncio and on trio."""

    async def main() -> int:
        async with Emulator() as emulator, httpx.AsyncClient() as client:
            return (await client.get(f"{emulator.url}/openapi.json")).status_code

    assert run(main) == 200


def test_it_serves_a_caller_with_a_running_loop() -> None:
    """The plain `with` works inside a coroutine: the server has its own loop."""

    async def main() -> int:
        with Emulator() as emulator:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"{emulator.url}/openapi.json")).status_code

    assert asyncio.run(main()) == 200


def test_several_at_once_know_nothing_of_each_other(connect: Connect) -> None:
    """Each has its port, its key and its flows."""
    with Emulator() as one, Emulator() as two:

        @one.flow("f")
        def flow() -> None: ...

        assert one.url != two.url
        assert connect(one).get("/flows/f").status_code == 200
        assert connect(two).get("/flows/f").status_code == 404
        assert (
            httpx.get(
                f"{two.url}/flows/f", headers={"Authorization": f"Api-Key {one.api_key}"}
            ).status_code
            == 401
        )


def test_a_busy_port_is_an_error_at_once() -> None:
    """The message has the address and advice."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1 port {port}"):
            Emulator(port=port).start()


def test_a_name_without_an_address_is_an_error_at_once() -> None:
    """A host that does not resolve is named."""
    with pytest.raises(OSError, match=r"no\.such\.host\.invalid"):
        Emulator(host="no.such.host.invalid", allow_remote=True).start()


def test_localhost_and_ipv6_are_loopback() -> None:
    """The URL of an IPv6 address has brackets; the name localhost is taken."""
    with Emulator(host="localhost") as emulator:
        assert httpx.get(f"{emulator.url}/openapi.json").status_code == 200
    try:
        emulator = Emulator(host="::1")
        emulator.start()
    except OSError:
        pytest.skip("no IPv6 here")
    with httpx.Client() as client:
        assert emulator.url.startswith("http://[::1]:")
        assert client.get(f"{emulator.url}/openapi.json").status_code == 200
    emulator.stop()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"host": "192.0.2.1"}, "allow_remote"),
        ({"host": "example.com"}, "allow_remote"),
        ({"api_key": "live_key"}, "must begin with emu_"),
        ({"require_signature": True}, "api_secret"),
        ({"rate": 0}, "rate"),
        ({"max_workers": 0}, "max_workers"),
        ({"url_lifetime": 10**400}, "url_lifetime"),
    ],
)
def test_invalid_arguments_are_rejected(arguments: dict[str, object], words: str) -> None:
    """At once, with advice, and without the key in the message."""
    with pytest.raises(ValueError, match=words) as caught:
        Emulator(**arguments)  # type: ignore[arg-type]
    assert "live_key" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["allow_remote", "require_signature", "idempotency", "sample_flows"]
)
def test_a_flag_is_true_or_false(name: str) -> None:
    """The text "false" does not open the emulator to others."""
    with pytest.raises(TypeError, match=f"{name} must be True or False, not str"):
        Emulator(host="127.0.0.1", api_secret="s", **{name: "false"})  # type: ignore[arg-type]


@pytest.mark.parametrize("flow_id", ["", "a/b", "a b", "a?b", "a#b", "a%2Fb", "..\\x", "a\n"])
def test_a_flow_id_is_one_path_segment(flow_id: str) -> None:
    """An id that could not be requested by its path is rejected when it is registered."""
    with pytest.raises(ValueError, match="is not a flow id"):
        Emulator().flow(flow_id)(lambda: None)


def test_an_invalid_flow_is_rejected() -> None:
    """Positional params, unknown types, no outputs and a second flow with the id are errors."""
    emulator = Emulator()

    def by_position(a: int, /) -> None: ...

    def stars(*rest: int) -> None: ...

    def unknown(a: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for function in (by_position, stars, unknown):
        with pytest.raises(TypeError):
            emulator.flow("f")(function)
    with pytest.raises(ValueError, match="outputs must be 1 or more"):
        emulator.flow("f", outputs=0)(lambda: None)

    def good() -> None: ...

    assert emulator.flow("f")(good) is good
    with pytest.raises(ValueError, match="already"):
        emulator.flow("f")(lambda: None)


def test_a_reset_forgets_everything_but_the_flows(
    emulator: Emulator, client: httpx.Client, start: Start
) -> None:
    """Runs, requests and idempotency keys are gone, running or stopped; runs are ended."""
    first = start(client, "shout", key="k", text="a")
    emulator.reset()
    assert (emulator.runs, emulator.requests) == ((), ())
    params = {"taskId": first.json()["taskId"]}
    assert client.get("/flows/shout/status", params=params).status_code == 404
    assert start(client, "shout", key="k", text="b").status_code == 200
    emulator.stop()
    emulator.reset()
    assert (emulator.runs, emulator.requests) == ((), ())


def test_a_failing_reset_is_raised(emulator: Emulator) -> None:
    """An error on the loop of the server is raised in the caller."""

    def fail() -> None:
        raise RuntimeError("no")

    emulator._clear = fail  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="no"):
        emulator.reset()


def test_a_concurrent_reset_and_stop_are_sequential(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop during a reset waits for it: no reset hangs on a closed loop."""
    with Emulator() as emulator:
        listener = emulator._listener
        assert listener is not None
        call, stopping = type(listener).call, threading.Thread(target=emulator.stop)

        def late(*arguments: Any) -> Any:
            stopping.start()
            stopping.join(0.2)
            return call(*arguments)

        monkeypatch.setattr(type(listener), "call", late)
        emulator.reset()
        stopping.join(HANG)
        assert not stopping.is_alive()


def test_the_error_of_a_failed_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the thread of the server is raised by start."""

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("uvicorn.Server.startup", fail)
    emulator = Emulator()
    with pytest.raises(RuntimeError, match="broken"):
        emulator.start()
    emulator.stop()


def test_other_loggers_are_unchanged() -> None:
    """The loggers of uvicorn, which an application in the same process may use, are unchanged."""
    access = logging.getLogger("uvicorn.access")
    before = (access.level, access.propagate, list(access.handlers))
    with Emulator():
        assert (access.level, access.propagate, list(access.handlers)) == before


def test_nothing_is_printed(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Not even with the root logger at DEBUG is there an access log."""
    caplog.set_level(logging.DEBUG)
    with Emulator() as emulator:
        assert httpx.get(f"{emulator.url}/results/x/0?Signature=hidden").status_code == 403
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.name == "uvicorn.access"]


def test_importing_is_cheap_and_works_without_the_extra() -> None:
    """Without FastAPI, the import works, and the constructor raises an error with the command to install it."""
    code = """
import sys
for name in ("fastapi", "uvicorn"):
    sys.modules[name] = None
import dcipher.emulator
assert "pydantic" not in sys.modules
try:
    dcipher.emulator.Emulator()
except ImportError as error:
    print(error)
"""
    done = subprocess.run(  # noqa: S603 (this very interpreter)
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert install("emulator") in done.stdout


def test_the_public_names_are_there() -> None:
    """Every name in __all__ loads, dir lists them, and there is no other."""
    for name in dcipher.emulator.__all__:
        assert name in dir(dcipher.emulator)
        assert getattr(dcipher.emulator, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        _ = dcipher.emulator.nothing  # type: ignore[attr-defined]
