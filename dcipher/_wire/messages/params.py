"""The params of a flow as JSON: carried whole, or refused with their path before anything is sent."""

from __future__ import annotations

import cmath
import json
import math
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from dcipher._masking.text import clean, with_article
from dcipher.errors import InvalidParamsError

from .secret_params import SECRETS, unmasked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .secret_params import AnySecret

__all__ = ["Params", "params_body"]

MOST_BITS = 14_000
"""About 4,200 digits; `sys.set_int_max_str_digits` stops at 4,300."""

NUMPY_SCALARS = frozenset("biufU")
"""Kinds of numpy's single values that are sent as Python's: booleans, integers, floats, text."""
MOMENTS = frozenset("Mm")
"""Kinds of numpy's points and lengths of time."""

CONVERSIONS = {
    "tolist": "tolist()",  # arrays of numpy, series of pandas, tensors of torch
    "to_pylist": "to_pylist()",  # arrays and tables of pyarrow
    "as_py": "as_py()",  # scalars of pyarrow
    "to_dicts": "to_dicts()",  # frames of polars
    "to_list": "to_list()",  # series of polars
    "to_dict": 'to_dict("records")',  # frames of pandas
}
"""What makes lists and mappings of the values of other libraries, the first that there is."""

Params: TypeAlias = Mapping[str, Any] | BaseModel
"""What a flow is started with.

Any mapping, or a Pydantic model, which is dumped by alias in JSON mode.
"""


def params_body(params: object, secrets: list[str]) -> bytes:
    """Returns the body of a start; what in it is secret joins `secrets`.

    Raises `InvalidParamsError` for params that JSON cannot carry whole, with their path.
    """
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
    if isinstance(value, str):
        return _text(value, where)
    _refuse_missing(value, where)
    if isinstance(value, float):
        return value
    if isinstance(value, int):
        return _whole(value, where)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if _array_kind(value) in NUMPY_SCALARS:
        return _plain(_as_builtin(value, where), where, above, secrets)
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


def _text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidParamsError(
            f"{_shown(where)} holds a lone surrogate at position {error.start}: "
            "it is not text that UTF-8 can carry."
        ) from None
    return value


def _refuse_missing(value: object, where: str) -> None:
    """Raises for what stands for no value, and what serialisers write as a text or null of their own."""
    if name := _missing(value):
        raise InvalidParamsError(
            f"{_shown(where)} is {name}: JSON has no form for it. Send None, or leave it out."
        )


def _refuse_iterator(value: object, where: str) -> None:
    """Raises for what can be read once: the serializer would, and write null for a NaN in it."""
    if isinstance(value, Iterator):
        raise InvalidParamsError(f"{_shown(where)} is an iterator: send a list.")


def _missing(value: object) -> str:
    """The name of a NaN or an infinity of any kind of number, of NaT or NA; else nothing."""
    kind = _array_kind(value)
    if isinstance(value, float) or kind == "f":
        number = float(cast("float", value))
        return "" if math.isfinite(number) else float.__repr__(number)
    if isinstance(value, Decimal):  # a signalling NaN cannot even be compared
        return "" if value.is_finite() else "NaN" if value.is_nan() else "infinite"
    if isinstance(value, complex):
        return "" if cmath.isfinite(value) else "a complex NaN or infinity"
    if isinstance(value, (date, time, timedelta)) or kind in MOMENTS:
        # pandas' NaT is a datetime, and its isoformat() is "NaT".
        return "" if value == value else "NaT"
    return "NA" if type(value).__name__ == "NAType" else ""


def _array_kind(value: object) -> str:
    """The letter that numpy has for the kind of a single value, a scalar or an array of no dimension."""
    shape: object = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or shape:
        return ""
    kind: object = getattr(getattr(value, "dtype", None), "kind", "")
    return kind if isinstance(kind, str) else ""


def _as_builtin(value: Any, where: str) -> object:
    item: object = value.item()
    if isinstance(item, (bool, int, float, str)):
        return item
    raise _not_json(value, where)  # a longdouble: Python has no number that holds it


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
    raise _not_json(value, where)


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
        python: object = model.model_dump(by_alias=True, exclude=_left_out(model))
        for path, value in _leaves(python, where):
            _refuse_iterator(value, path)
            _refuse_missing(value, path)
        return unmasked(python, _as_json(model, python, where), where)
    except InvalidParamsError:
        raise
    except (PydanticSerializationError, TypeError, ValueError) as error:
        raise InvalidParamsError(f"{_shown(where)} cannot be dumped: {_why(error)}.") from None


def _left_out(model: BaseModel) -> set[str] | None:
    from dcipher.calls import FlowCall, unset_params  # not for params that are no model

    return unset_params(model) if isinstance(model, FlowCall) else None


# Anything else in the text of a serializer's error may be a value.
_WHY = re.compile(
    r"Unable to serialize unknown type: <class '[^']*'>|Error calling function `[^`]*`: \w+"
)


def _why(error: Exception) -> str:
    known = _WHY.match(str(error))
    return clean(known[0] if known else type(error).__name__, 120)


def _as_json(model: BaseModel, python: object, where: str) -> object:
    try:
        return model.model_dump(mode="json", by_alias=True, exclude=_left_out(model))
    except PydanticSerializationError:  # it names a type, but not where it stands
        for path, value in _leaves(python, where):
            if not _has_json(value):
                raise _not_json(value, path) from None
        raise


def _has_json(value: object) -> bool:
    try:
        to_jsonable_python(value)
    except (PydanticSerializationError, TypeError, ValueError):
        return False
    return True


def _leaves(value: object, where: str) -> Iterator[tuple[str, object]]:
    """Each value, and each key that is no text, of a dumped model, with its path."""
    if isinstance(value, dict):
        for key, item in cast("dict[object, object]", value).items():
            if isinstance(key, str):
                yield from _leaves(item, f"{where}.{key}")
            else:
                yield f"a key in {where}", key
                yield from _leaves(item, f"{where}[{_named(key)}]")
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        for i, item in enumerate(cast("Iterable[object]", value)):
            yield from _leaves(item, f"{where}[{i}]")
    else:
        yield where, value


def _key(key: object, where: str) -> str:
    text = key.value if isinstance(key, Enum) else key
    if not isinstance(text, str):
        raise InvalidParamsError(
            f"{_shown(where)} has the key {_named(key)}: the keys of a JSON object are text."
        )
    _text(text, f"a key in {where}")
    return str.__str__(text)


def _named(key: object) -> str:
    try:
        return clean(repr(key), 40)
    except ValueError:  # an int of more digits than Python writes
        return f"of type {type(key).__name__}"


def _shown(where: str) -> str:
    """A path inside params as an error shows it: its keys come from anywhere."""
    return clean(where, 120)


def _not_json(value: object, where: str) -> InvalidParamsError:
    kind = with_article(type(value).__name__)
    return InvalidParamsError(f"{_shown(where)} is {kind}: {_advice(value)}")


def _advice(value: object) -> str:
    """What to send instead of a value that JSON has no form for."""
    if isinstance(value, (set, frozenset)):
        return "send a list, sorted if the order matters."
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "send text: decode it, or use base64."
    if isinstance(value, Decimal):
        return "send str(value), or float(value) where that is exact enough."
    if isinstance(value, timedelta):
        return "send value.total_seconds(), or text."
    if _array_kind(value) in MOMENTS:
        return "send str(value)."
    if _array_kind(value) in NUMPY_SCALARS:
        return "send value.item(), or float(value) where that is exact enough."
    if is_dataclass(value) and not isinstance(value, type):
        return "send dataclasses.asdict(value)."
    for method, call in CONVERSIONS.items():
        if hasattr(value, method):
            return f"send value.{call}."
    return "JSON cannot carry it. Send text, numbers, booleans, None, lists or mappings of them."
