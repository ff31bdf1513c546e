"""What to send: one function an operation.

Everything that is wrong with the arguments is said here, before anything is sent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from datetime import date, datetime, time
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from ..errors import InvalidParamsError
from .secret_params import SECRETS, unmasked
from .text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from .secret_params import AnySecret

__all__ = ["Operation", "Params", "get_flow", "run_status", "start_run"]

LONGEST_ID = 1024
MOST_BITS = 14_000
"""About 4,200 digits; `sys.set_int_max_str_digits` stops at 4,300."""

Params: TypeAlias = "Mapping[str, Any] | BaseModel"
"""What a flow is started with.

Any mapping, or a Pydantic model, which is dumped by alias in JSON mode.
"""


@dataclass(frozen=True)
class Operation:
    """One request of the API, ready to be sent, and what an error has to know of it."""

    name: str
    """`start`, `status` or `flow`."""
    method: str
    target: str
    """Path and query, relative to the base URL, already quoted."""
    content: bytes | None = field(default=None, repr=False)
    """The body: serialised once, the same bytes for the digest, the signature and every attempt."""
    flow_id: str = ""
    task_id: str | None = None
    idempotency_key: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What the answer must not have repeated where it is shown: params that are secret, signatures of URLs."""


def get_flow(flow_id: str) -> Operation:
    """GET /flows/{flow_id}."""
    return Operation("flow", "GET", f"/flows/{_segment('flow_id', flow_id)}", flow_id=flow_id)


def start_run(flow_id: str, params: Params | None, idempotency_key: str) -> Operation:
    """POST /flows/{flow_id}/run."""
    secrets: list[str] = []
    return Operation(
        "start",
        "POST",
        f"/flows/{_segment('flow_id', flow_id)}/run",
        content=_body(params, secrets),
        flow_id=flow_id,
        idempotency_key=_checked_key(idempotency_key),
        secrets=tuple(secrets),
    )


def run_status(flow_id: str, task_id: str, secrets: tuple[str, ...] = ()) -> Operation:
    """GET /flows/{flow_id}/status?taskId=…: the task id travels as a query parameter.

    `secrets`: of the URLs of the run, as far as they are known.
    """
    path = f"/flows/{_segment('flow_id', flow_id)}/status"
    query = f"taskId={_segment('task_id', task_id)}"
    target = f"{path}?{query}"
    return Operation("status", "GET", target, flow_id=flow_id, task_id=task_id, secrets=secrets)


def _segment(what: str, value: object) -> str:
    """`value` as exactly one path segment (or query value).

    httpx would turn `../../admin` into another path and cut `a?x=1#`, so everything is quoted, and
    what could still be read as a way out is refused: RFC 3986 section 3.3 gives dot segments their
    meaning after decoding, too.
    """
    if not isinstance(value, str):
        raise InvalidParamsError(f"{what} must be a str, not {type(value).__name__}.")
    return _quoted(what, value)


@lru_cache(maxsize=1024)  # a run is asked for many times
def _quoted(what: str, value: str) -> str:
    if not value.strip():
        raise InvalidParamsError(f"{what} is empty. It is the id that Dcipher shows for it.")
    if len(value) > LONGEST_ID:
        raise InvalidParamsError(f"{what} is longer than {LONGEST_ID} characters: it is no id.")
    decoded = _decoded(value)
    if not decoded.isprintable():
        raise InvalidParamsError(
            f"{what} {clean(value)!r} holds characters that cannot be printed."
        )
    if {".", ".."} & {*decoded.replace("\\", "/").split("/")}:
        raise InvalidParamsError(f"{what} {clean(value)!r} is a path, not an id.")
    return quote(value, safe="")


def _decoded(value: str) -> str:
    """`value` with its percent escapes undone, however often they were done."""
    while (once := unquote(value)) != value:
        value = once
    return value


def _checked_key(key: object) -> str:
    """An `Idempotency-Key` that a header can carry: visible ASCII, at most 255 characters."""
    if not isinstance(key, str):
        raise InvalidParamsError(f"idempotency_key must be a str, not {type(key).__name__}.")
    if not 0 < len(key) <= 255 or not all("!" <= character <= "~" for character in key):
        raise InvalidParamsError(
            "idempotency_key must be 1 to 255 visible ASCII characters, without blanks."
        )
    return key


def _body(params: object, secrets: list[str]) -> bytes:
    """The body; what in it is secret joins `secrets`."""
    if params is not None and not isinstance(params, (Mapping, BaseModel)):
        raise InvalidParamsError(
            f"params must be a mapping or a Pydantic model, not {type(params).__name__}."
        )
    try:
        given = cast("object", {} if params is None else params)
        plain: object = _plain(given, "params", (), secrets)
        if not isinstance(plain, dict):
            raise InvalidParamsError(
                "params must become a JSON object: a RootModel of a mapping may."
            )
        return json.dumps(
            {"pipelineParams": plain}, allow_nan=False, ensure_ascii=False, separators=(",", ":")
        ).encode()
    except RecursionError:
        raise InvalidParamsError("params are nested too deeply to be sent as JSON.") from None


def _plain(value: object, where: str, above: tuple[int, ...], secrets: list[str]) -> Any:
    """`value` as what JSON can carry.

    Raises `InvalidParamsError` with the path of what it cannot.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, where, above, secrets)
    if isinstance(value, SECRETS):
        return _revealed(value, where, above, secrets)
    if isinstance(value, (str, float)):
        return _scalar(value, where)
    if isinstance(value, int):
        return _whole(value, where)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if id(value) in above:
        raise InvalidParamsError(f"{_shown(where)} contains itself: JSON cannot carry a cycle.")
    return _container(value, where, (*above, id(value)), secrets)


def _revealed(value: AnySecret, where: str, above: tuple[int, ...], secrets: list[str]) -> Any:
    """What a secret holds: it was put there for the flow. Its mask would be taken for the value."""
    held: object = value.get_secret_value()
    if isinstance(held, bytes):  # as Pydantic writes bytes
        try:
            held = held.decode()
        except UnicodeDecodeError:
            raise InvalidParamsError(f"{_shown(where)} is no UTF-8: use base64.") from None
    plain = _plain(held, where, above, secrets)
    secrets.extend(_texts(plain))
    return plain


def _texts(plain: object) -> Iterator[str]:
    if isinstance(plain, dict):
        plain = list(cast("dict[str, object]", plain).values())
    if isinstance(plain, list):
        for item in cast("list[object]", plain):
            yield from _texts(item)
    elif plain is not None and not isinstance(plain, bool):
        yield str(plain)


def _scalar(value: str | float, where: str) -> str | float:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidParamsError(
                f"{_shown(where)} holds a lone surrogate at position {error.start}: "
                "it is not text that UTF-8 can carry."
            ) from None
    elif not math.isfinite(value):
        raise InvalidParamsError(
            f"{_shown(where)} is {value}: JSON has no such number. Send None, or leave it out."
        )
    return value


def _whole(value: int, where: str) -> int:
    if value.bit_length() > MOST_BITS:  # Python refuses to write it
        raise InvalidParamsError(f"{_shown(where)} is a number of thousands of digits: send text.")
    return value


def _container(value: object, where: str, above: tuple[int, ...], secrets: list[str]) -> Any:
    if isinstance(value, BaseModel):
        return _plain(_dumped(value, where), where, above, secrets)
    if isinstance(value, Mapping):
        return _object(cast("Mapping[object, object]", value), where, above, secrets)
    if isinstance(value, (list, tuple)):
        row = cast("Sequence[object]", value)
        return [_plain(item, f"{where}[{i}]", above, secrets) for i, item in enumerate(row)]
    raise InvalidParamsError(f"{_shown(where)} is a {type(value).__name__}: {_advice(value)}")


def _object(
    value: Mapping[object, object], where: str, above: tuple[int, ...], secrets: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = _key(key, where)
        if name in found:  # an enum's member and its value are two keys in Python
            raise InvalidParamsError(
                f"{_shown(f'{where}.{name}')} is there twice: one would be lost."
            )
        found[name] = _plain(item, f"{where}.{name}", above, secrets)
    return found


def _dumped(model: BaseModel, where: str) -> object:
    try:
        python: object = model.model_dump(by_alias=True)
        _refuse_not_finite(python, where)
        return unmasked(python, model.model_dump(mode="json", by_alias=True), where)
    except InvalidParamsError:
        raise
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidParamsError(f"{_shown(where)} cannot be dumped: {clean(str(error))}") from None


def _refuse_not_finite(value: object, where: str) -> None:
    """JSON mode writes NaN as null where a field's type does not say that it is a float."""
    if isinstance(value, float):
        _scalar(value, where)
    elif isinstance(value, dict):
        for key, item in cast("dict[object, object]", value).items():
            _refuse_not_finite(item, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(cast("Sequence[object]", value)):
            _refuse_not_finite(item, f"{where}[{i}]")


def _key(key: object, where: str) -> str:
    text = key.value if isinstance(key, Enum) else key
    if not isinstance(text, str):
        raise InvalidParamsError(
            f"{_shown(where)} has the key {_named(key)}: the keys of a JSON object are text."
        )
    _scalar(text, f"a key in {where}")
    return str.__str__(text)


def _named(key: object) -> str:
    try:
        return clean(repr(key), 40)
    except ValueError:  # an int of more digits than Python writes
        return f"of type {type(key).__name__}"


def _shown(where: str) -> str:
    """A path inside params as an error shows it: its keys come from anywhere."""
    return clean(where, 120)


def _advice(value: object) -> str:
    """What to send instead of a value that JSON has no form for."""
    if isinstance(value, (set, frozenset)):
        return "send a list, sorted if the order matters."
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "send text: decode it, or use base64."
    if hasattr(value, "tolist"):  # numpy, pandas, torch
        return "send value.tolist()."
    if is_dataclass(value):
        return "send dataclasses.asdict(value)."
    return "JSON cannot carry it. Send text, numbers, booleans, None, lists or mappings of them."
