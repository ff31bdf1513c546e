"""The JSON type and the annotation for a type name of a service; pure."""

from __future__ import annotations

__all__ = ["annotation_of", "json_type_of"]

# The names of JSON Schema, which the emulator uses, and others in use. A flow may declare any name.
_JSON_TYPES: dict[str, str] = {
    **dict.fromkeys(("string", "text", "str"), "string"),
    **dict.fromkeys(("integer", "int"), "integer"),
    **dict.fromkeys(("number", "float", "double"), "number"),
    **dict.fromkeys(("boolean", "bool"), "boolean"),
    **dict.fromkeys(("array", "list"), "array"),
    **dict.fromkeys(("object", "dict"), "object"),
}
_ANNOTATIONS = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list[Any]",
    "object": "dict[str, Any]",
}


def json_type_of(word: str | None) -> str | None:
    """Returns the JSON type for a type name of the service; None for an unknown one."""
    return _JSON_TYPES.get((word or "").strip().lower())


def annotation_of(word: str | None) -> str:
    """Returns the annotation for a type name of the service; `Any` for an unknown one."""
    return _ANNOTATIONS.get(json_type_of(word) or "", "Any")
