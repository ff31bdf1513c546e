"""Rows of CSV: what becomes of cells, of ragged rows and of damage."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from dcipher._core import csv_rows
from dcipher._core.result_errors import InvalidRow, ResultSyntaxError
from dcipher._core.rows import Format
from tests.core.reading import BOM, Topic, in_chunks, read, read_until_error


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
def test_what_the_csv_writer_writes_is_read_back(
    cells: list[tuple[str, str, str]], chunk: int
) -> None:
    """Any cells that are written as CSV come back."""
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


def test_an_empty_cell_is_none_only_where_empty_text_does_not_fit() -> None:
    """Empty stays text for text, is None for a number or None, and does not fit a plain number."""
    loose = read(b"name,score,level\n,,2\na,1,\na,x,3\n", Loose, Format.CSV)
    assert loose[0] == Loose(name="", score=None, level=2)
    assert (loose[1].location, loose[1].errors[0]["type"]) == ("row 1, column level", "int_parsing")
    assert loose[2].location == "row 2, column score"
    assert read(b"count,score\n1,\n2,2\n", Strict, Format.CSV) == [
        Strict(count=1, score=None),
        Strict(count=2, score=2),
    ]


@pytest.mark.parametrize(
    ("type_", "location"),
    [(Topic, "row 1, column score"), (tuple[str, float], "row 1, column score"), (int, "row 0")],
)
def test_a_csv_row_that_does_not_fit_names_its_column(type_: Any, location: str) -> None:
    """The place is the row's number and the column's name, by position too."""
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
    with pytest.raises(ResultSyntaxError, match=r"header: .* 'a'$"):
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
def test_broken_csv_is_refused(text: bytes, before: int) -> None:
    """A quote that does not end, or text after it, is damage, and not a cell."""
    found, error = read_until_error(text, list[str], Format.CSV)
    assert len(found) == before
    assert error is not None


def test_a_cell_may_be_longer_than_the_csv_limit() -> None:
    """Cells beyond `csv.field_size_limit()` are read, and the limit of the process stays."""
    before = csv.field_size_limit()
    long = 'x"y\r\n,' * 50_000
    cells = [("a", long, ""), (long, "", "b"), ("z" * 200_000, "", ""), ("c", "d", "e")]
    file = io.StringIO()
    csv.writer(file).writerows([("a", "b", "c"), *cells])
    assert read(file.getvalue().encode(), tuple[str, str, str], Format.CSV) == cells
    assert csv.field_size_limit() == before


def test_huge_lines_are_split_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that are too large for a StringIO end where they end in one."""
    body = 'a,b\r\n1,"x\n\u2028y\r\n"\n3,4'.encode()
    rows = read(body, list[str], Format.CSV)
    monkeypatch.setattr(csv_rows, "_LARGE", 1)
    assert read(body, list[str], Format.CSV) == rows == [["1", "x\n\u2028y\r\n"], ["3", "4"]]
