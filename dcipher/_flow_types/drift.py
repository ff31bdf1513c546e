"""The differences between a `FlowCall` and what its flow declares now. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import PydanticUndefined, to_jsonable_python

from dcipher._masking.text import clean

from .words import json_type_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from dcipher.calls import FlowCall
    from dcipher.models import Flow, FlowParam

__all__ = ["FlowDrift", "drift_of"]


@dataclass(frozen=True)
class FlowDrift:
    """The differences between a `FlowCall` and its flow. It is true if there are any."""

    flow_id: str
    """The id of the flow."""
    breaking: tuple[str, ...] = ()
    """Differences with which a start fails, or sends an unknown param: a param that was removed, one
    that is required now, a type that changed."""
    compatible: tuple[str, ...] = ()
    """Differences with which starts still work: a new optional param, another default."""

    def __bool__(self) -> bool:
        return bool(self.breaking or self.compatible)

    def __str__(self) -> str:
        lines = [f"breaking: {text}" for text in self.breaking]
        return "\n".join([*lines, *(f"compatible: {text}" for text in self.compatible)])


def drift_of(call: type[FlowCall[Any]], flow: Flow) -> FlowDrift:
    """Returns how a class differs from the flow as the service describes it."""
    declared = {param.name: param for param in flow.params}
    fields = {_name_of(name, field): field for name, field in call.model_fields.items()}
    types = _json_types(call)
    breaking: list[str] = []
    compatible: list[str] = []
    # A flow without declarations may accept anything.
    lost = [name for name in fields if name not in declared] if declared else []
    breaking += [f"{_shown(name)}: the flow has no such param" for name in lost]
    for name, param in declared.items():
        if name not in fields:
            new = breaking if _is_required(param) else compatible
            new.append(
                f"{_shown(name)}: a new {'required' if new is breaking else 'optional'} param"
            )
            continue
        breaking += _changed_type(param, types.get(name, frozenset()))
        if _is_required(param) and _may_be_missing(fields[name]):
            breaking.append(f"{_shown(name)}: required now")
        compatible += _looser(param, fields[name])
    return FlowDrift(flow.id, tuple(breaking), tuple(compatible))


def _name_of(name: str, field: FieldInfo) -> str:
    return name if field.serialization_alias is None else field.serialization_alias


def _is_required(param: FlowParam) -> bool:
    return bool(param.required) and param.default is None


def _may_be_missing(field: FieldInfo) -> bool:
    """Returns whether the field is omitted from a start unless it is set."""
    return not field.is_required() and field.get_default() is None and not field.default_factory


def _looser(param: FlowParam, field: FieldInfo) -> Iterator[str]:
    if field.is_required():
        if not _is_required(param) and param.required is not None:
            yield f"{_shown(param.name)}: optional now"
        return
    default: object = field.get_default()
    if default is None or default is PydanticUndefined or param.default is None:
        return
    if to_jsonable_python(default, fallback=repr) != param.default:
        yield f"{_shown(param.name)}: another default"


def _changed_type(param: FlowParam, accepted: frozenset[str]) -> Iterator[str]:
    wanted = json_type_of(param.type)
    if wanted is None or not accepted or wanted in accepted:
        return
    if wanted == "number" and "integer" in accepted:  # an integer is a number
        return
    known = " or ".join(sorted(accepted))
    yield f"{_shown(param.name)}: {wanted} now, and {known} in the class"


def _shown(name: str) -> str:
    return clean(name, 80)


def _json_types(call: type[BaseModel]) -> Mapping[str, frozenset[str]]:
    """Returns the JSON types of each param, except null; none for a param of any type."""
    try:
        schema: dict[str, Any] = call.model_json_schema(mode="serialization")
    except PydanticInvalidForJsonSchema:
        return {}
    definitions: dict[str, Any] = schema.get("$defs", {})
    properties: dict[str, Any] = schema.get("properties", {})
    return {name: _types_in(part, definitions, 0) for name, part in properties.items()}


def _types_in(schema: dict[str, Any], definitions: dict[str, Any], depth: int) -> frozenset[str]:
    if "$ref" in schema and depth < 20:
        name = str(schema["$ref"]).rpartition("/")[2]
        return _types_in(definitions.get(name, {}), definitions, depth + 1)
    branches = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if isinstance(branches, list):
        parts = cast("list[dict[str, Any]]", branches)
        found = [_types_in(part, definitions, depth + 1) for part in parts if part != _NULL]
        return frozenset[str]().union(*found) if all(found) else frozenset()
    word: object = schema.get("type")
    return frozenset({word}) - {"null"} if isinstance(word, str) else frozenset()


_NULL = {"type": "null"}
