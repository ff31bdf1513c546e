"""Random models, and JSON documents with rows of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union
from uuid import UUID

from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, create_model
from typing_extensions import NotRequired, TypedDict

__all__ = ["documents", "texts"]


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
    """An annotation, and its possible JSON values."""

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
