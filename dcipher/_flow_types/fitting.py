"""Checks params against the declaration of a flow, before it is run. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from .words import json_type_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dcipher.models import Flow, FlowParam

__all__ = ["fits", "problems"]

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
}


def problems(flow: Flow, params: Mapping[str, Any]) -> list[str]:
    """Returns the invalid params, in the order of the flow's params; unknown names last."""
    declared = {param.name: param for param in flow.params}
    found = [text for param in flow.params for text in _of_param(param, params)]
    # A flow without declared params may accept any.
    unknown = [name for name in params if name not in declared] if declared else []
    return [*found, *(_unknown(name, list(declared)) for name in unknown)]


def _of_param(param: FlowParam, params: Mapping[str, Any]) -> Iterator[str]:
    if param.name not in params:
        if param.required and param.default is None:
            kind = f" ({param.type})" if param.type else ""
            yield f"{param.name}{kind} is missing"
        return
    value = params[param.name]
    if value is None and not param.required:
        return
    if not fits(param.type, value):
        hint = f" (for JSON, write {param.name}:=…)" if isinstance(value, str) else ""
        yield f"{param.name} must be {param.type}, and is {_kind(value)}{hint}"


def fits(word: str | None, value: object) -> bool:
    """Returns whether a JSON value has this type of the service; True for an unknown type."""
    kinds = _KINDS.get(json_type_of(word) or "")
    if kinds is None:
        return True
    if isinstance(value, bool):  # an int in Python, but not in JSON
        return bool in kinds
    if isinstance(value, float) and value.is_integer() and int in kinds:  # JSON Schema: 1.0 is one
        return True
    return isinstance(value, kinds)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    named = {"bool": "a boolean", "str": "text", "list": "an array", "dict": "an object"}
    return named.get(type(value).__name__, "a number")


def _unknown(name: str, declared: list[str]) -> str:
    near = get_close_matches(name, declared, 1, 0.5)
    if near:
        return f"{name} is not a param of this flow (nearest: {near[0]})"
    return f"{name} is not a param of this flow (which has {', '.join(declared)})"
