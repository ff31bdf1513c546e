"""Rows of random models: a table holds what `records` gives, cell by cell, and so does every other reader."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, TypeAdapter, create_model
from pydantic_core import to_json
from typing_extensions import NotRequired, TypedDict

pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")

import pyarrow.parquet as pq  # noqa: E402 - after the skip

from dcipher._results.rows.documents import parse_document  # noqa: E402
from dcipher._results.rows.reading import Format, iter_rows  # noqa: E402
from tests.results.tables.results import table  # noqa: E402


class Colour(Enum):
    RED = "red"
    ODD = 'b"l, ue'


class Size(Enum):
    SMALL = 1
    LARGE = 2


class Point(BaseModel):
    x: int
    y: Optional[float] = None  # noqa: UP045 - what users of Python 3.10 write, too


class Tags(RootModel[list[str]]):
    pass


@dataclass
class Plain:
    a: int
    b: str | None = None
    c: list[Point] = field(default_factory=list)


class Entry(TypedDict):
    a: int
    b: NotRequired[str]


class Pair(NamedTuple):
    left: int
    right: str


class Node(BaseModel):
    name: str
    children: list[Node] = []


class Kind(NamedTuple):
    """An annotation, and what JSON may have for it."""

    type: Any
    values: st.SearchStrategy[Any]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(
    ['"', "\\", ";", ",", "\n", "\r\n", "'", " ", "null", "None", "1", "[1]", "{", "\ufeff", "é"]
)
integers = st.integers(-5, 5) | st.sampled_from([2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)])
floats = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9)
days = st.dates().map(str) | st.sampled_from(["0001-01-01", "9999-12-31"])
naive = st.datetimes().map(datetime.isoformat) | st.sampled_from(
    ["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"]
)
aware = st.datetimes(
    datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(timezone(timedelta(hours=2)))
).map(datetime.isoformat)
points = st.fixed_dictionaries({"x": integers}, optional={"y": st.none() | floats})
nodes = st.fixed_dictionaries(
    {"name": texts},
    optional={"children": st.lists(st.fixed_dictionaries({"name": texts}), max_size=2)},
)

LEAVES = [
    Kind(int, integers),
    Kind(float, floats),
    Kind(str, texts),
    Kind(bool, st.booleans()),
    Kind(date, days),
    Kind(Annotated[datetime, "naive or not"], aware),
    Kind(time, st.times().map(time.isoformat)),
    Kind(Decimal, st.decimals(allow_nan=False, allow_infinity=False).map(str)),
    Kind(
        Annotated[Decimal, Field(max_digits=6, decimal_places=2)],
        st.decimals(-9999, 9999, places=2).map(str),
    ),
    Kind(UUID, st.uuids().map(str)),
    Kind(bytes, texts),
    Kind(Literal["a", "b"], st.sampled_from(["a", "b"])),
    Kind(Optional[Literal[1, 2]], st.sampled_from([1, 2, None])),  # noqa: UP045
    Kind(Colour, st.sampled_from(["red", 'b"l, ue'])),
    Kind(Size, st.sampled_from([1, 2])),
    Kind(Union[int, str], integers | texts),  # noqa: UP007 - another class than that of `|`
    Kind(Any, st.none() | integers | texts | st.lists(integers, max_size=2)),
    Kind(Node, nodes),
]
KEYED = [Kind(str, texts), Kind(int, integers.map(str)), Kind(Literal["a"], st.just("a"))]


def _extended(kinds: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    def list_of(kind: Kind) -> Kind:
        return Kind(list[kind.type], st.lists(kind.values, max_size=3))  # type: ignore[name-defined]

    def items_of(kind: Kind) -> Kind:
        return Kind(tuple[kind.type, ...], st.lists(kind.values, max_size=3))  # type: ignore[name-defined]

    def maybe(kind: Kind) -> Kind:
        return Kind(Optional[kind.type], st.none() | kind.values)  # noqa: UP045

    def map_of(key: Kind, kind: Kind) -> Kind:
        values = st.dictionaries(key.values, kind.values, max_size=3)
        return Kind(dict[key.type, kind.type], values)  # type: ignore[name-defined]

    return (
        kinds.map(list_of)
        | kinds.map(items_of)
        | kinds.map(maybe)
        | st.builds(map_of, st.sampled_from(KEYED), kinds)
        | kinds.map(lambda kind: model_of([kind]))
    )


def model_of(kinds: list[Kind]) -> Kind:
    fields: dict[str, Any] = {}
    required: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    for number, kind in enumerate(kinds):
        name = f"f{number}"
        if number % 2:
            fields[name] = (Optional[kind.type], None)  # noqa: UP045
            optional[name] = st.none() | kind.values
        else:
            fields[name] = (kind.type, ...)
            required[name] = kind.values
    model = create_model("Row", **fields)
    return Kind(model, st.fixed_dictionaries(required, optional=optional))


SHAPED = [
    Kind(Point, points),
    Kind(Tags, st.lists(texts, max_size=2)),
    Kind(Plain, st.fixed_dictionaries({"a": integers}, optional={"b": st.none() | texts})),
    Kind(Entry, st.fixed_dictionaries({"a": integers}, optional={"b": texts})),
    Kind(Pair, st.tuples(integers, texts).map(list)),
]
kinds = st.recursive(st.sampled_from([*LEAVES, *SHAPED]), _extended, max_leaves=3)
models = st.lists(kinds, min_size=1, max_size=4).map(model_of)


@st.composite
def documents(draw: st.DrawFn) -> tuple[Any, list[Any]]:
    kind = draw(models)
    return kind.type, draw(st.lists(kind.values, max_size=5))


def shown(value: Any, arrow: Any) -> Any:
    """A value of a row as it is given to `pa.Table.from_pylist`, field by field."""
    if value is None:
        return None
    type_ = arrow.type
    if arrow.metadata and b"dcipher.json" in arrow.metadata:
        return to_json(value, inf_nan_mode="null", bytes_mode="base64").decode()
    if isinstance(value, RootModel):
        return shown(value.root, arrow)
    if pa.types.is_struct(type_):
        members = [type_.field(n) for n in range(type_.num_fields)]
        return {one.name: shown(_member(value, one.name), one) for one in members}
    if pa.types.is_list(type_):
        return [shown(item, type_.value_field) for item in value]
    if pa.types.is_map(type_):
        pairs = value.items()
        return [(shown(k, type_.key_field), shown(v, type_.item_field)) for k, v in pairs]
    value = value.value if isinstance(value, Enum) else value
    return str(value) if type_ == pa.string() and not isinstance(value, bytes) else value


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else getattr(value, name)


def rows_of(body: bytes, type_: Any, format_: Format) -> list[Any]:
    return list(iter_rows(io.BytesIO(body), type_, format_))


def check(type_: Any, values: list[Any]) -> None:
    """All readers of a document agree with one another, and with Pydantic and pyarrow."""
    lines = [json.dumps(value) for value in values]
    bodies = {
        Format.NDJSON: "\n".join(lines).encode(),
        Format.JSON: ("[" + ", ".join(lines) + "]").encode(),
    }
    expected = [TypeAdapter(type_).validate_json(line) for line in lines]
    for format_, body in bodies.items():
        rows = rows_of(body, type_, format_)
        assert rows == expected
        assert not lines or parse_document(body, list[type_], format_) == expected
        with table(body, type_=type_, format_=format_) as made:
            found = made.to_arrow()
            found.validate(full=True)
            assert found.schema == made.schema
            written = [shown_row(row, found.schema) for row in rows]
            assert found.equals(pa.Table.from_pylist(written, schema=found.schema))
            batches = pa.Table.from_batches(made.batches(2), schema=found.schema)
            assert batches.equals(found)
    file = io.BytesIO()
    pq.write_table(found, file)
    assert rows_of(file.getvalue(), type_, Format.PARQUET) == expected


def shown_row(row: Any, schema: Any) -> dict[str, Any]:
    return {column.name: shown(_member(row, column.name), column) for column in schema}


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
@example((model_of([LEAVES[0]]).type, [{"f0": n} for n in range(100)]))
def test_a_table_holds_what_the_rows_hold(document: tuple[Any, list[Any]]) -> None:
    """Rows, batches and tables of a model hold what Pydantic reads, and Parquet of it reads back."""
    check(*document)


@pytest.mark.long
@pytest.mark.thorough
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_very_many_tables(document: tuple[Any, list[Any]]) -> None:
    """The same on many more documents."""
    check(*document)
