"""Other libraries read the same rows from the same bytes: Pydantic, ijson, the CSV readers of pandas and polars."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError, create_model
from pydantic_core import from_json

from dcipher._results.parsing.row_errors import InvalidRow, ResultReadError, ResultSyntaxError
from dcipher._results.rows.documents import parse_document
from dcipher._results.rows.reading import Format
from tests.results.rows.reading import BOM, in_chunks, read

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
spacing = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t"), (",\r\n  ", ":")])


class Item(BaseModel):
    name: str
    score: float | None = None
    tags: list[int] = []


items = st.fixed_dictionaries(
    {"name": texts | st.integers()},
    optional={"score": st.floats(allow_nan=False, allow_infinity=False) | texts, "tags": values},
)


def array(rows: list[Any], separators: tuple[str, str], *, ascii_: bool) -> bytes:
    return json.dumps(rows, separators=separators, ensure_ascii=ascii_).encode()


@settings(max_examples=60, deadline=None)
@given(st.lists(items, max_size=8), spacing, st.booleans(), st.sampled_from([1, 7, 1 << 18]))
def test_rows_are_those_of_the_complete_document(
    rows: list[Any], separators: tuple[str, str], ascii_: bool, chunk: int
) -> None:
    """An element is valid, with the same value, exactly if Pydantic's parser of the document agrees."""
    body = array(rows, separators, ascii_=ascii_)
    with in_chunks(chunk):
        found = read(body, Item)
    invalid = {i for i, row in enumerate(found) if isinstance(row, InvalidRow)}
    try:
        whole, refused = TypeAdapter(list[Item]).validate_json(body), set()
    except ValidationError as error:
        whole, refused = found, {e["loc"][0] for e in error.errors()}
    assert found == whole
    assert invalid == refused


@settings(max_examples=60, deadline=None)
@given(st.lists(values, max_size=6), spacing, st.booleans(), st.sampled_from([1, 7, 1 << 18]))
def test_rows_are_those_of_ijson(
    rows: list[Any], separators: tuple[str, str], ascii_: bool, chunk: int
) -> None:
    """Another streaming parser finds the same elements in the same order."""
    ijson = pytest.importorskip("ijson", reason="ijson is not installed")
    body = array(rows, separators, ascii_=ascii_)
    with in_chunks(chunk):
        found = read(body)
    # The backend in C gives up at integers beyond 64 bits.
    other = list(ijson.get_backend("python").items(io.BytesIO(body), "item", use_float=True))
    assert found == rows == other


broken = st.builds(
    lambda rows, cut, junk: array(rows, (",", ":"), ascii_=True)[: cut or None] + junk,
    st.lists(values, max_size=4),
    st.integers(-6, 0),
    st.sampled_from([b"", b"]", b",", b"}", b"1", b'"']),
)


@settings(max_examples=80, deadline=None)
@given(broken, st.sampled_from([1, 5, 1 << 18]))
def test_malformed_documents_are_rejected_by_both(body: bytes, chunk: int) -> None:
    """A document is rejected exactly if Pydantic's parser rejects it."""
    try:
        whole = TypeAdapter(Any).validate_json(body)
    except ValidationError:
        with in_chunks(chunk), pytest.raises(ResultSyntaxError):
            read(body)
    else:
        with in_chunks(chunk):
            assert read(body) == (whole if isinstance(whole, list) else [whole])


cells = st.text(st.sampled_from('ab1,"\n\r é;\t'), max_size=5)


def table(rows: list[list[str]], end: str) -> bytes:
    file = io.StringIO(newline="")
    # Not as few as possible: before Python 3.13 it leaves a lone CR bare.
    writer = csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b", "c"], *rows])
    return file.getvalue().encode()


tables = st.lists(st.lists(cells, min_size=3, max_size=3), max_size=5)
ends = st.sampled_from(["\n", "\r\n"])


@settings(max_examples=50, deadline=None)
@given(tables, ends, st.sampled_from([1, 7, 1 << 18]))
def test_csv_is_that_of_pandas(rows: list[list[str]], end: str, chunk: int) -> None:
    """Quoted newlines, commas and quotes: the cells are those that pandas reads."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    body = table(rows, end)
    with in_chunks(chunk):
        found = read(body, list[str], Format.CSV)
    frame = pandas.read_csv(
        io.BytesIO(body), dtype=str, keep_default_na=False, na_values=[], engine="python"
    )
    assert found == frame.to_numpy().tolist() == rows


@settings(max_examples=50, deadline=None)
@given(tables, ends, st.sampled_from([1, 7, 1 << 18]))
def test_csv_is_that_of_polars(rows: list[list[str]], end: str, chunk: int) -> None:
    """The same of polars."""
    polars = pytest.importorskip("polars", reason="polars is not installed")
    body = table(rows, end)
    with in_chunks(chunk):
        found = read(body, list[str], Format.CSV)
    frame = polars.read_csv(body, infer_schema=False).fill_null("")
    assert found == [list(row) for row in frame.rows()] == rows


@settings(max_examples=60, deadline=None)
@given(st.lists(st.fixed_dictionaries({"a": st.integers(-(2**63), 2**63 - 1), "b": texts})))
def test_lines_and_parquet_are_those_of_polars(rows: list[dict[str, Any]]) -> None:
    """NDJSON and Parquet written by polars are the rows that polars received."""
    polars = pytest.importorskip("polars", reason="polars is not installed")
    pytest.importorskip("pyarrow", reason="Parquet needs the extra `arrow`")
    frame = polars.DataFrame(rows, schema={"a": polars.Int64, "b": polars.String})
    file = io.BytesIO()
    frame.write_parquet(file)
    assert read(file.getvalue(), dict[str, Any], Format.PARQUET) == rows
    assert read(frame.write_ndjson().encode(), dict[str, Any], Format.NDJSON) == rows


flawed = st.sampled_from(
    [b"NaN", b'{"a": -Infinity}', b'"\\ud800"', b'["\xff"]', b'"\0"', b"[" * 300 + b"]" * 300]
)
good = values.map(lambda value: json.dumps(value, ensure_ascii=False).encode())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(good | flawed, max_size=6), st.booleans(), st.booleans(), st.sampled_from([3, 1 << 18])
)
def test_each_row_is_independent_of_others(
    rows: list[bytes], lines: bool, mark: bool, chunk: int
) -> None:
    """A row is valid exactly if Pydantic's parser accepts its text alone."""
    body = b"\n".join(rows) if lines else b"[" + b",".join(rows) + b"]"
    with in_chunks(chunk):
        found = read(BOM * mark + body, Any, Format.NDJSON if lines else Format.JSON)
    assert len(found) == len(rows)
    for number, (row, text) in enumerate(zip(found, rows, strict=True)):
        try:
            assert row == from_json(text, allow_inf_nan=False)
        except ValueError:
            assert isinstance(row, InvalidRow)
            assert (row.number, row.line) == (number, number + 1 if lines else None)


shapes = st.sampled_from(
    [Any, dict[str, Any], dict[str, str], Item, list[Any], tuple[str, str, str], Item | None]
)


@settings(max_examples=80, deadline=None)
@given(st.data(), shapes, st.sampled_from([3, 1 << 18]))
def test_read_and_records_agree(data: st.DataObject, type_: Any, chunk: int) -> None:
    """`read` of a list is the list of `records`, or both reject the same first row, in every format."""
    format_ = data.draw(st.sampled_from([Format.JSON, Format.NDJSON, Format.CSV]))
    if format_ is Format.CSV:
        body = table(data.draw(tables), "\n").replace(b'"a"', b'"name"')
    else:
        rows = [json.dumps(row).encode() for row in data.draw(st.lists(items | values, max_size=5))]
        body = b"\n".join(rows) if format_ is Format.NDJSON else b"[" + b",".join(rows) + b"]"
    with in_chunks(chunk):
        found = read(body, type_, format_)
    first = next((row for row in found if isinstance(row, InvalidRow)), None)
    if first is None:
        assert parse_document(body, list[type_], format_) == found
        assert type_ is not Any or parse_document(body, Any, format_) == found
        return
    with pytest.raises(ResultReadError) as caught:
        parse_document(body, list[type_], format_)
    assert caught.value.location == first.location
    if format_ is not Format.JSON:  # which is validated as a whole
        assert (caught.value.row, caught.value.line) == (first.number, first.line)


COLUMNS: dict[str, Any] = {
    "whole": int,
    "maybe": int | None,
    "either": int | str,
    "text": str,
    "noted": str | None,
    "share": float | None,
    "flag": bool,
    "day": date | None,
}
BY_NAME = create_model("Row", **{name: (type_, ...) for name, type_ in COLUMNS.items()})
BY_PLACE = tuple[tuple(COLUMNS.values())]
ADAPTERS = {name: TypeAdapter(type_) for name, type_ in COLUMNS.items()}
spelled = st.sampled_from(["", "", "1", "x", "2.5", "yes", "2026-01-02", " 7 ", "null"])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMNS, spelled)), min_size=1, max_size=4))
def test_each_cell_is_independent_of_others(rows: list[dict[str, str]]) -> None:
    """Pydantic validates each cell alone with the same result."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(COLUMNS), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    body = file.getvalue().encode()
    by_name = read(body, BY_NAME, Format.CSV)
    by_place = read(body, BY_PLACE, Format.CSV)
    for row, named, placed in zip(rows, by_name, by_place, strict=True):
        alone = {name: _alone(name, cell) for name, cell in row.items()}
        wrong = {name for name, value in alone.items() if value is REFUSED}
        if wrong:
            assert {e["loc"][0] for e in named.errors} == wrong
            assert {list(COLUMNS)[e["loc"][0]] for e in placed.errors} == wrong
        else:
            assert named.model_dump() == alone
            assert placed == tuple(alone[name] for name in COLUMNS)


REFUSED = object()


def _alone(name: str, cell: str) -> object:
    try:
        return ADAPTERS[name].validate_strings(cell)
    except ValidationError:
        return None if cell == "" and type(None) in get_args(COLUMNS[name]) else REFUSED


@settings(max_examples=60, deadline=None)
@given(tables, st.sampled_from(";\t|"), st.sampled_from(["\n", "\r\n"]))
def test_other_delimiters_are_those_of_csv(rows: list[list[str]], delimiter: str, end: str) -> None:
    """With every cell quoted, and another delimiter, the cells are those that were written."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b", "c"], *rows])
    assert read(file.getvalue().encode(), list[str], Format.CSV) == rows
