"""The params of a flow as JSON. What JSON cannot represent is rejected, with its path."""

from __future__ import annotations

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
from dcipher.errors._hints import with_hint

from .secret_params import SECRETS, unmasked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .secret_params import AnySecret

__all__ = ["Params", "params_body"]

MOST_BITS = 14_000
"""About 4,200 digits; `sys.set_int_max_str_digits` stops at 4,300."""

NUMPY_SCALARS = frozenset("biufU")
"""The dtype kinds of numpy scalars that are sent as Python's: booleans, integers, floats, text."""
MOMENTS = frozenset("Mm")
"""The dtype kinds of numpy's datetimes and timedeltas."""

CONVERSIONS = {
    "tolist": "tolist()",  # arrays of numpy, series of pandas, tensors of torch
    "to_pylist": "to_pylist()",  # arrays and tables of pyarrow
    "as_py": "as_py()",  # scalars of pyarrow
    "to_dicts": "to_dicts()",  # frames of polars
    "to_list": "to_list()",  # series of polars
    "to_dict": 'to_dict("records")',  # frames of pandas
}
"""Methods that convert values of other libraries to lists and mappings; the first that exists."""

Params: TypeAlias = Mapping[str, Any] | BaseModel
"""The params of a flow: any mapping, or a Pydantic model, which is dumped by alias in JSON mode."""


def params_body(params: object, secrets: list[str]) -> bytes:
    """Returns the body of a start, and adds the secrets in it to `secrets`.

    Raises `InvalidParamsError` for a value that JSON cannot represent, with its path.
    """
    if params is not None and not isinstance(params, (Mapping, BaseModel)):
        raise InvalidParamsError(
            f"params must be a mapping or a Pydantic model, not {type(params).__name__}."
        )
    try:
        return _body(cast("object", {} if params is None else params), secrets)
    except InvalidParamsError:
        raise
    except RecursionError:
        raise InvalidParamsError("params are nested too deeply to be sent as JSON.") from None
    except Exception as error:  # a mapping, a computed field or an attribute of the program's
        raise InvalidParamsError(
            f"params cannot be read: a value in them raised {type(error).__name__}."
        ) from error


def _body(params: object, secrets: list[str]) -> bytes:
    plain: object = _plain(params, "params", (), secrets)
    if not isinstance(plain, dict):
        raise with_hint(
            InvalidParamsError("params must be a JSON object."),
            "Use a RootModel of a mapping, for example.",
        )
    return json.dumps(
        {"pipelineParams": plain}, allow_nan=False, ensure_ascii=False, separators=(",", ":")
    ).encode()


def _plain(value: object, where: str, above: tuple[int, ...], secrets: list[str]) -> Any:
    """Converts `value` to plain JSON values.

    Raises `InvalidParamsError` with the path of a value that JSON cannot represent.
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
        raise InvalidParamsError(f"{_shown(where)} contains itself: JSON has no cycles.")
    return _container(value, where, (*above, id(value)), secrets)


def _revealed(value: AnySecret, where: str, above: tuple[int, ...], secrets: list[str]) -> Any:
    """Converts the value of a secret, which is meant for the flow. Its mask would be sent as a value."""
    held: object = value.get_secret_value()
    if isinstance(held, bytes):  # as Pydantic writes bytes
        try:
            held = held.decode()
        except UnicodeDecodeError:
            error = InvalidParamsError(f"{_shown(where)} is not UTF-8.")
            raise with_hint(error, "Use base64.") from None
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
        str.encode(value)  # a subclass may have an encode() of its own
    except UnicodeEncodeError as error:
        raise InvalidParamsError(
            f"{_shown(where)} contains a lone surrogate at position {error.start}, which UTF-8 "
            "cannot encode."
        ) from None
    return value


def _refuse_missing(value: object, where: str) -> None:
    """Raises for a missing value, which serializers write as null or as a text of their own."""
    if name := _missing(value):
        raise with_hint(
            InvalidParamsError(f"{_shown(where)} is {name}, which JSON cannot represent."),
            "Send None, or leave it out.",
        )


def _refuse_iterator(value: object, where: str) -> None:
    """Raises for an iterator: the serializer would consume it, and write null for a NaN in it."""
    if isinstance(value, Iterator):
        raise with_hint(
            InvalidParamsError(f"{_shown(where)} is an iterator, which JSON cannot represent."),
            "Send a list.",
        )


def _missing(value: object) -> str:
    """Returns the name of a NaN or an infinity of any number type, of NaT or NA; otherwise ''."""
    if type(value).__name__ == "MaskedConstant":  # numpy's; as a float, it warns
        return "masked"
    kind = _array_kind(value)
    if isinstance(value, float) or kind == "f":
        number = value if isinstance(value, float) else float(cast("float", value))
        return "" if math.isfinite(number) else float.__repr__(number)
    if isinstance(value, Decimal):  # a signalling NaN cannot even be compared
        return "" if value.is_finite() else "NaN" if value.is_nan() else "infinite"
    if isinstance(value, complex):
        return (
            ""
            if math.isfinite(value.real) and math.isfinite(value.imag)
            else "a complex NaN or infinity"
        )
    if isinstance(value, (date, time, timedelta)) or kind in MOMENTS:
        # pandas' NaT is a datetime, and its isoformat() is "NaT".
        return "" if value == value else "NaT"
    return "NA" if type(value).__name__ == "NAType" else ""


def _array_kind(value: object) -> str:
    """Returns the dtype kind of a numpy scalar or zero-dimensional array; otherwise ''."""
    shape: object = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or shape:
        return ""
    kind: object = getattr(getattr(value, "dtype", None), "kind", "")
    return kind if isinstance(kind, str) else ""


def _as_builtin(value: Any, where: str) -> object:
    item: object = value.item()
    if isinstance(item, (bool, int, float, str)):
        return item
    raise _not_json(value, where)  # a longdouble: no number of Python can represent it


def _whole(value: int, where: str) -> int:
    if value.bit_length() > MOST_BITS:  # Python refuses to write it
        raise with_hint(
            InvalidParamsError(f"{_shown(where)} has thousands of digits."), "Send text."
        )
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
                f"{_shown(f'{where}.{name}')} occurs twice: one value would be lost."
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

    call: Any = model
    return unset_params(call) if isinstance(model, FlowCall) else None


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
    except PydanticSerializationError:  # it names a type, but not the path
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
    """Yields each value of a dumped model, and each key that is not text, with its path."""
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
            f"{_shown(where)} has the key {_named(key)}: keys of a JSON object must be text."
        )
    _text(text, f"a key in {where}")
    return str.__str__(text)


def _named(key: object) -> str:
    try:
        return clean(repr(key), 40)
    except ValueError:  # an int of more digits than Python writes
        return f"of type {type(key).__name__}"


def _shown(where: str) -> str:
    """Returns a path inside the params, cleaned for a message."""
    return clean(where, 120)


def _not_json(value: object, where: str) -> InvalidParamsError:
    kind = with_article(type(value).__name__)
    error = InvalidParamsError(f"{_shown(where)} is {kind}, which JSON cannot represent.")
    return with_hint(error, _advice(value))


def _advice(value: object) -> str:
    """Returns the advice for a value that JSON cannot represent."""
    if isinstance(value, (set, frozenset)):
        return "Send a list, sorted if the order matters."
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "Send text: decode it, or use base64."
    if isinstance(value, Decimal):
        return "Send str(value), or float(value) if that is exact enough."
    if isinstance(value, timedelta):
        return "Send value.total_seconds(), or text."
    if _array_kind(value) in MOMENTS:
        return "Send str(value)."
    if _array_kind(value) in NUMPY_SCALARS:
        return "Send value.item(), or float(value) if that is exact enough."
    if is_dataclass(value) and not isinstance(value, type):
        return "Send dataclasses.asdict(value)."
    for method, call in CONVERSIONS.items():
        if hasattr(value, method):
            return f"Send value.{call}."
    return "Send text, numbers, booleans, None, or lists or mappings of them."
