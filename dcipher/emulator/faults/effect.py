"""The base class of all effects, and the types of their arguments."""

from __future__ import annotations

import base64
import binascii
import re
import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Annotated, ClassVar, Final, TypeAlias, cast

from pydantic import ConfigDict, JsonValue, PlainSerializer, PlainValidator, TypeAdapter
from pydantic_core import to_json
from typing_extensions import override

from dcipher.emulator.faults.messages import OPERATIONS, Call, Operation, Response
from dcipher.emulator.runs.service import Service

__all__ = [
    "CONFIG",
    "Data",
    "Effect",
    "HeaderName",
    "HeaderValue",
    "Payload",
    "as_bytes",
    "media_type",
]

CONFIG: Final = ConfigDict(extra="forbid")


@dataclass(frozen=True, repr=False)
class Effect:
    """A change of a response. It is a frozen value, and can be written as JSON."""

    __pydantic_config__: ClassVar[ConfigDict] = CONFIG
    operations: ClassVar[frozenset[Operation]] = OPERATIONS
    """The operations that it supports."""
    needs_range: ClassVar[bool] = False
    """Whether it applies only to requests for a range."""
    is_heavy: ClassVar[bool] = False
    """Whether it computes for long, and must not run on the event loop."""

    @property
    def calls(self) -> int:
        """The number of requests for one application of it."""
        return 1

    @property
    def asks(self) -> bool:
        """Whether the request reaches the service."""
        return True

    def request(self, call: Call) -> Mapping[str, str]:
        """Returns the headers of the request that the service receives."""
        return call.headers

    def act(self, service: Service, call: Call) -> None:
        """Changes the service itself, before it receives the request."""
        _ = service, call

    def apply(self, response: Response, call: Call) -> Response:
        """Returns the changed response."""
        _ = call
        return response

    @override
    def __repr__(self) -> str:
        named: list[str] = []
        positional = True
        for item in fields(self):
            value: object = getattr(self, item.name)
            if item.name == "kind" or value == _default(item):
                positional = False
                continue
            text = _SHORT.repr(value)
            named.append(text if positional else f"{item.name}={text}")
            positional = False
        return f"{type(self).__name__}({', '.join(named)})"


def _default(item: Field[object]) -> object:
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxdict = _SHORT.maxtuple = 20
_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
# RFC 9110 section 5.1 and 5.5. `Raw` can send an invalid header on purpose.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TEXT = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_FRAMING = frozenset({"content-length", "transfer-encoding"})


def _payload(value: object) -> bytes | JsonValue:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, dict) and set(cast("dict[object, object]", value)) == {"base64"}:
        return _decoded(cast("dict[str, object]", value)["base64"])
    return _JSON.validate_python(value)


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("base64 must be text")  # noqa: TRY004 (Pydantic wants a ValueError)
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None


def _data(value: object) -> bytes | str:
    found = _payload(value)
    if not isinstance(found, (bytes, str)):
        raise ValueError('must be text, bytes, or {"base64": …}')  # noqa: TRY004 (the same)
    return found


def _encoded(value: bytes | JsonValue) -> JsonValue:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return value


def _header_name(name: object) -> str:
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise ValueError("is not a valid header name; Raw sends any bytes")
    if name.lower() in _FRAMING:
        raise ValueError(f"{name} cannot be set here: use Truncate, Extend or Frame")
    return name.lower()


def _header_value(value: object) -> str:
    if not isinstance(value, str) or not _TEXT.fullmatch(value):
        raise ValueError("is not a valid header value; Raw sends any bytes")
    return value


Payload: TypeAlias = Annotated[
    "bytes | JsonValue", PlainValidator(_payload), PlainSerializer(_encoded, when_used="json")
]
"""Text, bytes (as JSON: `{"base64": "…"}`), or any other JSON value."""
Data: TypeAlias = Annotated[
    "bytes | str", PlainValidator(_data), PlainSerializer(_encoded, when_used="json")
]
"""Text, or bytes (as JSON: `{"base64": "…"}`)."""
HeaderName: TypeAlias = Annotated[str, PlainValidator(_header_name)]
HeaderValue: TypeAlias = Annotated[str, PlainValidator(_header_value)]


def as_bytes(value: bytes | JsonValue) -> bytes:
    """Returns the bytes to send: bytes and text as they are, any other value as JSON."""
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else to_json(value)


def media_type(value: bytes | JsonValue) -> str:
    """Returns the content type for such a body."""
    if isinstance(value, bytes):
        return "application/octet-stream"
    return "text/plain; charset=utf-8" if isinstance(value, str) else "application/json"
