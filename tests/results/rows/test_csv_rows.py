"""Rows of CSV: cells, ragged rows and damage."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    RootModel,
    create_model,
    model_validator,
)
from typing_extensions import TypedDict

from dcipher._results.parsing.csv import rows as csv_rows
from dcipher._results.parsing.csv.rows import csv_header
from dcipher._results.parsing.row_errors import InvalidRow, ResultSyntaxError
from dcipher._results.parsing.text_reader import TextReader
from dcipher._results.rows.documents import parse_document
from dcipher._results.rows.reading import Format
from tests.results.rows.reading import BOM, Topic, in_chunks, read, read_until_error


class Loose(BaseModel):
    name: str
    score: float | None
    level: int = 1


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    count: int
    score: float | None


class Named(BaseModel):
    label: str = Field(alias="Label Name")


class AsTypedDict(TypedDict):
    name: str
    score: float


@dataclass
class AsDataclass:
    name: str
    score: float


class AsTuple(NamedTuple):
    name: str
    score: float


TABLE = b'name,score\r\n"a, ""b""",1.5\r\n"c\r\nd",2\r\n\r\n\xc3\xa9,3'
CELLS = [('a, "b"', "1.5"), ("c\r\nd", "2"), ("é", "3")]


@pytest.mark.parametrize("chunk", [1, 2, 5, 1 << 18])
@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (Any, [{"name": n, "score": s} for n, s in CELLS]),
        (dict[str, str], [{"name": n, "score": s} for n, s in CELLS]),
        (list[str], [list(cells) for cells in CELLS]),
        (Annotated[list[str], "cells"], [list(cells) for cells in CELLS]),
        (Sequence[str], [list(cells) for cells in CELLS]),
        (tuple[str, float], [(n, float(s)) for n, s in CELLS]),
        (Topic, [Topic(name=n, score=float(s)) for n, s in CELLS]),
        (AsTypedDict, [{"name": n, "score": float(s)} for n, s in CELLS]),
        (AsDataclass, [AsDataclass(n, float(s)) for n, s in CELLS]),
        (AsTuple, [AsTuple(n, float(s)) for n, s in CELLS]),
    ],
)
def test_csv_rows_become_the_type(type_: Any, expected: list[object], chunk: int) -> None:
    """Mappings go by the header, sequences by position, and cells are converted."""
    with in_chunks(chunk):
        assert read(BOM + TABLE, type_, Format.CSV) == expected


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))] * 3)
    ),
    st.sampled_from([1, 3, 17]),
)
def test_csv_is_read_back(cells: list[tuple[str, str, str]], chunk: int) -> None:
    """Any cells that are written as CSV are read back."""
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("a", "b", "c"), *cells])
    with in_chunks(chunk):
        assert read(file.getvalue().encode(), tuple[str, str, str], Format.CSV) == cells


@pytest.mark.parametrize("text", [b"", BOM, b"name,score\n", b"\n\nname,score"])
def test_a_csv_without_records_has_no_rows(text: bytes) -> None:
    """An empty file or a header alone has no rows."""
    assert read(text, Topic, Format.CSV) == []


def test_aliases_are_the_columns_names() -> None:
    """A field is found under its alias, as in JSON."""
    assert read(b"Label Name\nx\n", Named, Format.CSV) == [Named(**{"Label Name": "x"})]


def test_an_empty_cell_is_none_only_if_empty_text_is_invalid() -> None:
    """It remains text for text, is None for an optional number, and is invalid for a number."""
    loose = read(b"name,score,level\n,,2\na,1,\na,x,3\n", Loose, Format.CSV)
    assert loose[0] == Loose(name="", score=None, level=2)
    assert (loose[1].location, loose[1].errors[0]["type"]) == ("row 1, column level", "int_parsing")
    assert loose[2].location == "row 2, column score"
    assert read(b"count,score\n1,\n2,2\n", Strict, Format.CSV) == [
        Strict(count=1, score=None),
        Strict(count=2, score=2),
    ]


class Judged(BaseModel):
    either: int | str
    maybe: int | None
    text: str | None = None
    number: float


class JudgedTuple(NamedTuple):
    either: int | str
    maybe: int | None
    text: str | None
    number: float


class JudgedDict(TypedDict):
    either: int | str
    maybe: int | None
    text: str | None
    number: float


@dataclass
class JudgedData:
    either: int | str
    maybe: int | None
    text: str | None
    number: float


POSITIONAL = tuple[int | str, int | None, str | None, float]


@pytest.mark.parametrize("type_", [Judged, JudgedTuple, JudgedDict, JudgedData, POSITIONAL])
def test_an_empty_cell_changes_no_other(type_: Any) -> None:
    """Each cell is read by its column alone, in rows of every type."""

    def values(row: Any) -> list[Any]:
        if isinstance(row, (list, tuple)):
            return list(row)
        names = ("either", "maybe", "text", "number")
        return [row[n] if isinstance(row, dict) else getattr(row, n) for n in names]

    body = b"either,maybe,text,number\n7,1,a,2\n7,,a,2\n7,,,2\nx,,,2\n,1,,2\n"
    assert [values(row) for row in read(body, type_, Format.CSV)] == [
        [7, 1, "a", 2.0],
        [7, None, "a", 2.0],
        [7, None, "", 2.0],
        ["x", None, "", 2.0],
        ["", 1, "", 2.0],
    ]


@pytest.mark.parametrize("type_", [Judged, JudgedTuple, JudgedDict, JudgedData, POSITIONAL])
@pytest.mark.parametrize(
    ("cells", "blamed"),
    [
        (b"7,,a,x", [("number", "float_parsing")]),
        (b"7,,,", [("number", "float_parsing")]),
        (b"7,x,,", [("maybe", "int_parsing"), ("number", "float_parsing")]),
        (b",x,,2", [("maybe", "int_parsing")]),
    ],
)
def test_the_reasons_are_those_of_the_cells_that_do_not_fit(
    cells: bytes, blamed: list[tuple[str, str]], type_: Any
) -> None:
    """An empty cell that may be None is no reason, beside cells that are."""
    names = ["either", "maybe", "text", "number"]
    (row,) = read(b"either,maybe,text,number\n" + cells + b"\n", type_, Format.CSV)
    found = [(e["loc"][0], e["type"]) for e in row.errors]
    assert [(names[n] if isinstance(n, int) else n, kind) for n, kind in found] == blamed
    assert row.location == f"row 0, column {blamed[0][0]}"


def half(value: int | None) -> int | None:
    if value is None:
        return None
    if value % 2:
        raise ValueError("odd")
    return value // 2


class Validated(BaseModel):
    halved: Annotated[int | None, AfterValidator(half)]
    inner: Annotated[int, AfterValidator(half)] | None
    split: Annotated[list[str], BeforeValidator(lambda v: v.split("/") if v else [])]

    @model_validator(mode="after")
    def whole(self) -> Validated:
        if self.halved == self.inner == 3:
            raise ValueError("three twice")
        return self


def test_validators_of_a_field_run_once() -> None:
    """Validators of the user receive the value as from JSON, or the cell, once."""
    body = b"halved,inner,split\n4,8,a/b\n,,\n6,6,c\n3,,d\n,3,d\n"
    first, second, twice, *odd = read(body, Validated, Format.CSV)
    assert (first.halved, first.inner, first.split) == (2, 4, ["a", "b"])
    assert (second.halved, second.inner, second.split) == (None, None, [])
    assert (twice.location, twice.errors[0]["type"]) == ("row 2", "value_error")
    assert [[e["loc"] for e in row.errors] for row in odd] == [[("halved",)], [("inner",)]]


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(Enum):
    TEXT = "x"
    WHOLE = 7
    PART = 0.5
    YES = True
    DAY = date(2026, 1, 2)


class Word(str, Enum):
    ONE = "1"


@pytest.mark.parametrize(
    ("type_", "cell", "expected"),
    [
        (Literal[1, 2, 3], "2", 2),
        (Literal[1, "1"], "1", "1"),
        (Literal["a", 2], "2", 2),
        (Literal["a", 2], "a", "a"),
        (Literal[True], "true", True),
        (Literal[True, "no"], "yes", True),
        (Literal[False], "0", False),
        (Literal[1, None], "", None),  # noqa: PYI061
        (Literal[Level.HIGH], "2", Level.HIGH),
        (Literal[1, 2] | None, "", None),
        (Literal[1, 2] | str, "2", 2),
        (Literal[1, 2] | str, "x", "x"),
        (Level, "2", Level.HIGH),
        (Level | None, "", None),
        (Mixed, "x", Mixed.TEXT),
        (Mixed, "7", Mixed.WHOLE),
        (Mixed, "0.5", Mixed.PART),
        (Mixed, "true", Mixed.YES),
        (Mixed, "2026-01-02", Mixed.DAY),
        (Word, "1", Word.ONE),
        (Word | int, "2", 2),
        (bool, "Yes", True),
        (Decimal | None, "1.10", Decimal("1.10")),
        (date | int, "2026-01-02", date(2026, 1, 2)),
        (list[int], "[1, 2]", [1, 2]),
        (list[Level] | None, "[1]", [Level.LOW]),
        (list[int] | None, "", None),
        (list[int] | int, "3", 3),
        (list[int] | int, "[3]", [3]),
        (dict[str, date], '{"a": "2026-01-02"}', {"a": date(2026, 1, 2)}),
        (set[int], "[1, 1]", {1}),
        (tuple[int, str], '[1, "a"]', (1, "a")),
        (Topic, '{"name": "a", "score": 1}', Topic(name="a", score=1)),
        (Topic | None, "", None),
        (RootModel[list[int]], "[1]", RootModel[list[int]]([1])),
        (Json[list[int]], "[1]", [1]),
        (Any, "[1]", "[1]"),
        (str, "[1]", "[1]"),
        (str | None, "", ""),
    ],
    ids=str,
)
def test_cells_of_choices_and_json(type_: Any, cell: str, expected: object) -> None:
    """Choices of numbers and booleans, unions and JSON in a cell are read, by name and by position."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("a", "b"), (cell, "x")])
    body = file.getvalue().encode()
    model = create_model("Row", a=(type_, ...))
    strict = create_model("Row", __config__=ConfigDict(strict=True), a=(type_, ...))
    for row in read(body, model, Format.CSV) + read(body, strict, Format.CSV):
        assert (row.a, type(row.a)) == (expected, type(expected))
    assert read(body, dict[str, type_ | str] if cell == "x" else tuple[type_, str], Format.CSV)
    assert read(body, tuple[type_, str], Format.CSV) == [(expected, "x")]


@pytest.mark.parametrize(
    ("type_", "cell", "kind"),
    [
        (Literal[1, 2], "3", "literal_error"),
        (Literal[True], "2", "literal_error"),
        (Level, "9", "enum"),
        (Level, "", "enum"),
        (list[int], "1,2", "list_type"),
        (list[int], "[1,", "list_type"),
        (list[int], '["x"]', "int_parsing"),
        (dict[str, int], "[1]", "dict_type"),
        (Topic, "{}", "missing"),
    ],
)
def test_an_invalid_cell_is_rejected(type_: Any, cell: str, kind: str) -> None:
    """The error is that of the field."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("a", "b"), (cell, "x")])
    (row,) = read(file.getvalue().encode(), create_model("Row", a=(type_, ...)), Format.CSV)
    assert row.errors[0]["type"] == kind


class Row(BaseModel):
    pick: Literal[1, 2]
    maybe: Annotated[int, AfterValidator(abs)] | None = None
    tags: list[int] | None = None


class Table(RootModel[list[Row]]):
    pass


@pytest.mark.parametrize(
    "type_",
    [
        list[Row],
        Table,
        list[Row] | None,
        Annotated[list[Row], Field(max_length=2)],
        tuple[Row, Row],
    ],
)
def test_a_table_of_any_type_has_the_same_cells(type_: Any) -> None:
    """The type of the row alone determines the value of a cell."""
    found = parse_document(b"pick,maybe,tags\n1,,\n2,-3,[4]\n", type_, Format.CSV)
    rows = found.root if isinstance(found, Table) else list(found)
    assert rows == [Row(pick=1), Row(pick=2, maybe=3, tags=[4])]


class Leaf(BaseModel):
    kind: Literal["leaf"]
    size: Literal[1, 2]


class Node(BaseModel):
    kind: Literal["node"]
    children: list[Leaf | Node] = []
    size: int | None = None


def test_rows_of_several_models() -> None:
    """A union of models, and a model inside itself, are rows, too."""
    body = b'kind,size,children\nnode,,"[{""kind"": ""leaf"", ""size"": 1}]"\nnode,3,[]\n'
    assert read(body, Node, Format.CSV) == [
        Node(kind="node", children=[Leaf(kind="leaf", size=1)]),
        Node(kind="node", size=3),
    ]
    found = read(b"kind,size\nleaf,1\nnode,\nnode,2\n", Leaf | Node, Format.CSV)
    assert found[1:] == [Node(kind="node"), Node(kind="node", size=2)]


class Renamed(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    level: Level = Field(alias="Level No")
    day: Literal[1, 2] | None = Field(None, validation_alias=AliasChoices("day", "Tag"))


def test_cells_are_found_under_every_alias() -> None:
    """Aliases, choices of aliases, and the name if it is permitted."""
    expected = [Renamed(level=Level.LOW, day=2)]
    for header in (b"Level No,day", b"level,Tag", b"Level No,Tag"):
        assert read(header + b"\n1,2\n", Renamed, Format.CSV) == expected


@pytest.mark.parametrize(
    ("text", "header", "rows"),
    [
        (b"a;b\n1,5;x\n2,5;y\n", ["a", "b"], [["1,5", "x"], ["2,5", "y"]]),
        (b"a\tb\n1\t\n", ["a", "b"], [["1", ""]]),
        (b"a|b|c\n1|2|3\n", ["a", "b", "c"], [["1", "2", "3"]]),
        (b"a;b\n", ["a", "b"], []),
        (b'a;b\n"x;\n;y";2\n', ["a", "b"], [["x;\n;y", "2"]]),
        (b'"a;c";b\n1;2\n', ["a;c", "b"], [["1", "2"]]),
        (b"a,b;c\n1,2\n", ["a", "b;c"], [["1", "2"]]),
        (b"a,b;c\n1;2\n3;4\n", ["a,b", "c"], [["1", "2"], ["3", "4"]]),
        (b"text; more\nx\ny\nz\n", ["text; more"], [["x"], ["y"], ["z"]]),
        (b"sep=;\r\na;b\r\n1;2\r\n", ["a", "b"], [["1", "2"]]),
        (b'"sep=,"\na,b\n1,2\n', ["a", "b"], [["1", "2"]]),
        (b"SEP=\t\na\tb\n1\t2\n", ["a", "b"], [["1", "2"]]),
        (b"sep=;", [], []),
        (b"a,b\r1,2\r3,4\r", ["a", "b"], [["1", "2"], ["3", "4"]]),
        (b'a;b\r"x\ry";2\r', ["a", "b"], [["x\ry", "2"]]),
        (b'a;b\r"x\ny";2\r', ["a", "b"], [["x\ny", "2"]]),
        (b'a,b\r\n"x\ry\r\nz",2\r\n', ["a", "b"], [["x\ry\r\nz", "2"]]),
        (b"a,b,\n1,2,\n3,4,\n", ["a", "b", ""], [["1", "2", ""], ["3", "4", ""]]),
        (b"a,b,,,\n1,2,,,\n", ["a", "b", ""], [["1", "2", "", "", ""]]),
        (b",a,\n1,2,\n", ["", "a"], [["1", "2", ""]]),
        (b",a,b\n0,1,2\n1,3,4\n", ["", "a", "b"], [["0", "1", "2"], ["1", "3", "4"]]),
        (b"one\n1\n\n2\n", ["one"], [["1"], ["2"]]),
    ],
)
@pytest.mark.parametrize("chunk", [1, 3, 1 << 18])
def test_tables_of_spreadsheets(
    text: bytes, header: list[str], rows: list[list[str]], chunk: int
) -> None:
    """Semicolons, tabs, bars, the first line of Excel, bare CR and trailing delimiters, if unambiguous."""
    with in_chunks(chunk):
        assert read(BOM + text, list[str], Format.CSV) == rows
        assert csv_header(TextReader(io.BytesIO(text))) == header
        assert parse_document(text, list[list[str]], Format.CSV) == rows


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    a: int
    b: int | None


@pytest.mark.parametrize("rows", [1, 30])
def test_a_delimiter_at_the_end_of_every_line(rows: int) -> None:
    """It adds a column without a name, which is left out if the type rejects it and it is empty."""
    body = b"a,b,\n" + b"1,2,\n" * rows
    assert read(body, Any, Format.CSV) == [{"a": "1", "b": "2", "": ""}] * rows
    assert read(body, list[str], Format.CSV) == [["1", "2", ""]] * rows
    assert read(body, Closed, Format.CSV) == [Closed(a=1, b=2)] * rows
    assert read(body, dict[str, int], Format.CSV) == [{"a": 1, "b": 2}] * rows
    assert read(body, tuple[int, int], Format.CSV) == [(1, 2)] * rows
    *_, refused = read(body + b"x,4,\n", Closed, Format.CSV)
    assert [error["loc"] for error in refused.errors] == [("a",)]
    *_, refused = read(body + b"3,4,5\n", Closed, Format.CSV)
    assert [error["type"] for error in refused.errors] == ["extra_forbidden"]
    assert read(body + b"3,4,5\n", Any, Format.CSV)[-1] == {"a": "3", "b": "4", "": "5"}


def test_a_cell_of_a_column_that_was_left_out_is_not_lost() -> None:
    """Trailing columns that repeat the empty name are left out only while they are empty."""
    *good, long, short = read(b"a,,,\n" + b"1,,,\n" * 50 + b"3,,,x\n5\n", Any, Format.CSV)
    assert good == [{"a": "1", "": ""}] * 50
    kinds = [row.errors[0]["type"] for row in (long, short)]
    assert kinds == ["too_many_cells", "too_few_cells"]
    assert (long.line, long.raw) == (52, ["3", "", "", "x"])
    assert read(b"a,,\n1,2,3\n", list[str], Format.CSV) == [["1", "2", "3"]]


def test_an_ambiguous_table_is_rejected() -> None:
    """The error has the candidates and advice."""
    with pytest.raises(ResultSyntaxError, match=r"semicolons and tabs.*read it as str"):
        read(b"a;b\tc\n1;2\t3\n", Any, Format.CSV)
    with pytest.raises(ResultSyntaxError, match=r"line 3.*a bare carriage return"):
        read(b"a,b\n1,2\n3\rx,4\n", list[str], Format.CSV)


@pytest.mark.parametrize("chunk", [1, 5, 1 << 18])
def test_rows_are_counted_from_0_and_lines_from_1(chunk: int) -> None:
    """A row begins in a line of the file, after blank lines and within cells of several lines."""
    text = b'sep=,\na,b\n\n1,x\n"2\n\n3",x\n\n\nz\n5,x\n' + b"y" * 200_000 + b',"\n\n"\n6,x\n'
    with in_chunks(chunk if chunk > 4 else 1 << 10):
        found = read(text, tuple[int, str], Format.CSV)
    places = [(n, row.line) if isinstance(row, InvalidRow) else n for n, row in enumerate(found)]
    assert places == [0, (1, 5), (2, 10), 3, (4, 12), 5]
    assert str(found[2].error()).startswith("row 2 (line 10): Row should have 2 cells")
    assert str(found[1].error()).startswith("row 1, column a (line 5): ")
    broken = b'a,b\n1,"x\ny"\n2,"x'
    _, error = read_until_error(broken, list[str], Format.CSV)
    assert error is not None
    assert str(error) == "row 1 (line 4): the text ends inside a quoted cell"


@pytest.mark.parametrize(
    ("type_", "location"),
    [(Topic, "row 1, column score"), (tuple[str, float], "row 1, column score"), (int, "row 0")],
)
def test_an_invalid_csv_row_names_its_column(type_: Any, location: str) -> None:
    """The location is the number of the row and the name of the column, also by position."""
    found = read(b"name,score\na,1\nb,x\n", type_, Format.CSV)
    assert next(row.location for row in found if isinstance(row, InvalidRow)) == location


@pytest.mark.parametrize(("row", "kind"), [(b"a", "too_few_cells"), (b"a,1,2", "too_many_cells")])
@pytest.mark.parametrize("type_", [Topic, list[str]])
def test_a_ragged_row_is_invalid(type_: Any, row: bytes, kind: str) -> None:
    """A row that is not as wide as the header does not shift its cells: it is invalid."""
    found = read(b"name,score\n" + row + b"\nb,2\n", type_, Format.CSV)
    assert (found[0].location, found[0].errors[0]["type"]) == ("row 0", kind)
    assert not isinstance(found[1], InvalidRow)


def test_columns_that_repeat_are_named() -> None:
    """Two columns of one name cannot be a mapping; by position they can be read."""
    with pytest.raises(ResultSyntaxError, match="header: more than one column is called 'a'"):
        read(b"a,b,a\n1,2,3\n", dict[str, str], Format.CSV)
    assert read(b"a,b,a\n1,2,3\n", list[int], Format.CSV) == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("text", "before"),
    [
        (b'a,b\n1,2\n"3,4\n5,6\n', 1),
        (b'a,b\n1,2\n"3"x,4\n', 1),
        (b"a,b\n1,2\n\xff,4\n", 1),
        (b'a,b\n1,2\n"' + b"x" * 200_000 + b",4\n", 1),
        (b'a,b\n1,2\n"' + b"x" * 200_000 + b'"x,4\n', 1),
    ],
)
def test_malformed_csv_is_rejected(text: bytes, before: int) -> None:
    """An unclosed quote, or text after a quote, is an error."""
    found, error = read_until_error(text, list[str], Format.CSV)
    assert len(found) == before
    assert error is not None


def test_a_cell_may_be_longer_than_the_csv_limit() -> None:
    """Cells beyond `csv.field_size_limit()` are read, and the limit of the process is unchanged."""
    before = csv.field_size_limit()
    long = 'x"y\r\n,' * 50_000
    cells = [("a", long, ""), (long, "", "b"), ("z" * 200_000, "", ""), ("c", "d", "e")]
    file = io.StringIO()
    csv.writer(file).writerows([("a", "b", "c"), *cells])
    assert read(file.getvalue().encode(), tuple[str, str, str], Format.CSV) == cells
    assert csv.field_size_limit() == before


def test_huge_lines_are_split_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that are too large for a StringIO end at the same position."""
    body = 'a,b\r\n1,"x\n\u2028y\r\n"\n3,4'.encode()
    rows = read(body, list[str], Format.CSV)
    monkeypatch.setattr(csv_rows, "_LARGE", 1)
    assert read(body, list[str], Format.CSV) == rows == [["1", "x\n\u2028y\r\n"], ["3", "4"]]
