"""Tracebacks have the frames of the program only, and no secret."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from pydantic import BaseModel, SecretStr

from dcipher import (
    AsyncDcipher,
    ConfigurationError,
    Dcipher,
    DcipherError,
    HTTPAuthenticatedClient,
    Resilience,
    Run,
    Settings,
)
from tests.faulty import NOTHING, RESET, STALL, FaultyServer, Reply, json_reply
from tests.results.downloads.stores import run_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Connect
    from tests.faulty import Recorded

KEY, SECRET, SIGNED = "emu_canary-key-1", "canary-secret-2", "canary-signature-3"
PARAM = "canary-param-4"
QUERY = f"X-Amz-Signature={SIGNED}"
QUICK = Resilience(max_retries=1, backoff_initial=0.01)
DEPTH = 8


def reached(value: Any, depth: int = DEPTH, seen: set[int] | None = None) -> Iterator[str]:
    """Every text that a reporter could show of a variable: in containers, and in objects of ours."""
    seen = set() if seen is None else seen
    if depth == 0 or id(value) in seen or isinstance(value, SecretStr):  # it shows its mask
        return
    seen.add(id(value))
    if isinstance(value, (str, bytes, bytearray)):
        yield str(value)
        return
    if isinstance(value, Mapping):
        parts: list[Any] = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts = [*value]
    elif type(value).__module__.partition(".")[0] == "dcipher":
        parts = [*getattr(value, "__dict__", {}).values()]
        for cls in type(value).__mro__:
            parts += [getattr(value, name, None) for name in vars(cls).get("__slots__", ())]
    else:
        parts = []
    for part in parts:
        yield from reached(part, depth - 1, seen)


def behind(error: BaseException) -> list[BaseException]:
    """An exception and all that is behind it, hidden or not."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in found:
            found.append(one)
            waiting += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    return found


def check(error: BaseException) -> None:
    """Checks that our frames have no secret, that frames of libraries are removed, and that no exception has one."""
    for one in behind(error):
        texts = [*reached(vars(one)), *reached(one.args), str(one), repr(one)]
        request = vars(one).get("_request")
        if request is not None:
            texts += [str(request.url), repr(request.headers.raw)]
        _none_in(texts, f"{type(one).__name__} behind {error!r}")
        for frame, _ in traceback.walk_tb(one.__traceback__):
            name = frame.f_globals.get("__name__", "")
            where = f"{name}.{frame.f_code.co_name} of {one!r} behind {error!r}"
            if name.partition(".")[0] == "dcipher":
                for variable, value in frame.f_locals.items():
                    _none_in(reached(value), f"{variable} in {where}")


def _none_in(texts: Any, where: str) -> None:
    for text in texts:
        for secret in (KEY, SECRET, SIGNED, PARAM):
            assert secret not in text, where


def caught(call: Callable[[], object]) -> BaseException:
    """Returns the exception of a call, checked."""
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - whatever it is
        call()
    check(raised.value)
    return raised.value


API_FAULTS: dict[str, Any] = {
    "401": json_reply('{"message": "no"}', 401),
    "307": Reply(b"", 307, {"Location": f"https://h/?{QUERY}"}),
    "500": json_reply('{"message": "down"}', 500),
    "no JSON": Reply(b"<p>", 200, {"Content-Type": "text/html"}),
    "no id": json_reply("{}"),
    "broken": Reply(b"x", headers={"Content-Encoding": "gzip"}),
    "reset": RESET,
    "nothing": NOTHING,
    "stall": STALL,
    "echo": lambda request: Reply(raw=f"HTTP/1.1 {request.headers['authorization']}\r\n".encode()),
}


class Params(BaseModel):
    secret: SecretStr = SecretStr(PARAM)


@pytest.mark.parametrize("fault", API_FAULTS)
def test_a_call_that_fails(connect: Connect, server: FaultyServer, fault: str) -> None:
    """For any defect of a response, or without one, after any number of attempts."""
    server.on("*", API_FAULTS[fault])
    run = run_at(f"{server.url}/result?{QUERY}").model_copy(update={"status": "RUNNING"})
    client = connect(server, api_key=KEY, api_secret=SECRET, resilience=QUICK, timeout=0.3)
    calls = [
        lambda: client.flows.get("f"),
        lambda: client.flows.start("f", Params()),
        lambda: client.flows.run("f", Params()),
        lambda: client.runs.get("f", "t"),
        lambda: client.runs.refresh(run),
        lambda: client.runs.wait(run, timeout=0.01),
        lambda: client.runs.read(run),
        lambda: list(client.runs.watch(run, timeout=0.01)),
    ]
    for call in calls:
        assert isinstance(caught(call), DcipherError)


def test_a_status_that_is_not_listed(connect: Connect, server: FaultyServer) -> None:
    """`UnexpectedStatus` is raised within httpx: the request is in no frame of ours."""
    server.on("*", json_reply("{}", 418))
    http = HTTPAuthenticatedClient(
        server.url, api_key=KEY, api_secret=SECRET, raise_on_unexpected_status=True
    )
    client = connect(http_client=http, api_key=None, max_retries=0)
    caught(lambda: client.flows.get("f"))
    with http:
        caught(lambda: http.get_or_create_httpx_client().get("/flows/f"))


def redirected(location: str) -> Reply:
    return Reply(b"", 302, {"Location": location})


STORE_FAULTS: dict[str, Any] = {
    "403": Reply(b"no", 403),
    "203 with a wrong digest": Reply(b"1", 203, {"Repr-Digest": f"sha-256=:{'A' * 43}=:"}),
    "to ftp": redirected(f"ftp://h/x?{QUERY}"),
    "to http elsewhere": redirected(f"http://192.0.2.1/x?{QUERY}"),
    "to nowhere": redirected(f"//[?{QUERY}"),
    "for ever": redirected(f"/result?{QUERY}"),
    "reset": RESET,
    "nothing": NOTHING,
    "stall": STALL,
    "cut": Reply(b"123", length=9, after="close"),
    "broken": Reply(b"x", headers={"Content-Encoding": "gzip"}),
    "no JSON": Reply(b"{", headers={"Content-Type": "application/json"}),
    "no HTTP": lambda request: Reply(raw=f"HTTP/1.1 {request.target}\r\n\r\n".encode()),
}


@pytest.mark.parametrize("fault", STORE_FAULTS)
def test_a_download_that_fails(
    connect: Connect, server: FaultyServer, tmp_path: Path, fault: str
) -> None:
    """For any response of a store: to a file, as a value, as rows."""
    server.on("*", STORE_FAULTS[fault])
    run = run_at(f"{server.url}/result?{QUERY}")
    client = connect(server, api_key=KEY, resilience=QUICK, timeout=0.3)
    caught(lambda: client.runs.read(run, list[int]))
    caught(lambda: list(client.runs.records(run, int)))
    if fault != "no JSON":
        caught(lambda: client.runs.download(run, tmp_path / "out"))


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://h/x?{QUERY}",
        f"http://192.0.2.1/x?{QUERY}",
        f"https://user:{SIGNED}@h/x",
        f"https://h/a b?{QUERY}",
        f"https://[?{QUERY}",
        f"http://127.0.0.1:9/x?{QUERY}",
        f"https://h.invalid/x?X-Amz-Date=20200101T000000Z&X-Amz-Expires=1&{QUERY}",
    ],
)
def test_a_signed_url_that_is_rejected(connect: Connect, tmp_path: Path, url: str) -> None:
    """A rejected or expired URL, or one of a closed port, is in no frame, either."""
    client = connect(base_url="http://127.0.0.1:9", api_key=KEY, resilience=QUICK)
    run = Run.from_json(run_at(url).to_json(reveal=True))
    caught(lambda: client.runs.download(run, tmp_path / "out"))
    caught(lambda: client.runs.read(run))


def test_errors_of_the_program(connect: Connect, server: FaultyServer, tmp_path: Path) -> None:
    """For a callback that raises, or a folder at the path, the program's own frame is kept."""
    server.on("*", Reply(b"123"))
    run = run_at(f"{server.url}/result?{QUERY}")
    client = connect(server, api_key=KEY, resilience=QUICK)

    def raising(*_: object) -> None:
        raise LookupError("mine")

    error = caught(lambda: client.runs.download(run, tmp_path / "out", on_progress=raising))
    assert isinstance(error, LookupError)
    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert frames[-1] == "raising"
    assert "download" in frames
    folder = tmp_path / "folder"
    folder.mkdir()
    caught(lambda: client.runs.download(run, folder))
    caught(lambda: client.runs.download(run, tmp_path / "missing" / "out"))
    with client:
        pass
    caught(lambda: client.runs.download(run, tmp_path / "out"))
    caught(lambda: client.flows.get("f"))


def test_the_context_of_the_program(connect: Connect, server: FaultyServer) -> None:
    """An exception that was handled during a call keeps its frames, and remains the context."""
    server.on("*", json_reply("{}", 401))
    client = connect(server, api_key=KEY)

    def handle() -> None:
        try:
            int("x" * 3)
        except ValueError:
            client.flows.get("f")

    error = caught(handle)
    contexts = [one for one in behind(error) if isinstance(one, ValueError)]
    assert [frame.f_code.co_name for frame, _ in traceback.walk_tb(contexts[0].__traceback__)]


def test_few_frames_are_shown(connect: Connect, server: FaultyServer) -> None:
    """A traceback has the lines of the program and a few of ours, without httpx, anyio and the retries."""
    server.on("*", RESET)
    client = connect(server, api_key=KEY, resilience=QUICK)
    error = caught(lambda: client.flows.get("f"))
    for one in behind(error):
        names = [f.f_globals.get("__name__", "") for f, _ in traceback.walk_tb(one.__traceback__)]
        ours = [name for name in names if name.startswith("dcipher")]
        assert len(ours) <= 2
        if one is not error:
            assert not names


# Ctrl-C and cancellation


@pytest.mark.parametrize("where", ["send", "wait", "download"])
def test_ctrl_c(server: FaultyServer, tmp_path: Path, where: str) -> None:
    """Ctrl-C during a request, a wait, and a download."""

    def interrupt(_: Recorded) -> Reply:
        os.kill(os.getpid(), signal.SIGINT)
        return STALL

    run = run_at(f"{server.url}/result?{QUERY}")
    server.on("*", interrupt)
    with Dcipher(KEY, api_secret=SECRET, base_url=server.url, timeout=30) as client:
        running = run.model_copy(update={"status": "RUNNING"})
        calls: dict[str, Callable[[], object]] = {
            "send": lambda: client.flows.start("f", Params()),
            "wait": lambda: client.runs.wait(running),
            "download": lambda: client.runs.download(run, tmp_path / "out"),
        }
        assert type(caught(calls[where])) is KeyboardInterrupt


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("where", ["send", "wait", "download", "own client"])
def test_a_cancellation(server: FaultyServer, tmp_path: Path, where: str, backend: str) -> None:
    """The cancellation of a call, on both kinds of event loop."""
    run = run_at(f"{server.url}/result?{QUERY}")
    server.on("*", STALL)

    async def main() -> None:
        given = {"http_client": httpx.AsyncClient()} if where == "own client" else {}
        async with AsyncDcipher(KEY, api_secret=SECRET, base_url=server.url, **given) as client:  # type: ignore[arg-type]
            running = run.model_copy(update={"status": "RUNNING"})
            with anyio.move_on_after(0.2):
                try:
                    if where == "send":
                        await client.flows.start("f", Params())
                    elif where == "wait":
                        await client.runs.wait(running)
                    else:
                        await client.runs.download(run, tmp_path / "out")
                except BaseException as error:
                    check(error)
                    raise
        if given:
            await given["http_client"].aclose()

    anyio.run(main, backend=backend)


# Making a client


class Unreadable:
    """An object whose `str` raises."""

    def __str__(self) -> str:
        raise ValueError("mine")


class Torn(dict[str, str]):
    """Headers that fail when they are read."""

    def items(self) -> Any:
        raise RuntimeError("mine")


@pytest.mark.parametrize("maker", [Dcipher, AsyncDcipher, HTTPAuthenticatedClient])
@pytest.mark.parametrize(
    "given",
    [
        {"headers": [("a", "b")]},
        {"headers": "X: y"},
        {"headers": {b"a": "b"}},
        {"headers": Torn(a="b")},
        {"base_url": Unreadable()},
        {"base_url": b"https://h"},
        {"timeout": (3, 4)},
        {"timeout": Unreadable()},
        {"resilience": {"max_retries": 3}},
        {"unknown": 1},
    ],
)
def test_a_mistake_in_an_argument(maker: Any, given: dict[str, Any]) -> None:
    """For any invalid argument, the key and the secret are in no frame of ours."""
    arguments = {"api_key": KEY, "api_secret": SECRET, "base_url": "https://h", **given}
    caught(lambda: maker(**arguments))


@pytest.mark.parametrize(
    "given",
    [
        {"cookies": 5},
        {"cookies": {"a": 5}},
        {"httpx_args": 5},
        {"auth_scheme": 5},
        {"auth_header_name": "a b"},
        {"auth_header_name": 5},
        {"headers": {"a b": "c"}},
        {"headers": {"a": 5}},
    ],
)
def test_a_mistake_in_an_argument_of_an_http_client(given: dict[str, Any]) -> None:
    """It is a `ConfigurationError` of the constructor."""
    made: Any = HTTPAuthenticatedClient
    error = caught(lambda: made("https://h", api_key=KEY, api_secret=SECRET, **given))
    assert isinstance(error, ConfigurationError)


@pytest.mark.parametrize("maker", [Dcipher, AsyncDcipher])
@pytest.mark.parametrize(
    "given",
    [
        {"settings": Settings},
        {"settings": {"timeout": 3}},
        {"resilience": {"max_retries": 3}},
        {"resilience": Resilience},
        {"headers": [("a", "b")]},
    ],
)
def test_an_argument_of_another_type(maker: Any, given: dict[str, Any]) -> None:
    """The error of the constructor, or of the derived client, names the argument."""
    (name,) = given
    calls = [lambda: maker(KEY, api_secret=SECRET, **given)]
    if name != "settings":
        client = maker(KEY, api_secret=SECRET)
        calls.append(lambda: client.with_options(**given))
    for call in calls:
        error = caught(call)
        assert isinstance(error, ConfigurationError)
        assert str(error).startswith(f"{name} must be a")


@pytest.mark.parametrize("maker", [Dcipher, AsyncDcipher])
def test_ctrl_c_while_a_client_is_created(maker: Any) -> None:
    """The interrupt has no frames of ours, at any moment."""

    class Interrupted(Mapping[str, str]):
        def __getitem__(self, name: str) -> str:
            raise KeyboardInterrupt

        def __iter__(self) -> Any:
            raise KeyboardInterrupt

        def __len__(self) -> int:
            return 1

    error = caught(lambda: maker(KEY, api_secret=SECRET, headers=Interrupted()))
    assert type(error) is KeyboardInterrupt
