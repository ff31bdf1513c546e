"""A client on a bare socket: every received byte, and how the connection ended."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from tests.waiting import HANG, until

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

    from dcipher.emulator import Emulator

__all__ = ["FILE", "Lab", "Line", "Reply"]

FILE = b"".join(b"line %04d of the result.\n" % number for number in range(400))


@dataclass(frozen=True)
class Reply:
    """The received bytes of a response."""

    data: bytes
    end: Literal["closed", "reset", "silent"]

    @property
    def status(self) -> int:
        return int(self.data.split(b" ", 2)[1])

    @property
    def headers(self) -> dict[str, str]:
        lines = self.data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> bytes:
        """Everything after the head, undecoded: chunks with their sizes."""
        return self.data.partition(b"\r\n\r\n")[2]


class Line:
    """One connection."""

    def __init__(self, url: str, *, window: int | None = None) -> None:
        parts = urlsplit(url)
        self._host = f"{parts.hostname}:{parts.port}"
        self._socket = socket.socket()
        if window is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self._socket.settimeout(HANG)
        self._socket.connect((parts.hostname or "", parts.port or 80))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def ask(self, target: str, method: str = "GET", body: bytes = b"", **headers: str) -> None:
        """Send a request; the names of headers are written with underscores."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        self._socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def hear(self, *, quiet: float = HANG, enough: int | None = None) -> Reply:
        """Listen until the end, until `quiet` seconds of silence, or until there is enough."""
        data = bytearray()
        self._socket.settimeout(quiet)
        while enough is None or len(data) < enough:
            try:
                more = self._socket.recv(1 << 20)
            except ConnectionResetError:
                return Reply(bytes(data), "reset")
            except TimeoutError:
                break
            if not more:
                return Reply(bytes(data), "closed")
            data += more
        return Reply(bytes(data), "silent")

    def drain(self) -> str:
        """Listen to the end, or until a moment of silence, and keep nothing; how it ended."""
        buffer = bytearray(1 << 16)
        self._socket.settimeout(0.5)
        try:
            while self._socket.recv_into(buffer):
                pass
        except TimeoutError:
            return "silent"
        return "closed"

    def response(self) -> Reply:
        """Returns one response with a Content-Length, on a connection that stays open."""
        self._socket.settimeout(HANG)
        head = bytearray()
        while not head.endswith(b"\r\n\r\n"):
            head += self._socket.recv(1)
        length = int(Reply(bytes(head), "silent").headers.get("content-length", "0"))
        body = bytearray()
        while len(body) < length:
            more = self._socket.recv(length - len(body))
            assert more, "the body ends before its length"
            body += more
        return Reply(bytes(head + body), "silent")


class Lab:
    """An emulator with a flow `file`, and requests for tests."""

    def __init__(self, emulator: Emulator, web: httpx.Client) -> None:
        self.emulator = emulator
        self.web = web
        self.headers = {"Authorization": f"Api-Key {emulator.api_key}"}

        @emulator.flow("file")
        def file(number: int = 0) -> bytes:
            return FILE

        @emulator.flow("pair", outputs=2)
        def pair() -> tuple[bytes, bytes]:
            return FILE, FILE

        @emulator.flow("large")
        def large(size: int) -> bytes:
            return bytes(range(256)) * (size // 256)

    def start(self, number: int = 0, key: str | None = None) -> httpx.Response:
        """A start of `file`; the same number is the same body."""
        headers = self.headers if key is None else {**self.headers, "Idempotency-Key": key}
        url = f"{self.emulator.url}/flows/file/run"
        body = {"pipelineParams": {"number": number}}
        return self.web.post(url, headers=headers, json=body)

    def start_of(self, flow_id: str, **params: object) -> dict[str, str]:
        """Returns the response of the service to another start."""
        url = f"{self.emulator.url}/flows/{flow_id}/run"
        response = self.web.post(url, headers=self.headers, json={"pipelineParams": params})
        started: dict[str, str] = response.json()
        return started

    def run(self, number: int = 0) -> tuple[str, str]:
        """A run that is done: its id, and path and query of its result."""
        body = self.start(number).json()
        return body["taskId"], self.finish(body)

    def finish(self, body: dict[str, str]) -> str:
        """Wait for a run; path and query of its result."""
        (run,) = (
            one for one in self.emulator._service.runs.every() if one.task_id == body["taskId"]
        )
        assert until(lambda: run.status in {"SUCCEEDED", "FAILED"}), "the run did not end"
        url = body.get("signedResponseURL") or body["signedResponseURLs"][0]
        return url.removeprefix(self.emulator.url)

    def status(self, task_id: str) -> httpx.Response:
        url = f"{self.emulator.url}/flows/file/status?taskId={task_id}"
        return self.web.get(url, headers=self.headers)

    def get(self, target: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.web.get(self.emulator.url + target, headers=named)

    def fetch(self, target: str, *, quiet: float = HANG, **headers: str) -> Reply:
        """Sends a GET on its own connection, and reads it to the end."""
        with Line(self.emulator.url) as line:
            line.ask(target, **headers)
            return line.hear(quiet=quiet)

    def last(self) -> tuple[int | None, str | None]:
        """Status and fault of the last request in the journal."""
        record = self.emulator.requests[-1]
        return record.status, record.fault
