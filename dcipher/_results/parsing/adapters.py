"""A cache of Pydantic's adapters: building one costs more than validating a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast, get_args, get_origin

from pydantic import TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

__all__ = ["adapter_for", "choices_of", "is_pydantics", "is_sequence", "kinds_of"]

T = TypeVar("T")


def adapter_for(type_: type[T]) -> TypeAdapter[T]:
    """Returns the adapter of a type, from a cache of 128."""
    try:
        _ = hash(type_)
    except TypeError:  # for example Annotated with a list
        return TypeAdapter(type_)
    # int | str and str | int are equal, and validate "1" differently.
    return cast("TypeAdapter[T]", _cached_adapter(cast("Hashable", type_), repr(type_)))


@lru_cache(maxsize=128)
def _cached_adapter(type_: Hashable, _spelling: str) -> TypeAdapter[object]:
    return TypeAdapter(cast("type[object]", type_))


def is_sequence(type_: object) -> bool:
    """Returns whether a row of this type is a list of cells, rather than a mapping by the columns' names."""
    while get_origin(type_) is Annotated:
        type_ = cast("object", get_args(type_)[0])
    return (get_origin(type_) or type_) in (list, tuple, Sequence)


def choices_of(schema: Mapping[str, Any]) -> list[Any]:
    """Returns the choices of a union of Pydantic's core schemas, without their labels."""
    choices: list[Any] = schema["choices"]
    labelled = (tuple, list)
    return [one[0] if type(one) in labelled else one for one in choices]


def is_pydantics(function: object) -> bool:
    """Returns whether a function in a core schema is Pydantic's own, and not a validator of the user."""
    if isinstance(function, partial):
        function = cast("object", function.func)
    module: str = getattr(function, "__module__", None) or ""
    return module.partition(".")[0] in {"pydantic", "pydantic_core", "ipaddress", "uuid"}


@lru_cache(maxsize=128)
def kinds_of(adapter: TypeAdapter[Any]) -> frozenset[str]:
    """Returns the types of the core schemas in that of an adapter.

    Also `any` for untyped items, `strict`, `encoded bytes`, and `union of text`: for a text of JSON, such
    a union chooses another type than for a text of Python.
    """
    return frozenset(_kinds(adapter.core_schema))


def _kinds(schema: object) -> Iterator[str]:
    if isinstance(schema, (list, tuple)):
        for part in cast("Sequence[object]", schema):
            yield from _kinds(part)
    elif isinstance(schema, Mapping):
        found = cast("Mapping[str, object]", schema)
        kind = found.get("type")
        if isinstance(kind, str):
            yield "any" if kind in _UNTYPED and _UNTYPED[kind] not in found else kind
        if kind == "union" and len(_WRITTEN.intersection(_kinds(found["choices"]))) > 1:
            yield "union of text"
        configuration = found.get("config")
        for settings in (found, configuration):
            yield from _settings(settings)
        yield from _kinds([part for name, part in found.items() if name not in _NO_SCHEMAS])


def _settings(found: object) -> Iterator[str]:
    if isinstance(found, Mapping):
        settings = cast("Mapping[str, object]", found)
        if settings.get("strict") is True:
            yield "strict"
        if settings.get("val_json_bytes", "utf8") != "utf8":
            yield "encoded bytes"


_WRITTEN = frozenset(
    {"str", "bytes", "date", "datetime", "time", "timedelta", "uuid", "decimal", "url"}
)
"""Types that are text in JSON."""
_UNTYPED = {"dict": "values_schema", "list": "items_schema", "set": "items_schema"}
_NO_SCHEMAS = frozenset({"serialization", "metadata", "config", "default", "expected", "members"})
