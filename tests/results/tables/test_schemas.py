"""The columns of a model: the Arrow type of each annotation, and that values survive it."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    TypeVar,
    Union,
    get_origin,
)
from uuid import UUID

import pytest
import typing_extensions
from pydantic import (
    AfterValidator,
    AliasChoices,
    AnyUrl,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    NaiveDatetime,
    PlainValidator,
    RootModel,
    SecretStr,
    SkipValidation,
    TypeAdapter,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic.errors import PydanticUserError
from typing_extensions import NotRequired, TypedDict

pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")

import pyarrow.parquet as pq  # noqa: E402 - after the skip

from dcipher._results.parsing.row_errors import ResultTypeError  # noqa: E402
from dcipher._results.rows.reading import Format  # noqa: E402
from dcipher._results.tables.schemas import columns_of  # noqa: E402 - it imports pyarrow
from tests.results.rows.reading import read  # noqa: E402

T = TypeVar("T")
SECONDS = timezone(timedelta(hours=2))


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1


class Odd(Enum):
    ONE = 1
    TWO = "two"


class Point(BaseModel):
    x: int
    y: float | None = None


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


@dataclass
class Plain:
    a: int
    b: str | None = None


@pydantic_dataclass
class Checked:
    a: Annotated[Decimal, Field(max_digits=6, decimal_places=2)]


class Entry(TypedDict):
    a: int
    b: NotRequired[str]


class Pair(NamedTuple):
    left: int
    right: str


class Box(BaseModel, Generic[T]):
    content: T


class Tagged(RootModel[list[str]]):
    pass


class Nothing(BaseModel):
    pass


UserId = NewType("UserId", int)
UTC = pa.timestamp("us", tz="UTC")
TEXT = pa.string()
POINT = pa.struct([pa.field("x", pa.int64(), nullable=False), pa.field("y", pa.float64())])
KEY = "7f2c1f9e-6d0e-4f6a-9d3b-0a6a6b1c2d3e"


def required(item: Any) -> Any:
    return pa.list_(pa.field("item", item, nullable=False))


CASES: list[tuple[Any, Any, Any, Any]] = [
    # annotation, its type in Arrow, a value, what stands in the column
    (bool, pa.bool_(), True, True),
    (int, pa.int64(), -(2**63), -(2**63)),
    (UserId, pa.int64(), 2**63 - 1, 2**63 - 1),
    (float, pa.float64(), 1.5, 1.5),
    (str, TEXT, "a\0ü€😀", "a\0ü€😀"),
    (bytes, pa.binary(), b"\0\xff", b"\0\xff"),
    (date, pa.date32(), date(1, 1, 1), date(1, 1, 1)),
    (date, pa.date32(), date(9999, 12, 31), date(9999, 12, 31)),
    (
        datetime,
        UTC,
        datetime(1900, 1, 1, 2, tzinfo=SECONDS),
        datetime(1900, 1, 1, tzinfo=timezone.utc),
    ),
    (datetime, UTC, datetime(2500, 1, 1), datetime(2500, 1, 1, tzinfo=timezone.utc)),
    (
        AwareDatetime,
        UTC,
        datetime(2020, 1, 1, 2, tzinfo=SECONDS),
        datetime(2020, 1, 1, tzinfo=timezone.utc),
    ),
    (NaiveDatetime, pa.timestamp("us"), datetime(2020, 1, 1), datetime(2020, 1, 1)),
    (time, pa.time64("us"), time(1, 2, 3, 4), time(1, 2, 3, 4)),
    (timedelta, pa.duration("us"), timedelta(days=-1), timedelta(days=-1)),
    (Decimal, TEXT, Decimal("1.10"), "1.10"),
    (
        Annotated[Decimal, Field(max_digits=6, decimal_places=2)],
        pa.decimal128(6, 2),
        Decimal("1.1"),
        Decimal("1.10"),
    ),
    (
        Annotated[Decimal, Field(decimal_places=3)],
        pa.decimal128(38, 3),
        Decimal(1),
        Decimal("1.000"),
    ),
    (Annotated[Decimal, Field(max_digits=50, decimal_places=2)], TEXT, Decimal("1.10"), "1.10"),
    (UUID, TEXT, UUID(KEY), KEY),
    (Colour, TEXT, Colour.RED, "red"),
    (Size, pa.int64(), Size.SMALL, 1),
    (Odd, TEXT, Odd.TWO, '"two"'),
    (Literal["a", "b"], TEXT, "a", "a"),
    (Literal[Colour.RED, "x"], TEXT, Colour.RED, "red"),
    (Literal[1, "x"], TEXT, 1, "1"),
    (list[int], required(pa.int64()), [1, 2], [1, 2]),
    (list[int | None], pa.list_(pa.int64()), [1, None], [1, None]),
    (list[Colour], required(TEXT), [Colour.BLUE], ["blue"]),
    (set[UUID], required(TEXT), {UUID(KEY)}, [KEY]),
    (tuple[float, ...], required(pa.float64()), (1.0, 2.0), [1.0, 2.0]),
    (tuple[int, int], required(pa.int64()), (1, 2), [1, 2]),
    (tuple[int, str], TEXT, (1, "a"), '[1,"a"]'),
    (Pair, None, Pair(1, "a"), {"left": 1, "right": "a"}),
    (list[Point], required(POINT), [Point(x=1)], [{"x": 1, "y": None}]),
    (Point, POINT, Point(x=1, y=2), {"x": 1, "y": 2.0}),
    (Plain, None, Plain(1), {"a": 1, "b": None}),
    (Checked, None, Checked(Decimal("1.5")), {"a": Decimal("1.50")}),
    (Entry, None, {"a": 1}, {"a": 1, "b": None}),
    (Box[Colour], None, Box[Colour](content=Colour.RED), {"content": "red"}),
    (Tagged, required(TEXT), Tagged(["a"]), ["a"]),
    (Nothing, TEXT, Nothing(), "{}"),
    (dict[str, int], None, {"a": 1}, [("a", 1)]),
    (dict[Colour, Point], None, {Colour.RED: Point(x=1)}, [("red", {"x": 1, "y": None})]),
    (dict[date, int], TEXT, {date(2020, 1, 1): 1}, '{"2020-01-01":1}'),
    (dict[Literal["a", 1], int], TEXT, {"a": 1}, '{"a":1}'),
    (dict, TEXT, {"a": [1]}, '{"a":[1]}'),
    (list, TEXT, [1, "a"], '[1,"a"]'),
    (tuple, TEXT, (1, "a"), '[1,"a"]'),
    (Tree, None, Tree(name="a", children=[Tree(name="b")]), None),
    (int | float, pa.float64(), 1, 1.0),
    (int | str, TEXT, 1, "1"),
    (dict[str, int | str], None, {"a": 0, "b": "0"}, None),
    (dict[str, Entry], None, {"a": {"a": 1}, "b": {"a": 2, "b": "x"}}, None),
    (Union[UUID, str], TEXT, UUID(KEY), KEY),  # noqa: UP007 - another class than that of `|`, on older Pythons
    (Point | Plain, TEXT, Point(x=1), '{"x":1,"y":null}'),
    (AnyUrl, TEXT, AnyUrl("https://a.example/b"), "https://a.example/b"),
    (IPv4Address, TEXT, IPv4Address("127.0.0.1"), "127.0.0.1"),
    (SecretStr, TEXT, SecretStr("canary"), "**********"),
    (Json[list[int]], required(pa.int64()), [1], [1]),
    (Any, TEXT, {"a": None}, '{"a":null}'),
]


@pytest.mark.parametrize(
    ("type_", "arrow", "value", "shown"), CASES, ids=lambda value: str(value)[:30]
)
def test_a_value_in_its_column(type_: Any, arrow: Any, value: Any, shown: Any) -> None:
    """An annotation has one type in Arrow, from which its values and None are read back."""

    class Row(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)

        plain: type_
        maybe: Optional[type_] = None  # noqa: UP045 - what users of Python 3.10 write, too

    row = Row.model_construct(plain=value, maybe=None)
    columns = columns_of(Row)
    batch = columns.batch([row, Row.model_construct(plain=value, maybe=value)], 0)
    batch.validate(full=True)
    assert arrow is None or batch.schema.field("plain").type == arrow
    assert batch.schema.field("plain").type == batch.schema.field("maybe").type
    assert batch.schema.field("maybe").nullable
    assert batch.schema.field("plain").nullable is (type_ is Any)
    first, second = batch.to_pylist()
    assert shown is None or first["plain"] == second["maybe"] == shown
    assert first["maybe"] is None
    assert columns.batch([], 0).schema == batch.schema


def parquet(columns: Any, rows: list[Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_batches([columns.batch(rows, 0)]), file)
    return file.getvalue()


@pytest.mark.parametrize(("type_", "_arrow", "value", "_shown"), CASES, ids=lambda v: str(v)[:30])
@pytest.mark.parametrize("strict", [False, True], ids=["lax", "strict"])
def test_rows_are_read_back_from_parquet(
    type_: Any, _arrow: Any, value: Any, _shown: Any, strict: bool
) -> None:
    """Rows that are written as Parquet with these columns are read back, also by a strict type."""
    if type_ in (SecretStr, Union[UUID, str], Json[list[int]]):  # noqa: UP007
        pytest.skip("what is written leaves open what it was")

    class Row(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True, strict=strict)

        plain: type_ = Field(alias="Plain")
        maybe: Optional[type_] = None  # noqa: UP045 - what users of Python 3.10 write, too
        many: list[type_] = []

    rows = [
        Row.model_construct(plain=value, maybe=None, many=[]),
        Row.model_construct(plain=value, maybe=value, many=[value]),
    ]
    if type_ is datetime and value.tzinfo is None:  # it is taken for UTC
        value = value.replace(tzinfo=timezone.utc)
    expected = [
        Row.model_construct(plain=value, maybe=None, many=[]),
        Row.model_construct(plain=value, maybe=value, many=[value]),
    ]
    if get_origin(type_) is Literal and isinstance(value, Enum):
        pytest.skip("Pydantic reads no member of an Enum in a Literal, of JSON neither")
    assert read(parquet(columns_of(Row), rows), Row, Format.PARQUET) == expected
    if columns_of(type_).schema.names == ["value"]:
        alone = read(parquet(columns_of(type_), [value, value]), type_, Format.PARQUET)
        assert alone == [value] * 2


def test_names_of_nested_fields_are_read_back() -> None:
    """A column has the field's name, and the model that reads the file finds it by its alias."""

    class Inner(BaseModel):
        x: int = Field(alias="X Axis")
        y: int = Field(validation_alias=AliasChoices("Y Axis", "y"), serialization_alias="why")

    # pyarrow 18 forgets the metadata of fields below a map when it reads a file.
    in_maps = int(pa.__version__.partition(".")[0]) > 18
    several: Any = dict[str, list[Inner]] if in_maps else list[Inner]

    class Row(BaseModel):
        inner: Inner = Field(alias="In Side")
        inners: several = {} if in_maps else []

    inner = {"X Axis": 1, "Y Axis": 2}
    row = Row.model_validate({"In Side": inner, "inners": {"k": [inner]} if in_maps else [inner]})
    columns = columns_of(Row)
    assert columns.schema.names == ["inner", "inners"]
    assert [field.name for field in columns.schema.field("inner").type] == ["x", "why"]
    assert read(parquet(columns, [row]), Row, Format.PARQUET) == [row]


def nothing(_: object) -> None:
    """A validator that returns None."""


class Late(TypedDict):
    a: int
    b: "NotRequired[int]"  # noqa: UP037 - as under `from __future__ import annotations`


class Total(TypedDict, total=False):
    a: int
    b: typing_extensions.Required[int]


@dataclass
class Posted:
    a: int = 1
    b: int = 2

    def __post_init__(self) -> None:
        self.a = None  # type: ignore[assignment]


class Defaults(BaseModel):
    sure: int = 1
    none: float = None  # type: ignore[assignment]
    made: list[int] = Field(default_factory=list)
    maybe: int = Field(default_factory=lambda: None)  # type: ignore[arg-type, return-value]
    checked: Annotated[int, Field(gt=0)] = 1
    url: AnyUrl = AnyUrl("https://a.example")
    path: Path = Path()
    after: Annotated[int, AfterValidator(nothing)] = 1
    plain: Annotated[int, PlainValidator(nothing)] = 1
    before: Annotated[int, BeforeValidator(int)] = 1
    items: list[Annotated[int, AfterValidator(nothing)]] = []
    named: int = 1
    skipped: SkipValidation[int] = 1
    either: Annotated[int, AfterValidator(nothing)] | str = 1

    @field_validator("named")
    @classmethod
    def _check(cls, _: int) -> None:
        return None


class Inherits(Defaults):
    _private: int = 0
    more: int = 1


class Whole(BaseModel):
    a: int

    @model_validator(mode="after")
    def _check(self) -> Whole:
        self.a = None  # type: ignore[assignment]
        return self


class Initial(BaseModel):
    a: int = 1

    def model_post_init(self, _: object, /) -> None:
        self.a = None  # type: ignore[assignment]


class Named(NamedTuple):
    a: int
    b: int = None  # type: ignore[assignment]


class Wrapped(BaseModel, Generic[T]):
    a: T
    b: T = None  # type: ignore[assignment]


SURE = {"sure", "made", "checked", "url", "path", "before", "items"}


@pytest.mark.parametrize(
    ("type_", "sure"),
    [
        (Defaults, SURE),
        (Inherits, {*SURE, "more"}),
        (Late, {"a"}),
        (Total, {"b"}),
        (Plain, {"a"}),
        (Posted, set()),
        (Whole, set()),
        (Initial, set()),
        (Named, {"a"}),
        (Wrapped[int], {"a"}),
        (Wrapped[Optional[int]], set()),  # noqa: UP045
        (Entry, {"a"}),
        (Point, {"x"}),
        (Tree, {"name", "children"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),  # a set is told in another order each time
)
def test_columns_that_are_not_null(type_: Any, sure: set[str]) -> None:
    """A column is *not null* only if no row can have a null there, also within a struct."""
    schema = columns_of(type_).schema
    assert {field.name for field in schema if not field.nullable} == sure
    nested = columns_of(TypedDict("Outer", {"inner": type_})).schema.field("inner")
    assert {field.name for field in nested.type if not field.nullable} == sure


def test_nulls_of_defaults_and_validators() -> None:
    """A None of a default or a validator is a null in a nullable column."""
    rows = [
        Defaults.model_validate({"after": 2, "plain": 2, "named": 2, "items": [1], "either": 3})
    ]
    batch = columns_of(Defaults).batch(rows, 0)
    batch.validate(full=True)
    (row,) = batch.to_pylist()
    names = ("none", "maybe", "after", "plain", "named", "either")
    assert [row[name] for name in names] == [None] * 6
    assert row["items"] == [None]
    assert columns_of(Late).batch([{"a": 1}], 0).to_pylist() == [{"a": 1, "b": None}]


class Full(BaseModel):
    number: int
    amount: Annotated[Decimal, Field(max_digits=6, decimal_places=2)]
    words: list[str]
    counts: dict[str, int]
    point: Point
    flag: bool


@pytest.mark.parametrize("values", [[None, None], [None, {"x": 1}, None]], ids=["all", "some"])
def test_objects_that_are_null(values: list[Any]) -> None:
    """A null object can be written as Parquet, although its fields are not nullable."""

    class Row(BaseModel):
        full: Full | None
        point: Point | None

    rows = [Row(full=None, point=value) for value in values]
    assert read(parquet(columns_of(Row), rows), Row, Format.PARQUET) == rows


def test_missing_fields_have_their_default() -> None:
    """A null of a field that is never None is a missing key, so that its default applies."""

    class Outer(BaseModel):
        inner: Late
        score: float = None  # type: ignore[assignment]
        size: int | None = 5

    row = Outer(inner={"a": 1}, size=None)
    assert read(parquet(columns_of(Outer), [row]), Outer, Format.PARQUET) == [row]
    assert read(parquet(columns_of(Total), [{"b": 1}]), Total, Format.PARQUET) == [{"b": 1}]


def without(name: str) -> Defaults:
    row = Defaults()
    del vars(row)[name]
    return row


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (Defaults.model_construct(sure=None), "sure"),
        (Defaults.model_construct(made=[1, None]), "made"),
        (Defaults.model_construct(sure="canary"), "sure"),
        (without("sure"), "sure"),
    ],
    ids=["null", "in a list", "another type", "missing"],
)
def test_a_null_that_is_not_allowed(row: Defaults, column: str) -> None:
    """A value that no validation let in is an error with row and column."""
    with pytest.raises(ResultTypeError) as caught:
        columns_of(Defaults).batch([Defaults(), row], 7)
    assert caught.value.location == f"row 8, column {column}"
    assert "canary" not in str(caught.value)


def test_excluded_fields_have_no_column() -> None:
    """A field that a model excludes has no column."""

    class Row(BaseModel):
        a: int
        b: int = Field(default=1, exclude=True)

    assert columns_of(Row).schema.names == ["a"]


def test_names() -> None:
    """A column has the name of the field, or its serialization alias."""

    class Row(BaseModel):
        plain: int
        both: int = Field(alias="Both Ways")
        into: int = Field(validation_alias="In")
        out: int = Field(serialization_alias="Out")

    assert columns_of(Row).schema.names == ["plain", "both", "into", "Out"]


def test_a_name_twice() -> None:
    """Two fields with the same name in the table are rejected."""

    class Row(BaseModel):
        a: int
        b: int = Field(serialization_alias="a")

    with pytest.raises(ValueError, match="Two fields of Row"):
        columns_of(Row)


@pytest.mark.parametrize(
    ("type_", "values", "rows"),
    [
        (Plain, [{"a": 1}], [{"a": 1, "b": None}]),
        (Entry, [{"a": 1, "b": "x"}, {"a": 2}], [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        (Pair, [[1, "a"]], [{"left": 1, "right": "a"}]),
        (Box[int], [{"content": 1}], [{"content": 1}]),
        (int, [1, 2], [{"value": 1}, {"value": 2}]),
        (list[str], [["a"]], [{"value": ["a"]}]),
        (Point | None, [None, {"x": 1}], [{"value": None}, {"value": {"x": 1, "y": None}}]),
        (Tagged, [["a"]], [{"value": ["a"]}]),
        (Annotated[Point, "a note"], [{"x": 1}], [{"x": 1, "y": None}]),
        (Nothing, [{}, {}], [{}, {}]),
    ],
    ids=lambda value: str(value)[:20],
)
def test_rows_of_any_type(type_: Any, values: list[Any], rows: list[Any]) -> None:
    """A type with fields has columns; any other has one column, `value`."""
    validated = [TypeAdapter(type_).validate_python(value) for value in values]
    assert columns_of(type_).batch(validated, 0).to_pylist() == rows


def test_a_tree_is_text() -> None:
    """A recursive type has no finite type in Arrow: it is a string of JSON."""
    tree = Tree(name="a", children=[Tree(name="b")])
    batch = columns_of(Tree).batch([tree], 0)
    assert batch.to_pylist() == [{"name": "a", "children": ['{"name":"b","children":[]}']}]


class Wide(BaseModel):
    n: int = 0
    f: int | float = 0
    deep: list[Point] = []
    at: time = time()
    few: Annotated[Decimal, Field(decimal_places=1)] = Decimal(0)


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        (Wide(n=2**63), "n", "beyond 64 bits"),
        (Wide(n=-(2**63) - 1), "n", "beyond 64 bits"),
        (Wide(f=2**53 + 1), "f", "float64 does not hold exactly"),
        (Wide(deep=[Point(x=10**30)]), "deep", "beyond 64 bits"),
        (Wide(at=time(1, tzinfo=timezone.utc)), "at", "does not fit a column of time64"),
        (Wide.model_construct(few=Decimal("1.234567")), "few", "does not fit a column of decimal"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_values_that_arrow_cannot_represent(row: Wide, column: str, message: str) -> None:
    """They are an error with row, column and reason, but without the value."""
    with pytest.raises(ResultTypeError, match=message) as caught:
        columns_of(Wide).batch([Wide(), Wide(), row, Wide()], 40)
    assert caught.value.location == f"row 42, column {column}"
    assert "9223372036854775808" not in str(caught.value)
    assert "1.234567" not in str(caught.value)


def test_an_unsupported_type() -> None:
    """A class that Pydantic does not support is rejected."""

    class Unknown:
        pass

    with pytest.raises(PydanticUserError):
        columns_of(Unknown)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="`type` statements came with 3.12")
def test_a_type_statement() -> None:
    """A type alias has the columns of its type."""
    exec("type Score = float | None", globals())  # noqa: S102 - older Pythons cannot parse it

    class Row(BaseModel):
        score: Score  # noqa: F821 - of the line before

    assert columns_of(Row).schema == pa.schema([pa.field("score", pa.float64())])
