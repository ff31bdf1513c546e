"""Analyzes annotations: unwraps types, and lists the fields of a type; pure."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard, TypeVar, cast, get_args, get_origin

import typing_extensions
from pydantic import AliasChoices, BaseModel, RootModel
from pydantic.fields import FieldInfo
from typing_extensions import get_type_hints, is_typeddict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["attributes_of", "bare", "hints_of", "is_class", "known_fields", "names_of"]

_WRAPPERS = (
    typing_extensions.Required,
    typing_extensions.NotRequired,
    typing_extensions.ReadOnly,
    typing_extensions.Final,
)


def bare(type_: Any, metadata: Sequence[object] = ()) -> tuple[Any, tuple[object, ...]]:
    """Returns a type without its wrappers, and their metadata."""
    while True:
        origin = get_origin(type_)
        if origin is Annotated:
            type_, *more = get_args(type_)
            metadata = (*metadata, *_flat(more))
        elif origin in _WRAPPERS:
            (type_,) = get_args(type_)
        elif isinstance(type_, typing_extensions.TypeAliasType) or hasattr(type_, "__value__"):
            type_ = type_.__value__
        elif hasattr(type_, "__supertype__"):  # NewType
            type_ = type_.__supertype__
        elif isinstance(type_, TypeVar):
            type_ = type_.__bound__ or Any
        else:
            return type_, tuple(metadata)


def _flat(metadata: Iterable[object]) -> Iterable[object]:
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from item.metadata
        else:
            yield item


def is_class(type_: object) -> TypeGuard[type[Any]]:
    """Returns whether it is a class, and not a generic alias."""
    # Python 3.10 takes list[int] for one, and then issubclass does not.
    return isinstance(type_, type) and get_origin(type_) is None


def known_fields(type_: Any) -> dict[str, FieldInfo] | None:
    """Returns the fields of a model or a Pydantic dataclass; None for other types."""
    # Those of a dataclass of Pydantic's: one of the library has no such attribute.
    own = cast("dict[str, Any]", getattr(type_, "__dict__", {}))
    if not is_class(type_) or not issubclass(type_, BaseModel):
        return own.get("__pydantic_fields__")
    if issubclass(type_, RootModel):
        return None
    if not type_.__pydantic_complete__:
        type_.model_rebuild()
    return dict(type_.model_fields)


def names_of(name: str, field: FieldInfo) -> tuple[str, str]:
    """Returns the name of a field's column, and the name by which the model reads it."""
    # `alias=` sets both: it is how a service calls the field, and the name is how Python does.
    outgoing = field.serialization_alias
    incoming = field.validation_alias
    if isinstance(incoming, AliasChoices):
        incoming = incoming.choices[0]
    return (
        outgoing if outgoing and outgoing != field.alias else name,
        incoming if isinstance(incoming, str) else name,
    )


def attributes_of(type_: Any) -> list[str] | None:
    """Returns the names of the fields of a TypedDict, dataclass or named tuple; None for other types."""
    origin = get_origin(type_) or type_
    if is_typeddict(origin):
        return list(hints_of(type_))
    if dataclasses.is_dataclass(origin):
        return [field.name for field in dataclasses.fields(origin)]
    # A named tuple is a tuple that has this.
    if is_class(origin) and issubclass(origin, tuple):
        names = getattr(cast("type[object]", origin), "_fields", None)
        return None if names is None else list(cast("tuple[str, ...]", names))
    return None


def hints_of(type_: Any) -> dict[str, Any]:
    """Returns the annotations of a type by name, with its type parameters substituted."""
    hints = get_type_hints(get_origin(type_) or type_, include_extras=True)
    parameters = getattr(get_origin(type_), "__parameters__", ())
    given: dict[object, Any] = dict(zip(parameters, get_args(type_), strict=False))
    return {
        name: given.get(hint, hint) if isinstance(hint, TypeVar) else hint
        for name, hint in hints.items()
    }
