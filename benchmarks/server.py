"""A server that costs next to nothing, so that what is measured is the client.

A flow's id says what its runs do: `2.5-1024` runs for 2.5 seconds and has a result of 1,024 bytes.
The id of a run begins with the moment of its end on the monotonic clock, which all processes of
a machine share: nothing is stored, and a client knows how late it learned of the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import IO

__all__ = ["main"]

HEAD = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
JSON = b"application/json"
BLOB = b"application/octet-stream"


class Service:
    """The answers."""

    def __init__(self, blob: IO[bytes]) -> None:
        self.blob = blob
        self.url = ""
        self._looks = 0
        self._numbers = count()

    def answer(self, method: bytes, target: bytes) -> tuple[bytes, int]:
        """The bytes to send, and how many of the blob come after them."""
        path, _, query = target.partition(b"?")
        match method, *path.split(b"/")[1:]:
            case b"GET", b"flows", _, b"status":
                return self._status(query.partition(b"=")[2]), 0
            case b"POST", b"flows", flow_id, b"run":
                return self._start(flow_id.decode()), 0
            case b"GET", b"flows", flow_id:
                return _json({"id": flow_id.decode(), "name": "A flow", "params": []}), 0
            case b"GET", b"results", size:
                return HEAD % (b"200 OK", BLOB, int(size)), int(size)
            case b"GET", b"looks":
                return _json({"looks": self._looks}), 0
            case _:
                return HEAD % (b"404 Not Found", JSON, 2) + b"{}", 0

    def _status(self, task_id: bytes) -> bytes:
        self._looks += 1
        ended = time.monotonic() >= float(task_id.partition(b"-")[0])
        return _SUCCEEDED if ended else _RUNNING

    def _start(self, flow_id: str) -> bytes:
        seconds, _, size = flow_id.partition("-")
        task_id = f"{time.monotonic() + float(seconds):.6f}-{next(self._numbers)}"
        url = f"{self.url}/results/{size}?signature=none"
        return _json({"taskId": task_id, "signedResponseURL": url})


def _json(value: object) -> bytes:
    body = json.dumps(value).encode()
    return HEAD % (b"200 OK", JSON, len(body)) + body


_RUNNING = _json({"status": "RUNNING", "message": "step 3 of 7"})
_SUCCEEDED = _json({"status": "SUCCEEDED", "message": "done"})


class Connection(asyncio.Protocol):
    """As much of HTTP/1.1 as honest clients need."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = b""
        self._sending: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (request := self._next_request()) is not None:
            head, size = self._service.answer(*request)
            self._transport.write(head)
            if size:
                self._sending = asyncio.get_running_loop().create_task(self._send_blob(size))

    def _next_request(self) -> tuple[bytes, bytes] | None:
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return None
        _, has_body, after = head.lower().partition(b"\r\ncontent-length:")
        length = int(after.partition(b"\r\n")[0]) if has_body else 0
        if len(rest) < length:
            return None
        self._received = rest[length:]
        method, target, _ = head.split(b" ", 2)
        return method, target

    async def _send_blob(self, size: int) -> None:
        # A file of its own for each body: sendfile moves the position.
        with Path(self._service.blob.name).open("rb") as blob:  # noqa: ASYNC230 - a file of nothing
            try:
                await asyncio.get_running_loop().sendfile(self._transport, blob, 0, size)
            except ConnectionError:
                self._transport.abort()


async def serve(certificate: str | None, blob: IO[bytes]) -> None:
    """Answer until the standard input ends; the first line of output is the port."""
    service = Service(blob)
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(service), "127.0.0.1", 0, ssl=context, backlog=4096
    )
    port = server.sockets[0].getsockname()[1]
    service.url = f"{'http' if context is None else 'https'}://127.0.0.1:{port}"
    print(service.url, flush=True)
    # The parent holds the other end: when it is gone, however it went, so is this.
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificate", help="a file of key and certificates: serve TLS")
    parser.add_argument("--blob", type=int, default=0, help="the size of the largest result")
    arguments = parser.parse_args()
    with tempfile.NamedTemporaryFile() as blob:
        blob.truncate(arguments.blob)
        asyncio.run(serve(arguments.certificate, blob))


if __name__ == "__main__":
    main()
