"""Converts cells of CSV, which are text, for a field: numbers, None, choices, JSON.

Only the column of a cell determines how it is read. Most types parse text themselves (Pydantic's lax
mode). This converts the text for the others. Unconverted cells remain text, which the type may reject.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, TypeAlias, cast

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError, SchemaValidator

from dcipher._results.parsing.adapters import choices_of
from dcipher._results.parsing.json.numbers import parse_decimals
from dcipher._results.parsing.json.strict import parse_json

__all__ = ["CellReaders", "readers_of"]

CellReader: TypeAlias = Callable[[str], object]
_Schema: TypeAlias = Mapping[str, Any]
_NONE: frozenset[str] = frozenset()

_CONTAINERS = frozenset(
    {
        *("list", "set", "frozenset", "tuple", "dict", "model", "dataclass", "typed-dict", "call"),
        *("named-tuple", "tagged-union", "generator"),
    }
)
_INSIDE = frozenset({"default", "function-after", "definitions"})


@dataclass
class CellReaders:
    """The converters of the cells of each column. The cells of a column without a converter remain text."""

    named: dict[str, CellReader | None] = field(default_factory=dict[str, CellReader | None])
    placed: list[CellReader | None] = field(default_factory=list[CellReader | None])
    others: CellReader | None = None

    def of(self, header: Sequence[str]) -> list[tuple[int, CellReader]]:
        """Returns the converters of a table's columns, with the index of each."""
        found = (
            (place, self.named[name] if name in self.named else self._at(place))
            for place, name in enumerate(header)
        )
        return [(place, reader) for place, reader in found if reader is not None]

    def _at(self, place: int) -> CellReader | None:
        return self.placed[place] if place < len(self.placed) else self.others


def readers_of(adapter: TypeAdapter[Any], *, table: bool = False) -> CellReaders:
    """Returns the converters for the cells of a row type, or for the rows of a table type."""
    walk = _Walk()
    schema: _Schema = dict(adapter.core_schema)
    for row, config in walk.rows(schema, {}) if table else [(schema, cast("_Schema", {}))]:
        walk.row(row, config)
    readers = CellReaders()
    for name, found in walk.fields.items():
        # If the models of a union differ in the type of a column, each of them receives the text.
        alike = all(one == found[0] for one in found)
        readers.named[name] = walk.reader(*found[0]) if alike else None
    readers.placed = [walk.reader(*found) for found in walk.items]
    readers.others = walk.reader(*walk.rest) if walk.rest is not None else None
    return readers


_Found: TypeAlias = "tuple[_Schema, _Schema]"  # a field's schema, and the configuration around it


class _Walk:
    """Collects the schemas of the cells from that of a row."""

    def __init__(self) -> None:
        self.fields: dict[str, list[_Found]] = {}
        self.items: list[_Found] = []
        self.rest: _Found | None = None
        self._definitions: dict[str, _Schema] = {}
        self._within: set[str] = set()

    def rows(self, schema: _Schema, config: _Schema) -> Iterator[_Found]:
        """Yields the schemas of the rows of a table."""
        config = schema.get("config") or config
        if schema["type"] == "definitions":
            self._definitions |= {one["ref"]: one for one in schema["definitions"]}
        schema = self._resolved(schema)
        if "items_schema" in schema:
            items: Any = schema["items_schema"]
            found = cast("list[_Schema]", items if isinstance(items, list) else [items])
            yield from ((one, config) for one in found)
            return
        for one in _rows_within(schema):
            yield from self.rows(one, config)

    def row(self, schema: _Schema, config: _Schema) -> None:
        """Collects the columns of a row."""
        kind = schema["type"]
        config = schema.get("config") or config
        if kind == "definitions":
            self._definitions |= {one["ref"]: one for one in schema["definitions"]}
        elif kind == "definition-ref":
            self._refer(schema["schema_ref"], config)
        elif kind in {"model-fields", "typed-dict"}:
            for name, one in schema["fields"].items():
                self._field(name, one, config)
            if schema.get("extras_schema"):
                self.rest = (schema["extras_schema"], config)
        elif kind in {"dataclass-args", "named-tuple"}:
            for one in schema["fields"]:
                self._field(one["name"], one, config)
        elif kind == "arguments":  # of a named tuple, in older versions of Pydantic
            for one in schema["arguments_schema"]:
                self._field(one["name"], {**one, "validation_alias": one.get("alias")}, config)
        elif kind == "dict" and "values_schema" in schema:
            self.rest = (schema["values_schema"], config)
        elif kind == "tuple":
            self._tuple(schema, config)
        elif kind == "list" and "items_schema" in schema:
            self.rest = (schema["items_schema"], config)
        for one in _rows_within(schema):
            self.row(one, config)

    def _refer(self, name: str, config: _Schema) -> None:
        if name in self._definitions and name not in self._within:
            self._within.add(name)
            self.row(self._definitions[name], config)

    def _field(self, name: str, one: _Schema, config: _Schema) -> None:
        for known in {name, *_aliases(one.get("validation_alias"))}:
            self.fields.setdefault(known, []).append((one["schema"], config))

    def _tuple(self, schema: _Schema, config: _Schema) -> None:
        items, variadic = schema["items_schema"], schema.get("variadic_item_index")
        if variadic is None:
            self.items += [(item, config) for item in items]
        elif len(items) == 1:
            self.rest = (items[0], config)

    def reader(self, schema: _Schema, config: _Schema) -> CellReader | None:
        """Returns the converter of a cell of that schema, or None if it needs none."""
        schema = self._resolved(schema)
        kind = schema["type"]
        if kind == "nullable":
            return self._nullable(schema["schema"], config)
        if kind in _INSIDE or (kind == "model" and schema.get("root_model")):
            return self.reader(schema["schema"], schema.get("config") or config)
        if kind == "literal":
            return _choice(tuple(schema["expected"]))
        if kind == "enum":
            return _choice(tuple(schema["members"]))
        if kind == "bytes" and config.get("val_json_bytes", "utf8") != "utf8":
            return self._json_bytes(schema, config)
        if kind in _CONTAINERS:
            return self._container(schema, config)
        if kind == "union":
            return self._union(schema, config)
        return None

    def _resolved(self, schema: _Schema) -> _Schema:
        while schema["type"] == "definition-ref" and schema["schema_ref"] in self._definitions:
            schema = self._definitions[schema["schema_ref"]]
        return schema

    def _validator(self, schema: _Schema, config: _Schema) -> SchemaValidator | None:
        # The result of a user's validator for a value that it has already validated is unknown.
        if self._holds(schema, _FUNCTIONS):
            return None
        if self._definitions:
            known = [*self._definitions.values()]
            schema = {"type": "definitions", "schema": schema, "definitions": known}
        try:
            return SchemaValidator(cast("Any", schema), cast("Any", {**config}))
        except SchemaError:
            return None

    def _holds(self, schema: object, kinds: frozenset[str], seen: frozenset[str] = _NONE) -> bool:
        if isinstance(schema, (list, tuple)):
            return any(self._holds(one, kinds, seen) for one in cast("Sequence[object]", schema))
        if not isinstance(schema, dict):
            return False
        found = cast("dict[str, object]", schema)
        if found.get("type") in kinds:
            return True
        ref = found.get("schema_ref")
        if isinstance(ref, str) and ref not in seen:
            return self._holds(self._definitions.get(ref), kinds, seen | {ref})
        parts = (part for name, part in found.items() if name not in _NOT_SCHEMAS)
        return any(self._holds(part, kinds, seen) for part in parts)

    def _nullable(self, schema: _Schema, config: _Schema) -> CellReader | None:
        inner = self.reader(schema, config)
        validator = self._validator(schema, config)
        if validator is None or _fits(validator, ""):
            return inner  # empty text is valid; or, if it is invalid, it is retried as None
        return lambda cell: (inner(cell) if inner else cell) if cell else None

    def _json_bytes(self, schema: _Schema, config: _Schema) -> CellReader | None:
        validator = self._validator(schema, config)
        if validator is None:
            return None
        return _or_text(lambda cell: validator.validate_json(json.dumps(cell)))

    def _container(self, schema: _Schema, config: _Schema) -> CellReader:
        validator = None
        if self._holds(schema, frozenset({"bytes"})):  # which may be base64 in JSON
            validator = self._validator(schema, config)
        parse = parse_decimals if self._holds(schema, frozenset({"decimal"})) else parse_json

        def read(cell: str) -> object:
            return validator.validate_json(cell) if validator else parse(cell)

        plain = _or_text(read)
        return lambda cell: plain(cell) if cell[:1] in {"[", "{"} else cell

    def _union(self, schema: _Schema, config: _Schema) -> CellReader | None:
        choices = choices_of(schema)
        readers = [reader for one in choices if (reader := self.reader(one, config))]
        validator = self._validator(schema, config)
        if not readers and validator is None:
            return None

        def read(cell: str) -> object:
            for reader in readers:
                if (value := reader(cell)) is not cell:
                    return value
            return cell if validator is None else validator.validate_strings(cast("Any", cell))

        return _or_text(read)


_FUNCTIONS = frozenset(
    {"function-after", "function-before", "function-plain", "function-wrap", "json"}
)
_NOT_SCHEMAS = frozenset(
    {"serialization", "metadata", "config", "default", "expected", "members", "cls", "ref"}
)


def _rows_within(schema: _Schema) -> Iterator[_Schema]:
    kind = schema["type"]
    if kind == "union":
        yield from (one[0] if isinstance(one, tuple) else one for one in schema["choices"])
    elif kind == "tagged-union":
        yield from schema["choices"].values()
    elif kind == "call":
        yield schema["arguments_schema"]
    elif kind in {"lax-or-strict", "json-or-python"}:
        yield schema["lax_schema" if kind == "lax-or-strict" else "python_schema"]
    elif isinstance(schema.get("schema"), dict):
        yield schema["schema"]


def _aliases(alias: object) -> Iterator[str]:
    if isinstance(alias, str):
        yield alias
    elif isinstance(alias, list):  # one path, or several
        for part in cast("list[object]", alias):
            path = cast("list[object]", part if isinstance(part, list) else [part])
            if len(path) == 1 and isinstance(path[0], str):
                yield path[0]


def _fits(validator: SchemaValidator, cell: str) -> bool:
    try:
        _ = validator.validate_python(cell, strict=False)
    except ValidationError:
        return False
    return True


def _or_text(read: CellReader) -> CellReader:
    """Returns the cell itself if it cannot be read, so that the field reports the error."""

    def reader(cell: str) -> object:
        try:
            return read(cell)
        except ValueError:
            return cell

    return reader


def _choice(values: tuple[object, ...]) -> CellReader | None:
    """Returns a converter to the value that a cell spells. Text takes precedence over other values."""
    plain = [(one.value if isinstance(one, Enum) else one, one) for one in values]
    if all(type(value) is str for value, _ in plain):
        return None
    texts = {value for value, _ in plain if isinstance(value, str)}
    others = [(value, one) for value, one in plain if not isinstance(value, str)]

    @lru_cache(maxsize=256)
    def reader(cell: str) -> object:
        if cell in texts:
            return cell
        for value, one in others:
            if _spells(cell, value):
                return one
        return cell

    return reader


def _spells(cell: str, value: object) -> bool:
    if value is None:
        return cell == ""
    try:
        return bool(TypeAdapter(type(value)).validate_strings(cell) == value)
    except (ValueError, PydanticUserError):
        return False
