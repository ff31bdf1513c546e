"""Determines which fields of a type are never None, from their validation; pure.

The annotation alone is not sufficient: a default is not validated, a validator may return anything, and
a key may be missing. A field that is not certain to have a value is nullable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pydantic import AfterValidator, PlainValidator, SkipValidation, WrapValidator

from dcipher._results.parsing.adapters import adapter_for, choices_of, is_pydantics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["may_return_none", "never_null"]

# For a type checker, SkipValidation is no class.
_VALIDATORS: Any = (AfterValidator, PlainValidator, WrapValidator, SkipValidation)
_UNKNOWN = frozenset({"any", "none", "nullable", "model-field", "generator"})
_BRANCHES = ("schema", "lax_schema", "strict_schema", "json_schema", "python_schema")


def may_return_none(metadata: Iterable[object]) -> bool:
    """Returns whether the metadata of a type may replace its values, including by None."""
    return any(
        isinstance(item, _VALIDATORS)
        or (hasattr(item, "__get_pydantic_core_schema__") and not is_pydantics(type(item)))
        for item in metadata
    )


def never_null(type_: object) -> frozenset[str]:
    """Returns the fields of a type with named fields that are never None in a validated value."""
    schema: Any = adapter_for(cast("type[object]", type_)).core_schema
    return frozenset(_Schema(schema).sure_fields())


class _Schema:
    """A core schema of Pydantic's, with the definitions that it refers to."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._definitions: dict[str, Any] = {}
        while schema["type"] == "definitions":
            self._definitions.update((one["ref"], one) for one in schema["definitions"])
            schema = schema["schema"]
        self._root = self._resolved(schema)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while schema["type"] == "definition-ref":
            schema = self._definitions[schema["schema_ref"]]
        return schema

    def sure_fields(self) -> Iterable[str]:
        schema = self._root
        while True:
            kind = schema["type"]
            if _may_change(schema):
                return []
            if kind == "typed-dict":
                fields = schema["fields"].items()
                total = schema.get("total", True)
                given = [(name, f) for name, f in fields if f.get("required", total)]
            elif kind == "model-fields":
                given = list(schema["fields"].items())
            elif kind in {"dataclass-args", "named-tuple"}:
                given = [(field["name"], field) for field in schema["fields"]]
            elif kind == "arguments":
                given = [(field["name"], field) for field in schema["arguments_schema"]]
            else:  # what is around the fields
                schema = self._resolved(schema.get("schema") or schema["arguments_schema"])
                continue
            return [name for name, field in given if self._is_sure(field["schema"])]

    def _is_sure(self, schema: Mapping[str, Any]) -> bool:
        schema = self._resolved(schema)
        kind = schema["type"]
        if kind in _UNKNOWN or _may_change(schema):
            return False
        if kind == "default" and not _is_sure_default(schema):
            return False
        if kind == "union":
            return all(map(self._is_sure, choices_of(schema)))
        if kind in {"list", "set", "frozenset", "dict", "model", "dataclass", "json"}:
            return True
        return all(self._is_sure(schema[name]) for name in _BRANCHES if name in schema)


def _may_change(schema: Mapping[str, Any]) -> bool:
    """Returns whether code of the user's runs after validation, at this level."""
    kind: str = schema["type"]
    if kind == "model":
        post_init = getattr(schema["cls"], schema.get("post_init") or "", None)
        changes = getattr(post_init, "__name__", "init_private_attributes")
        return bool(schema.get("custom_init")) or changes != "init_private_attributes"
    if kind == "dataclass":
        return bool(schema.get("post_init"))
    if kind in {"function-after", "function-wrap", "function-plain"}:
        function = schema["function"]["function"]
        return not is_pydantics(function)
    return False


def _is_sure_default(schema: Mapping[str, Any]) -> bool:
    if "default" in schema:
        return schema["default"] is not None
    factory = schema.get("default_factory")
    # A class makes instances of itself.
    return factory is None or (isinstance(factory, type) and factory is not type(None))
