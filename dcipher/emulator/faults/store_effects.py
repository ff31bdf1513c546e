"""Effects on the store behind signed URLs: ranges, validators, changed files, expired URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field, replace
from hashlib import sha256
from typing import ClassVar, Literal

from pydantic.dataclasses import dataclass
from typing_extensions import override

from dcipher.emulator.faults.effect import Effect, HeaderValue
from dcipher.emulator.faults.messages import Call, Operation, Response
from dcipher.emulator.runs.results import error_document
from dcipher.emulator.runs.service import Service

__all__ = [
    "ChangeContent",
    "ChangeETag",
    "ExpireURL",
    "IgnoreRange",
    "Multipart",
    "RefuseRange",
    "WrongRange",
]

_RESULT: frozenset[Operation] = frozenset(("result",))


@dataclass(frozen=True, repr=False)
class IgnoreRange(Effect):
    """Responds to a request for a range with 200 and the complete file."""

    operations: ClassVar[frozenset[Operation]] = _RESULT
    needs_range: ClassVar[bool] = True

    kind: Literal["ignore_range"] = field(default="ignore_range", kw_only=True)

    @override
    def request(self, call: Call) -> Mapping[str, str]:
        gone = {"range", "if-range"}
        return {name: value for name, value in call.headers.items() if name not in gone}


@dataclass(frozen=True, repr=False)
class WrongRange(Effect):
    """Responds to a request for a range with 206 and a different range.

    Attributes:
        shift: By how many bytes the range is shifted. It stays within the file.
        lie: Whether Content-Range names the requested range. By default, it names the range that
            is sent.
    """

    operations: ClassVar[frozenset[Operation]] = _RESULT
    needs_range: ClassVar[bool] = True

    shift: int = 1
    lie: bool = False
    kind: Literal["wrong_range"] = field(default="wrong_range", kw_only=True)

    @override
    def request(self, call: Call) -> Mapping[str, str]:
        requested = _requested(call)
        if requested is None or call.stored is None:
            return call.headers
        first, last = requested
        size = len(call.stored.content)
        if first:
            start = max(0, min(int(first) + self.shift, size - 1))
            stop = max(start, int(last) + self.shift) if last else ""
            return {**call.headers, "range": f"bytes={start}-{stop}"}
        return {**call.headers, "range": f"bytes=-{max(1, int(last) + self.shift)}"}

    @override
    def apply(self, response: Response, call: Call) -> Response:
        sent = _CONTENT_RANGE.fullmatch(response.header("content-range") or "")
        requested = _requested(call)
        if not self.lie or response.status != 206 or sent is None or requested is None:
            return response
        size = int(sent[3])
        start = int(requested[0]) if requested[0] else max(0, size - int(requested[1]))
        stop = start + len(response.body) - 1
        return response.with_headers({"content-range": f"bytes {start}-{stop}/{size}"})


@dataclass(frozen=True, repr=False)
class RefuseRange(Effect):
    """Responds to a request for a range with 416."""

    operations: ClassVar[frozenset[Operation]] = _RESULT
    needs_range: ClassVar[bool] = True

    kind: Literal["refuse_range"] = field(default="refuse_range", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        if call.stored is None or response.status not in {200, 206}:
            return response  # it is rejected for another reason
        text = "The requested range is not satisfiable"
        new = replace(response, status=416)
        return new.with_body(error_document("InvalidRange", text, call.request_id)).with_headers(
            {
                "content-range": f"bytes */{len(call.stored.content)}",
                "content-type": "application/xml",
            },
            without=("etag", "last-modified", "repr-digest", "accept-ranges"),
        )


@dataclass(frozen=True, repr=False)
class Multipart(Effect):
    """Responds to a request for a single range with multipart/byteranges."""

    operations: ClassVar[frozenset[Operation]] = _RESULT
    needs_range: ClassVar[bool] = True

    kind: Literal["multipart"] = field(default="multipart", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        described = response.header("content-range")
        if response.status != 206 or described is None:
            return response
        # RFC 9110 section 14.6
        before = (
            f"--{_BOUNDARY}\r\nContent-Type: {response.header('content-type')}\r\n"
            f"Content-Range: {described}\r\n\r\n"
        )
        body = response.body.framed(before.encode("latin-1"), f"\r\n--{_BOUNDARY}--\r\n".encode())
        return replace(response, body=body).with_headers(
            {"content-type": f"multipart/byteranges; boundary={_BOUNDARY}"},
            without=("content-range",),
        )


@dataclass(frozen=True, repr=False)
class ChangeETag(Effect):
    """Changes the ETag of the response, as if its bytes belonged to another file.

    Attributes:
        etag: The value of the header, with quotes. Default: a strong one, derived from the real one.
    """

    operations: ClassVar[frozenset[Operation]] = _RESULT

    etag: HeaderValue | None = None
    kind: Literal["change_etag"] = field(default="change_etag", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        true = response.header("etag") or ""
        return response.with_headers(
            {"etag": self.etag or f'"{sha256(true.encode("latin-1")).hexdigest()[:32]}"'}
        )


@dataclass(frozen=True, repr=False)
class ChangeContent(Effect):
    """Replaces the file: from now on, it has other bytes of the same length, a new ETag and digest.

    Conditions (If-Match, If-Range) are evaluated for the new file, as in any store.
    """

    operations: ClassVar[frozenset[Operation]] = _RESULT
    is_heavy: ClassVar[bool] = True

    kind: Literal["change_content"] = field(default="change_content", kw_only=True)

    @override
    def act(self, service: Service, call: Call) -> None:
        if call.task_id is not None and call.output_index is not None:
            service.replace_result(
                call.task_id, call.output_index, lambda content: content.translate(_NEXT)
            )


@dataclass(frozen=True, repr=False)
class ExpireURL(Effect):
    """Expires the signed URLs of the run: from now on, they return 403 with the XML of the store."""

    operations: ClassVar[frozenset[Operation]] = frozenset(("status", "result"))

    kind: Literal["expire_url"] = field(default="expire_url", kw_only=True)

    @override
    def act(self, service: Service, call: Call) -> None:
        if call.task_id is not None:
            service.expire_urls(call.task_id)


# Either a first byte and an optional last one, or the number of last bytes. No two runs of blanks are
# adjacent: matching a header of blanks would take quadratic time.
_RANGE = re.compile(r"bytes *= *(?:([0-9]{1,18}) *)?- *([0-9]{0,18})", re.I)


def _requested(call: Call) -> tuple[str, str] | None:
    """Returns the first and last byte of the requested range, as text."""
    found = _RANGE.search(call.headers.get("range", ""))
    first, last = ("", "") if found is None else (found[1] or "", found[2])
    return (first, last) if first or last else None


_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.ASCII)
_BOUNDARY = "dcipher-emulator-part"
_NEXT = bytes((byte + 1) % 256 for byte in range(256))
