"""Removes data from the locations of errors: the keys of a mapping are not names of the type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from .row_errors import Location

__all__ = ["without_keys"]

KEY = "…"
"""The replacement for a key of a mapping."""

_NO_SCHEMAS = frozenset({"serialization", "metadata", "config", "default", "expected", "members"})


def without_keys(adapter: TypeAdapter[Any], loc: Location, shown: int = 0) -> Location:
    """Returns a location without the keys of mappings. Its first `shown` parts remain."""
    names = _names(adapter)
    if not names.has_mapping:
        return loc
    return loc[:shown] + tuple(part if names.holds(part) else KEY for part in loc[shown:])


class _Names(NamedTuple):
    has_mapping: bool
    known: frozenset[str]
    labels: frozenset[str]
    """The beginnings of the labels of a union's choices: `int`, `function-after[check(), str]`."""

    def holds(self, part: int | str) -> bool:
        if isinstance(part, int) or part in self.known:
            return True
        begin, bracket, _ = part.partition("[")
        return begin in self.labels and (not bracket or part.endswith("]"))


@lru_cache(maxsize=128)
def _names(adapter: TypeAdapter[Any]) -> _Names:
    known, labels, has_mapping = {"[key]"}, set[str](), False
    for node in _nodes(adapter.core_schema):
        kind, fields, choices = node.get("type"), node.get("fields"), node.get("choices")
        if isinstance(kind, str):
            labels.add(kind)
            labels.add(str(getattr(node.get("cls"), "__name__", kind)))
        has_mapping = has_mapping or kind == "dict" or "extras_schema" in node
        known.update(map(str, _keys(fields)), map(str, _keys(choices)))
        known.update(_texts([node.get("name"), node.get("alias"), node.get("validation_alias")]))
        labelled: list[Any] = [one for one in _items(choices) if isinstance(one, tuple)]
        known.update(_texts([one[1] for one in labelled]))
    return _Names(has_mapping, frozenset(known), frozenset(labels))


def _nodes(schema: object) -> Iterator[Mapping[str, Any]]:
    """Yields each dict of a schema, each referenced one once."""
    if isinstance(schema, Mapping):
        node = cast("Mapping[str, Any]", schema)
        yield node
        schema = [part for name, part in node.items() if name not in _NO_SCHEMAS]
    if isinstance(schema, (list, tuple)):
        for part in cast("Sequence[object]", schema):
            yield from _nodes(part)


def _keys(value: object) -> Sequence[object]:
    return list(cast("Mapping[object, object]", value)) if isinstance(value, Mapping) else ()


def _items(value: object) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else ()


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for one in _items(value):
        yield from _texts(one)
