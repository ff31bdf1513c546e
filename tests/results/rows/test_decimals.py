"""Decimals have every digit of the number in the file, in any context."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from importlib.util import find_spec
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypeVar, Union
from uuid import UUID

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    WrapValidator,
    field_validator,
    model_validator,
)
from typing_extensions import NotRequired, TypedDict

from dcipher._results.parsing.row_errors import InvalidRow
from dcipher._results.rows.documents import parse_document
from dcipher._results.rows.reading import Format
from tests.results.rows.reading import read

LONG = "0.12345678901234567890123"
NEXT = "0.12345678901234567890124"  # the same float
T = TypeVar("T")


class Price(BaseModel):
    p: Decimal
    other: Optional[Decimal] = None  # noqa: UP045 - what users of Python 3.10 write, too


@dataclass
class Data:
    p: Decimal
    other: Optional[Decimal] = None  # noqa: UP045


class Typed(TypedDict):
    p: Decimal
    other: NotRequired[Decimal | None]


class Named(NamedTuple):
    p: Decimal
    other: Decimal | None = None


class Checked(BaseModel):
    p: Decimal
    name: str = "x"

    @model_validator(mode="before")
    @classmethod
    def before(cls, value: Any) -> Any:
        return value

    @field_validator("name")
    @classmethod
    def stripped(cls, value: str) -> str:
        return value.strip()

    @model_validator(mode="after")
    def after(self) -> Checked:
        return self


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    p: Decimal | str
    share: float = 0.5


class Encoded(BaseModel):
    model_config = ConfigDict(val_json_bytes="base64")

    p: Decimal
    data: bytes = b""


class Left(BaseModel):
    side: Literal["left"] = "left"
    p: Decimal


class Right(BaseModel):
    side: Literal["right"]
    p: Decimal


class Held(BaseModel, Generic[T]):
    p: T


TYPES: dict[str, Any] = {
    "model": Price,
    "dataclass": Data,
    "TypedDict": Typed,
    "NamedTuple": Named,
    "root": RootModel[Price],
    "validators": Checked,
    "strict": Strict,
    "encoded bytes": Encoded,
    "models": Left | Right,
    "generic": Held[Decimal],
    "optional": Held[Optional[Decimal]],  # noqa: UP045
    "or text": Held[Union[Decimal, str]],  # noqa: UP007
    "or an integer": Held[int | Decimal | None],
    "after": Held[Annotated[Decimal, AfterValidator(lambda n: n)]],
    "before": Held[Annotated[Decimal, BeforeValidator(lambda n: n)]],
    "wrapped": Held[Annotated[Decimal, WrapValidator(lambda n, handler: handler(n))]],
    "dict": dict[str, Decimal],
    "dict of either": dict[str, Decimal | str],
}
LINE = f'{{"p": {LONG}}}'


def value_of(row: Any) -> Any:
    row = getattr(row, "root", row)
    return row["p"] if isinstance(row, dict) else row.p


@pytest.mark.parametrize("name", TYPES)
def test_a_decimal_is_exact_in_every_type(name: str) -> None:
    """No validator, other choice or container converts it to a float."""
    type_ = TYPES[name]
    for format_, body in (
        (Format.NDJSON, LINE),
        (Format.JSON, f"[{LINE}]"),
        (Format.CSV, f"p\n{LONG}\n"),
    ):
        for rows in (
            read(body.encode(), type_, format_),
            parse_document(body.encode(), list[type_], format_),
        ):
            (found,) = map(value_of, rows)
            assert (type(found), found) == (Decimal, Decimal(LONG))


LISTED = f"[{LONG}, {NEXT}]"
CELLS: dict[str, tuple[Any, str]] = {
    "list": (list[Decimal], LISTED),
    "list of either": (list[Decimal | str], LISTED),
    "tuple": (tuple[Decimal, ...], LISTED),
    "set": (set[Decimal], LISTED),
    "dict": (dict[str, Decimal], f'{{"a": {LONG}, "b": {NEXT}}}'),
    "model": (Price, f'{{"p": {LONG}, "other": {NEXT}}}'),
    "dataclass": (Data | None, f'{{"p": {LONG}, "other": {NEXT}}}'),
    "models": (list[Typed], f'[{{"p": {LONG}}}, {{"p": {NEXT}}}]'),
}


def decimals(value: Any) -> set[Decimal]:
    if isinstance(value, Decimal):
        return {value}
    parts = value if isinstance(value, (list, tuple, set)) else None
    if parts is None:
        parts = (value if isinstance(value, dict) else vars(value)).values()
    return {number for part in parts for number in decimals(part)}


def parquet(text: str) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({"p": [text]}), file)
    return file.getvalue()


@pytest.mark.parametrize("name", CELLS)
def test_decimals_inside_of_a_cell_are_exact(name: str) -> None:
    """JSON in a cell of CSV, or in text of Parquet, is read as JSON is, also for a list with bounds."""
    type_, text = CELLS[name]
    held = Held[type_]  # type: ignore[valid-type]
    table = io.StringIO()
    csv.writer(table).writerows([["p"], [text]])
    bodies = {
        Format.NDJSON: f'{{"p": {text}}}'.encode(),
        Format.CSV: table.getvalue().encode(),
    }
    if find_spec("pyarrow"):
        bodies[Format.PARQUET] = parquet(text)
    for format_, body in bodies.items():
        bounded: Any = Annotated[list[held], Field(min_length=1)]  # type: ignore[valid-type]
        for rows in (
            read(body, held, format_),
            parse_document(body, list[held], format_),  # type: ignore[valid-type]
            parse_document(body, bounded, format_),
        ):
            assert [decimals(row.p) for row in rows] == [{Decimal(LONG), Decimal(NEXT)}]


class Beside(BaseModel):
    exact: Decimal
    share: float
    either: float | Decimal
    anything: Any = None


@pytest.mark.parametrize("number", [LONG, "600000000000000.2", "1.00000000000000000001"])
def test_a_float_beside_a_decimal(number: str) -> None:
    """Beside an exact Decimal, a float is the nearest one, also for the type Any."""
    fields = ("exact", "share", "either", "anything")
    row = ", ".join(f'"{name}": {number}' for name in fields)
    (found,) = read(f"[{{{row}}}]".encode(), Beside)
    assert found.exact == Decimal(number)
    assert type(found.share) is float
    assert found.share == found.anything == float(number)
    assert json.loads(found.model_dump_json())["anything"] == float(number)


def test_validators_see_a_row_with_a_decimal_once() -> None:
    """A validator with a memory accepts each row, with few digits and with many."""
    seen: list[str] = []

    def once(name: str) -> str:
        if name in seen:
            raise ValueError("twice")
        seen.append(name)
        return name

    class Once(BaseModel):
        name: Annotated[str, AfterValidator(once)]
        price: Decimal

    lines = [f'{{"name": "{n}", "price": {"1.5" if n % 2 else LONG}}}' for n in range(20)]
    rows = read("\n".join(lines).encode(), Once, Format.NDJSON)
    assert not any(isinstance(row, InvalidRow) for row in rows)
    assert len(seen) == 20


class Written(BaseModel):
    price: Decimal | str
    day: date | str
    key: UUID | str
    at: datetime | date | None = None


def test_text_beside_a_long_number_is_read_as_beside_a_short_one() -> None:
    """A union makes the same choice for text, independent of the numbers beside it."""
    text = '"day": "2020-01-01", "key": "12345678-1234-5678-1234-567812345678", "at": "2020-01-01"'
    for number in ("1.5", LONG, "1e400"):
        (row,) = read(f'[{{"price": {number}, {text}}}]'.encode(), Written)
        (same,) = read(f'[{{"price": "1", {text}}}]'.encode(), Written)
        assert (row.price, type(row.key)) == (Decimal(number), UUID)
        assert row.model_copy(update={"price": same.price}) == same


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="the extra `arrow` is not installed")
def test_a_union_reads_text_of_parquet_as_that_of_json() -> None:
    """The same text is the same value in both formats."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = {"price": "1.10", "day": "2020-01-01", "key": "x"}
    file = io.BytesIO()
    pq.write_table(pa.table({name: [text] for name, text in cells.items()}), file)
    (row,) = read(file.getvalue(), Written, Format.PARQUET)
    assert [row] == read(json.dumps([cells]).encode(), Written)
    assert (type(row.price), row.day) == (Decimal, date(2020, 1, 1))
