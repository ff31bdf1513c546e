"""The effects of faults for the form of the console: descriptions and arguments."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Final, Literal, cast, get_args, get_origin

from pydantic_core import to_jsonable_python

from dcipher.emulator import faults
from dcipher.emulator.faults.effect import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from dataclasses import Field

    from pydantic import JsonValue
    from pydantic.fields import FieldInfo

__all__ = ["EFFECTS"]

_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
# The initial values of the form for arguments without a default.
_EXAMPLES: Final[Mapping[str, JsonValue]] = {
    "at": -1,
    "bytes_per_second": 100,
    "data": "HTTP/1.1 200 OK\r\n\r\n",
    "extra": "more",
    "patch": {"taskId": None},
    "seconds": 2,
    "words": ["PENDING", "setting up cluster"],
}


def _described(effect: type[Effect]) -> dict[str, JsonValue]:
    document = inspect.getdoc(effect) or ""
    described = {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(document)}
    annotated = cast("dict[str, FieldInfo]", getattr(effect, "__pydantic_fields__", {}))
    operations: list[JsonValue] = [*sorted(effect.operations)]
    values: list[JsonValue] = [
        _value(item, described.get(item.name), annotated.get(item.name))
        for item in fields(effect)
        if item.name != "kind"
    ]
    kind = next(item.default for item in fields(effect) if item.name == "kind")
    return {
        "kind": cast("str", kind),
        "name": effect.__name__,
        "description": document.partition("\n")[0].replace("`", ""),
        "operations": operations,
        "values": values,
    }


def _value(
    item: Field[object], description: str | None, annotated: FieldInfo | None
) -> dict[str, JsonValue]:
    annotation = None if annotated is None else annotated.annotation
    choices: list[JsonValue] = []
    if get_origin(annotation) is Literal:
        choices = [*get_args(annotation)]
    return {
        "name": item.name,
        "description": description and description.replace("`", ""),
        "choices": choices,
        "text": str in (annotation, *get_args(annotation)),
        "default": _default(item),
    }


def _default(item: Field[object]) -> JsonValue:
    if item.default_factory is not MISSING:
        return cast("JsonValue", to_jsonable_python(item.default_factory()))
    if item.default is not MISSING:
        return cast("JsonValue", to_jsonable_python(item.default))
    return _EXAMPLES[item.name]


EFFECTS: Final = tuple(
    _described(effect)
    for name in faults.__all__
    for effect in [cast("object", getattr(faults, name))]
    if isinstance(effect, type) and issubclass(effect, Effect) and effect is not Effect
)
"""JSON objects, in the order of the names."""
