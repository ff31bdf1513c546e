"""Tables without a model: the columns fit every row, or an error has the reason."""

from __future__ import annotations

import io
import json
from datetime import date, datetime, timezone
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")

import pyarrow.csv  # noqa: E402 - after the skip

from dcipher import ResultParseError  # noqa: E402
from dcipher._results.rows.reading import Format  # noqa: E402
from tests.results.tables.results import table  # noqa: E402


def arrow(body: str | bytes, format_: Format = Format.JSON) -> Any:
    raw = body.encode() if isinstance(body, str) else body
    with table(raw, format_=format_) as made:
        whole = made.to_arrow()
        assert made.num_rows == whole.num_rows
    whole.validate(full=True)
    return whole


@pytest.mark.parametrize(
    ("rows", "type_"),
    [
        ([1, 2**63 - 1, None], "int64"),
        ([1, 2.5], "double"),
        ([None, None], "null"),
        ([True, None], "bool"),
        (["a\0b", "😀", ""], "string"),
        (["2020-01-01"], "string"),
        ([[1], None, []], "list<item: int64>"),
        ([[], [[]]], "list<item: list<item: null>>"),
        ([{"x": 1}, {"y": "a"}], "struct<x: int64, y: string>"),
        ([[{"x": 1}], [{"x": 1.5, "y": None}]], "list<item: struct<x: double, y: null>>"),
    ],
    ids=str,
)
def test_types(rows: list[Any], type_: str) -> None:
    """The type of a column fits all its values, also late ones."""
    # More than are looked at together, so that what was learned before counts.
    filled = [{"c": rows[0]}, *[{}] * 9000, *({"c": value} for value in rows)]
    whole = arrow(json.dumps(filled))
    assert str(whole.schema.field("c").type) == type_
    assert whole.num_rows == len(filled)
    assert whole["c"][-1].as_py() == pa.array(rows)[-1].as_py()


def test_objects_without_fields() -> None:
    """An object without fields, for which Arrow has no portable type, is a string of JSON."""
    whole = arrow('[{"a": {}, "b": {"c": {}, "d": 1}}, {"b": null}, {"a": null, "b": {"d": 2}}]')
    assert whole.to_pylist() == [
        {"a": "{}", "b": {"c": "{}", "d": 1}},
        {"a": None, "b": None},
        {"a": None, "b": {"c": None, "d": 2}},
    ]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ("[]", []),
        ("[null, null]", [{}, {}]),
        ("[{}, {}]", [{}, {}]),
        ("[1, 2]", [{"value": 1}, {"value": 2}]),
        ("[[1], []]", [{"value": [1]}, {"value": []}]),
        ('{"a": 1}', [{"a": 1}]),
        ('[{"a": 1}, null]', [{"a": 1}, {"a": None}]),
        ('\ufeff[{"": 1}]', [{"": 1}]),
    ],
)
def test_rows(body: str, rows: list[Any]) -> None:
    """Objects are rows of columns; anything else is one column, `value`."""
    whole = arrow(body)
    assert whole.num_rows == len(rows)
    assert whole.to_pylist() == rows


@pytest.mark.parametrize(
    ("tail", "where", "why"),
    [
        ([{"a": "canary"}], "row 9001, column a", "is text, but earlier rows have an integer"),
        ([{"a": True}], "row 9001, column a", "is a boolean"),
        ([{"a": 2**63}], "row 9001, column a", "beyond 64 bits"),
        ([{"a": 2**53 + 1}, {"a": 0.5}], "row 9001, column a", "float64 does not hold exactly"),
        ([{"o": {"x": [1]}}, {"o": {"x": ["canary"]}}], "row 9002, column o.x[]", "is text"),
        ([{"o": {"x": 1}}, {"o": [1]}], "row 9002, column o", "is an array"),
        ([7], "row 9001", "is an integer, but earlier rows have an object"),
    ],
    ids=str,
)
def test_mixed(tail: list[Any], where: str, why: str) -> None:
    """Values without a common type are an error with row, column and types, but without values."""
    body = json.dumps([*[{"a": 1}] * 9001, *tail])
    with pytest.raises(ResultParseError, match=why) as caught:
        arrow(body)
    assert caught.value.location == where
    assert "canary" not in str(caught.value)
    assert "model" in str(caught.value) or "declare" in str(caught.value)


def test_several_results_are_one_table() -> None:
    """The rows of all results determine the columns."""
    with table(b'[{"a": 1}]', b'{"a": 1.5}\n{"b": 2}', format_=Format.NDJSON) as made:
        with pytest.raises(ResultParseError, match="earlier rows have an array") as caught:
            made.to_arrow()
        assert caught.value.output_index == 1
    with table(b'[{"a": 1}]', b'[{"a": 1.5}, {"b": 2}]') as made:
        assert made.to_arrow().to_pylist() == [
            {"a": 1.0, "b": None},
            {"a": 1.5, "b": None},
            {"a": None, "b": 2},
        ]


UTC = timezone.utc


@pytest.mark.parametrize(
    ("cells", "type_", "values"),
    [
        (["1", "-20", "0"], "int64", [1, -20, 0]),
        ([str(2**63 - 1)], "int64", [2**63 - 1]),
        ([str(2**63)], "string", [str(2**63)]),
        (["007"], "string", ["007"]),
        (["+1"], "string", ["+1"]),
        (["1", "1.5", "-2e-3"], "double", [1.0, 1.5, -0.002]),
        (["12345678901234567", "0.5"], "string", ["12345678901234567", "0.5"]),
        (["inf", "-inf"], "double", [float("inf"), float("-inf")]),
        (["1e400", "1.5"], "string", ["1e400", "1.5"]),
        (["1e-400", "1.5"], "string", ["1e-400", "1.5"]),
        (["-1e309", "inf"], "string", ["-1e309", "inf"]),
        ([f"0.{'0' * 400}1"], "string", [f"0.{'0' * 400}1"]),
        (["0.5"] * 99 + ["2e999"], "string", ["0.5"] * 99 + ["2e999"]),
        (["0.0", "-0", "0e5", "0.00E-999"], "double", [0.0, 0.0, 0.0, 0.0]),
        (["1e308", "-Infinity"], "double", [1e308, float("-inf")]),
        (["true", "False"], "bool", [True, False]),
        (["1", "true"], "string", ["1", "true"]),
        (["1900-02-28", "2500-01-01"], "date32[day]", [date(1900, 2, 28), date(2500, 1, 1)]),
        (["2021-02-30"], "string", ["2021-02-30"]),
        (
            ["1901-01-01T00:00:00", "2500-01-01 00:00:00.123456"],
            "timestamp[us]",
            [datetime(1901, 1, 1), datetime(2500, 1, 1, 0, 0, 0, 123456)],
        ),
        (
            ["2020-01-01T02:00:00+02:00", "2020-01-01T00:00:00Z"],
            "timestamp[us, tz=UTC]",
            [datetime(2020, 1, 1, tzinfo=UTC)] * 2,
        ),
        (["NA", "null"], "string", ["NA", "null"]),
        (["", ""], "string", [None, None]),
    ],
    ids=str,
)
def test_cells(cells: list[str], type_: str, values: list[Any]) -> None:
    """A column of CSV has another type than text only if no cell loses anything."""
    body = "c,d\r\n" + "".join(f"{cell},x\r\n" for cell in [*cells, ""])
    whole = arrow(body, Format.CSV)
    assert str(whole.schema.field("c").type) == type_
    assert whole["c"].to_pylist() == [*values, None]


def test_cells_late_in_a_column() -> None:
    """A cell after many others decides as the first one does."""
    body = "a,b,c\n" + "1,,x\n" * 9000 + "a,2,x\n"
    whole = arrow(body, Format.CSV)
    assert [str(field.type) for field in whole.schema] == ["string", "int64", "string"]
    assert whole["b"].to_pylist()[-2:] == [None, 2]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("a,a\n1,2\n", "header: more than one column is called 'a'"),
        ("a,b\n1\n", r"row 0 \(line 2\): Row should have 2 cells"),
        ("a,b\n1,2\n1,2,3\n", r"row 1 \(line 3\): Row should have 2 cells"),
        (b"\xff,b\n", "not UTF-8"),
        ('a,"b', r"header \(line 1\): the text ends inside a quoted cell"),
        (b"a,b\n\xff,2\n", "not UTF-8"),
    ],
)
def test_invalid_csv(body: str | bytes, message: str) -> None:
    """An invalid table is an error with the position."""
    with pytest.raises(ResultParseError, match=message):
        arrow(body, Format.CSV)


@pytest.mark.parametrize(("body", "names"), [("", []), ("a,b\n", ["a", "b"]), ("\n\na\n", ["a"])])
def test_csv_without_rows(body: str, names: list[str]) -> None:
    """A header alone is columns without rows."""
    whole = arrow(body, Format.CSV)
    assert whole.schema.names == names
    assert whole.num_rows == 0


def test_headers_of_several_results_differ() -> None:
    """Results with different columns are an error."""
    with (
        table(b"a,b\n1,2\n", b"b,a\n1,2\n", format_=Format.CSV) as made,
        pytest.raises(ResultParseError, match="differs from that of the previous result") as caught,
    ):
        _ = made.schema
    assert caught.value.output_index == 1
    with table(b"a,b\n1,2\n", b"a,b\nx,2\n", format_=Format.CSV) as made:
        assert made.to_arrow().to_pylist() == [{"a": "1", "b": 2}, {"a": "x", "b": 2}]


CELLS = [
    'n,f,s,d\r\n1,1.5,"a,b",2020-01-01\r\n-3,2e5,"x\r\ny",1969-12-31\r\n',
    '\ufeffn,s\n1,"ü ""q"""\n2,😀\n',
    "a,b\n0.1,true\n0.2,false\n",
]


@pytest.mark.parametrize("body", CELLS, ids=range(len(CELLS)))
def test_other_readers_of_csv(body: str) -> None:
    """For unambiguous cells, the table equals those of pyarrow, pandas and polars."""
    whole = arrow(body, Format.CSV)
    options = {
        "parse_options": pyarrow.csv.ParseOptions(newlines_in_values=True),
        "read_options": pyarrow.csv.ReadOptions(use_threads=False),
    }
    assert whole == pyarrow.csv.read_csv(io.BytesIO(body.encode()), **options)
    pl = pytest.importorskip("polars", reason="the extra `polars` is not installed")
    found = pl.read_csv(io.BytesIO(body.encode()), try_parse_dates=True)
    assert pl.DataFrame(whole).equals(found)
    pd = pytest.importorskip("pandas", reason="the extra `pandas` is not installed")
    theirs = pd.read_csv(io.BytesIO(body.encode()), encoding="utf-8-sig", lineterminator=None)
    for name in set(whole.schema.names) - {"d"}:
        assert whole[name].to_pylist() == theirs[name].tolist()


def test_other_readers_of_json() -> None:
    """For rows of JSON, the table equals those of pyarrow and polars."""
    rows = [
        {"n": n, "f": n / 3, "s": f"é{n}", "l": [n, None], "o": {"b": n % 2 == 0}}
        for n in range(50)
    ]
    body = "\n".join(map(json.dumps, rows)).encode()
    whole = arrow(body, Format.NDJSON)
    assert whole == pa.Table.from_pylist(rows)
    pl = pytest.importorskip("polars", reason="the extra `polars` is not installed")
    assert pl.DataFrame(whole).equals(pl.read_ndjson(io.BytesIO(body)))
    pd = pytest.importorskip("pandas", reason="the extra `pandas` is not installed")
    theirs = pd.read_json(io.BytesIO(body), lines=True)
    assert whole["f"].to_pylist() == pytest.approx(theirs["f"].tolist())


def test_ten_thousand_columns() -> None:
    """A row may be as wide as it likes."""
    wide = {f"c{n}": n for n in range(10_000)}
    whole = arrow(json.dumps([wide, wide]))
    assert whole.to_pylist() == [wide, wide]
    header, cells = ",".join(wide), ",".join(map(str, wide.values()))
    assert arrow(f"{header}\n{cells}\n", Format.CSV).to_pylist() == [wide]
