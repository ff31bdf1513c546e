"""A server that costs next to nothing, so that what is measured is the client.

A flow's id says what its runs do: `2.5-1024` runs for 2.5 seconds and has a result of 1,024 bytes,
`2.5-json` one of a JSON object.
The id of a run begins with the moment of its end on the monotonic clock, which all processes of
a machine share: nothing is stored, and a client knows how late it learned of the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import ssl
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import IO, NamedTuple

__all__ = ["main"]

HEAD = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
JSON = b"application/json"
BLOB = b"application/octet-stream"
MIB = 1024 * 1024


class Body(NamedTuple):
    """What of the blob is sent: from where, up to where, at how many MiB/s (0: no limit)."""

    start: int
    end: int
    mib: int = 0


NOTHING = Body(0, 0)


class Service:
    """The answers."""

    def __init__(self, blob: IO[bytes]) -> None:
        self.blob = blob
        self.url = ""
        self._looks = 0
        self._numbers = count()

    def answer(self, method: bytes, target: bytes, fields: bytes) -> tuple[bytes, Body]:
        """The bytes to send, and what of the blob comes after them."""
        path, _, query = target.partition(b"?")
        match method, *path.split(b"/")[1:]:
            case b"GET", b"flows", _, b"status":
                return self._status(query.partition(b"=")[2]), NOTHING
            case b"POST", b"flows", flow_id, b"run":
                return self._start(flow_id.decode()), NOTHING
            case b"GET", b"flows", flow_id:
                return _json({"id": flow_id.decode(), "name": "A flow", "params": []}), NOTHING
            case b"GET", b"v2", b"actor-runs", _:
                return _APIFY_RUN, NOTHING
            case b"GET", b"results", b"json":
                return _RESULT, NOTHING
            case b"GET", b"results", size:
                return HEAD % (b"200 OK", BLOB, int(size)), Body(0, int(size))
            case b"GET", b"objects", size, mib:
                return _part(int(size), int(mib), fields)
            case b"GET", b"looks":
                return _json({"looks": self._looks}), NOTHING
            case _:
                return HEAD % (b"404 Not Found", JSON, 2) + b"{}", NOTHING

    def _status(self, task_id: bytes) -> bytes:
        self._looks += 1
        ended = time.monotonic() >= float(task_id.partition(b"-")[0])
        return _SUCCEEDED if ended else _RUNNING

    def _start(self, flow_id: str) -> bytes:
        seconds, _, size = flow_id.partition("-")
        size, _, mib = size.partition("-")
        task_id = f"{time.monotonic() + float(seconds):.6f}-{next(self._numbers)}"
        path = f"objects/{size}/{mib}" if mib else f"results/{size}"
        url = f"{self.url}/{path}?signature=none"
        return _json({"taskId": task_id, "signedResponseURL": url})


def _part(size: int, mib: int, fields: bytes) -> tuple[bytes, Body]:
    """An object with a validator, or a range of it; at so many MiB/s, 0: as fast as can be."""
    asked = re.search(rb"\r\nrange: bytes=(\d+)-(\d*)", fields.lower())
    if asked is None:
        head = HEAD % (b"200 OK", BLOB, size)
        return _with(head, b"Accept-Ranges: bytes"), Body(0, size, mib)
    start, end = int(asked[1]), int(asked[2] or size - 1) + 1
    head = HEAD % (b"206 Partial Content", BLOB, end - start)
    place = b"Content-Range: bytes %d-%d/%d" % (start, end - 1, size)
    return _with(head, place), Body(start, end, mib)


def _with(head: bytes, field: bytes) -> bytes:
    return head[:-2] + b'ETag: "1"\r\n' + field + b"\r\n\r\n"


def _json(value: object) -> bytes:
    body = json.dumps(value).encode()
    return HEAD % (b"200 OK", JSON, len(body)) + body


_APIFY_RUN = _json(
    {
        "data": {
            "id": "1", "actId": "a", "userId": "u", "status": "SUCCEEDED", "statusMessage": "done",
            "startedAt": "2026-01-01T00:00:00.000Z", "finishedAt": "2026-01-01T00:00:01.000Z",
            "meta": {"origin": "API"},
            "stats": {"restartCount": 0, "resurrectCount": 0, "computeUnits": 0},
            "options": {"build": "b", "timeoutSecs": 1, "memoryMbytes": 128, "diskMbytes": 128},
            "buildId": "b", "buildNumber": "0.0.1", "generalAccess": "RESTRICTED",
            "containerUrl": "http://127.0.0.1/", "defaultKeyValueStoreId": "k",
            "defaultDatasetId": "d", "defaultRequestQueueId": "q",
        }
    }
)  # fmt: skip
_RESULT = _json({"text": "Some text that was grouped by its topics.", "topics": [1, 2, 3]})
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
            head, body = self._service.answer(*request)
            self._transport.write(head)
            if body.end > body.start:
                self._sending = asyncio.get_running_loop().create_task(self._send(body))

    def _next_request(self) -> tuple[bytes, bytes, bytes] | None:
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return None
        _, has_body, after = head.lower().partition(b"\r\ncontent-length:")
        length = int(after.partition(b"\r\n")[0]) if has_body else 0
        if len(rest) < length:
            return None
        self._received = rest[length:]
        method, target, _ = head.split(b" ", 2)
        return method, target, head

    async def _send(self, body: Body) -> None:
        loop, began = asyncio.get_running_loop(), time.monotonic()
        step = MIB if body.mib else body.end - body.start
        # A file of its own for each body: sendfile moves the position.
        with Path(self._service.blob.name).open("rb") as blob:  # noqa: ASYNC230 - a file of nothing
            try:
                for start in range(body.start, body.end, step):
                    size = min(step, body.end - start)
                    await loop.sendfile(self._transport, blob, start, size)
                    if body.mib:
                        due = began + (start + size - body.start) / (body.mib * MIB)
                        await asyncio.sleep(max(0.0, due - time.monotonic()))
            except (ConnectionError, RuntimeError):  # RuntimeError: closed between two pieces
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
