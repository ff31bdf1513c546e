"""Frames of pandas and polars have the values of the table."""

from __future__ import annotations

import io
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")

import pyarrow.parquet as pq  # noqa: E402 - after the skip

from dcipher import ResultParseError  # noqa: E402
from dcipher._results.rows.reading import Format  # noqa: E402
from tests.results.tables.results import table  # noqa: E402

BIG = 2**53 + 1


def parquet(*columns: Any, names: list[str] | None = None) -> bytes:
    file = io.BytesIO()
    names = names or [f"c{n}" for n, _ in enumerate(columns)]
    pq.write_table(pa.Table.from_arrays(list(columns), names=names), file)
    return file.getvalue()


def plain(value: Any) -> Any:
    """A value of a frame as one of Python."""
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    if hasattr(value, "to_pytimedelta"):
        return value.to_pytimedelta()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return value


UTC = timezone.utc
COLUMNS: list[tuple[Any, list[Any]]] = [
    *((getattr(pa, f"int{bits}")(), [-1, 2 ** (bits - 1) - 1]) for bits in (8, 16, 32, 64)),
    *((getattr(pa, f"uint{bits}")(), [0, 2**bits - 1]) for bits in (8, 16, 32, 64)),
    (pa.bool_(), [True, False]),
    (pa.float32(), [0.5, -1.5]),
    (pa.float64(), [0.1, 1e300]),
    (pa.string(), ["", "a\0ü😀"]),
    (pa.large_string(), ["x"]),
    (pa.binary(), [b"", b"\0\xff"]),
    (pa.date32(), [date(1, 1, 1), date(9999, 12, 31)]),
    (pa.timestamp("s"), [datetime(1066, 1, 1)]),
    (pa.timestamp("us"), [datetime(2500, 1, 1, 0, 0, 0, 1)]),
    (pa.timestamp("us", "UTC"), [datetime(1900, 1, 1, tzinfo=UTC)]),
    (pa.time64("us"), [time(1, 2, 3, 4)]),
    (pa.duration("us"), [timedelta(days=-1, microseconds=1)]),
    (pa.decimal128(38, 2), [Decimal("1.50"), Decimal(10) ** 35]),
    (pa.decimal256(76, 0), [Decimal(10) ** 70]),
    (pa.dictionary(pa.int8(), pa.string()), ["a", "b"]),
    (pa.list_(pa.int64()), [[1, BIG], [BIG, None], []]),
    (pa.list_(pa.bool_()), [[True, None]]),
    (pa.list_(pa.list_(pa.uint8())), [[[1, None], None]]),
    (pa.list_(pa.string()), [["a", None]]),
    (pa.list_(pa.timestamp("us")), [[datetime(2500, 1, 1), None]]),
    (
        pa.struct({"x": pa.int64(), "y": pa.string()}),
        [{"x": BIG, "y": None}, {"x": None, "y": "q"}],
    ),
    (pa.struct({"x": pa.struct({"y": pa.bool_()})}), [{"x": None}, {"x": {"y": True}}]),
    (pa.list_(pa.struct({"x": pa.int64()})), [[{"x": BIG}, {"x": None}, None]]),
    (pa.map_(pa.string(), pa.int64()), [{"k": BIG, "l": None}, {}]),
    (pa.struct({"m": pa.map_(pa.string(), pa.list_(pa.int8()))}), [{"m": {"k": [1, None]}}]),
]


@pytest.mark.parametrize(("type_", "values"), COLUMNS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("nulls", [False, True], ids=["full", "nulls"])
def test_values_of_pandas(type_: Any, values: list[Any], nulls: bool) -> None:
    """A value in the table is that value in the frame, beside nulls and at every depth."""
    pd = pytest.importorskip("pandas", reason="the extra `pandas` is not installed")
    column = pa.array([*values, *[None] * nulls], type_)
    with table(parquet(column), format_=Format.PARQUET) as made:
        series = made.to_pandas()["c0"]
    assert len(series) == len(column)
    assert [plain(value) for value in series[: len(values)]] == values
    if nulls:
        missing = series.iloc[-1]
        assert missing is None or pd.isna(missing)


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (pa.array([1, None], pa.uint8()), "UInt8"),
        (pa.array([1, 2], pa.uint8()), "uint8"),
        (pa.array([1, None], pa.int16()), "Int16"),
        (pa.array([True, None]), "boolean"),
        (pa.array([1.5, None]), "float64"),
        (pa.array([float("nan"), None]), "double[pyarrow]"),
        (pa.array([10**7], pa.int32()).view(pa.date32()), "date32[day][pyarrow]"),
        (pa.array([1001], pa.time64("ns")), "time64[ns][pyarrow]"),
        (pa.array([[1, 2]]), "object"),
        (pa.array([[1, None]]), "list<element: int64>[pyarrow]"),
    ],
    ids=str,
)
def test_types_of_pandas(column: Any, dtype: str) -> None:
    """The type of NumPy if it represents the values, else that of pandas, else that of Arrow."""
    pytest.importorskip("pandas", reason="the extra `pandas` is not installed")
    with table(parquet(column, pa.nulls(len(column))), format_=Format.PARQUET) as made:
        frame = made.to_pandas()
    assert list(frame.columns) == ["c0", "c1"]
    assert str(frame["c0"].dtype).replace("item:", "element:") == dtype
    assert "1001" not in dtype or frame["c0"].array._pa_array.to_pylist()


def test_no_rows() -> None:
    """A column without rows has a type, too."""
    pytest.importorskip("pandas", reason="the extra `pandas` is not installed")
    empty = [pa.array([], type_) for type_, _ in COLUMNS]
    with table(parquet(*empty), format_=Format.PARQUET) as made:
        assert made.to_pandas().shape == (0, len(COLUMNS))


def test_values_of_polars() -> None:
    """Polars has the table's values, and its names, empty ones, too."""
    pytest.importorskip("polars", reason="the extra `polars` is not installed")
    some = [
        (type_, values)
        for type_, values in COLUMNS
        if not str(type_).startswith(("map", "decimal256"))
    ]
    some = [(type_, values) for type_, values in some if "map<" not in str(type_)]
    for type_, values in some:
        column = pa.array([*values, None], type_)
        with table(
            parquet(column, pa.nulls(len(column)), names=["", "column_0"]), format_=Format.PARQUET
        ) as made:
            frame = made.to_polars()
        assert frame.columns == ["", "column_0"]
        assert frame[""].to_list() == [*values, None]


def test_a_nameless_column_of_csv() -> None:
    """The index that pandas writes without a name keeps its position and its empty name in every reader."""
    body = b",a,column_0\n0,x,1\n1,y,2\n"
    with table(body, format_=Format.CSV) as made:
        assert made.to_arrow().column_names == ["", "a", "column_0"]
        for reader in ("pandas", "polars"):
            pytest.importorskip(reader, reason="an extra is not installed")
            frame = getattr(made, f"to_{reader}")()
            assert list(frame.columns) == ["", "a", "column_0"]
            assert list(frame[""]) == [0, 1]


TWICE = pa.array([[("k", 1)], [("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int64()))


@pytest.mark.parametrize(
    ("frame", "body", "where"),
    [
        ("polars", parquet(pa.array([1]), pa.array([2]), names=["a", "a"]), "header"),
        (
            "polars",
            parquet(pa.array([1]), pa.array([Decimal(10) ** 70], pa.decimal256(76))),
            "column c1",
        ),
        ("pandas", parquet(TWICE), "row 1, column c0"),
        (
            "pandas",
            parquet(
                pa.array(
                    [[{"m": []}, {"m": [("k", 1), ("k", 2)]}]],
                    pa.list_(pa.struct({"m": TWICE.type})),
                )
            ),
            "row 0, column c0",
        ),
    ],
    ids=["names", "decimal256", "map", "deep map"],
)
def test_values_that_a_frame_cannot_represent(frame: str, body: bytes, where: str) -> None:
    """They are a `ResultParseError` with the column, whatever the library raises."""
    pytest.importorskip(frame, reason="an extra is not installed")
    with (
        table(body, format_=Format.PARQUET) as made,
        pytest.raises(ResultParseError) as caught,
    ):
        getattr(made, f"to_{frame}")()
    assert caught.value.location == where


def test_invalid_text_and_times() -> None:
    """Text that is not UTF-8, and times beyond a day, are errors before any library reads them."""
    text = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")]
    )
    hours = pa.array([90_000], pa.int32()).view(pa.time32("s")).cast(pa.time32("ms"))
    words = pa.concat_arrays([text, pa.array(["good"])])
    coded = pa.DictionaryArray.from_arrays(pa.array([1, None, 1, 0], pa.int32()), words)
    with (
        table(parquet(coded), format_=Format.PARQUET) as made,
        pytest.raises(ResultParseError) as caught,
    ):
        made.to_arrow()
    assert caught.value.location == "row 3, column c0"
    for column in (text, pa.ListArray.from_arrays([0, 1], text), hours):
        body = parquet(pa.concat_arrays([pa.nulls(3, column.type), column]))
        with table(body, format_=Format.PARQUET) as made, pytest.raises(ResultParseError) as caught:
            made.to_arrow()
        assert caught.value.location == "row 3, column c0"
