"""Rows of Parquet."""

from __future__ import annotations

import base64
import gzip
import io
import subprocess
import sys
import tempfile
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, cast
from uuid import UUID  # noqa: TC003 - a model names it

import pytest
from pydantic import BaseModel, ConfigDict, Field

from dcipher._extras.installation import install
from dcipher._results.parsing.row_errors import InvalidRow, ResultSyntaxError, ResultTypeError
from dcipher._results.rows.documents import detect_format, parse_document
from dcipher._results.rows.reading import Format, iter_rows
from tests.results.rows.reading import Topic, read

pa = pytest.importorskip("pyarrow", reason="Parquet needs the extra `arrow`")
pq = pytest.importorskip("pyarrow.parquet")

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def parquet(columns: Mapping[str, Sequence[object]], **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), file, **options)
    return file.getvalue()


TOPICS = [Topic(name=f"n{i}", score=i / 4) for i in range(3000)]
BODY = parquet(
    {"name": [t.name for t in TOPICS], "score": [t.score for t in TOPICS]}, row_group_size=700
)


def test_rows_of_parquet() -> None:
    """A file of several row groups is rows, plain dicts, cells or models."""
    assert detect_format(None, None, BODY) is Format.PARQUET
    assert detect_format("application/vnd.apache.parquet", None, b"") is Format.PARQUET
    assert read(BODY, Topic, Format.PARQUET) == TOPICS
    assert parse_document(BODY, list[Topic], Format.PARQUET) == TOPICS
    assert parse_document(BODY, Any, Format.PARQUET)[1] == {"name": "n1", "score": 0.25}
    assert parse_document(BODY, list[list[Any]], Format.PARQUET)[1] == ["n1", 0.25]
    assert parse_document(BODY, Annotated[list[Topic], Field(min_length=3000)], Format.PARQUET)
    assert parse_document(BODY, bytes, Format.PARQUET) == BODY
    with tempfile.SpooledTemporaryFile(100) as spool:
        spool.write(BODY)
        spool.seek(0)
        file = cast("BinaryIO", cast("object", spool))
        assert list(iter_rows(file, Topic, Format.PARQUET)) == TOPICS


def test_an_invalid_row_of_parquet() -> None:
    """The error names row and column, and has the number of the row."""

    class Small(BaseModel):
        score: Annotated[float, Field(lt=500)]

    with pytest.raises(
        ResultTypeError, match=r"^\[2000\]\.score \(row 2000\): Input should be less than 500"
    ):
        parse_document(BODY, list[Small], Format.PARQUET)
    (first, *_) = [row for row in read(BODY, Small, Format.PARQUET) if isinstance(row, InvalidRow)]
    assert (first.number, first.raw) == (2000, {"name": "n2000", "score": 500.0})


def test_values_keep_their_types() -> None:
    """Dates, times, decimals, bytes and lists are Python's own."""
    row = {
        "day": date(2026, 11, 21),
        "at": datetime(2026, 11, 21, 1, 2, 3, tzinfo=timezone.utc),
        "price": Decimal("1.50"),
        "blob": b"\x00\xff",
        "tags": ["a", None],
    }
    body = parquet({name: [value] for name, value in row.items()})
    assert parse_document(body, Any, Format.PARQUET) == [row]


@pytest.mark.parametrize("body", [b"", b"PAR1", BODY[:-1], BODY[:300], BODY[:300] + BODY[400:]])
def test_malformed_parquet_is_rejected(body: bytes) -> None:
    """A truncated or damaged file is a syntax error."""
    with pytest.raises(ResultSyntaxError, match="not a readable Parquet file"):
        read(body, Topic, Format.PARQUET)


def test_repeated_columns_are_rejected() -> None:
    """A dict would lose one of two columns with the same name. As cells, both exist."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), file)
    with pytest.raises(ResultSyntaxError, match="more than one column is called"):
        read(file.getvalue(), dict[str, int], Format.PARQUET)
    assert read(file.getvalue(), list[int], Format.PARQUET) == [[1, 2]]


def test_no_rows() -> None:
    """A file without rows is an empty list."""
    assert parse_document(parquet({"a": pa.array([], pa.int64())}), Any, Format.PARQUET) == []


def test_without_pyarrow_the_extra_is_named() -> None:
    """Without pyarrow, the error has the command to install it, and the bytes can still be read."""
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from typing import Any; from dcipher._results.rows.documents import *\n"
        "from dcipher._results.rows.reading import Format\n"
        "assert parse_document(b'PAR1', bytes, Format.PARQUET) == b'PAR1'\n"
        "try: parse_document(b'PAR1', Any, Format.PARQUET)\n"
        "except ResultSyntaxError as error: print(error)\n"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert install("arrow") in done.stdout


def test_parquet_inside_a_compressed_file() -> None:
    """A compressed file is read by its content, row by row and as a value, and leaves no file."""
    body = gzip.compress(BODY)
    assert read(body, Topic, Format.PARQUET) == TOPICS
    assert parse_document(body, list[Topic], Format.PARQUET) == TOPICS
    rows = iter_rows(io.BytesIO(body), Topic, Format.PARQUET)
    assert next(rows) == TOPICS[0]
    del rows  # an open file would be a warning


TEXT = pa.Array.from_buffers(
    pa.string(),
    2,
    [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\3\0\0\0"), pa.py_buffer(b"x\xff\xfe")],
)


def whole(type_: Any, *numbers: int) -> Any:
    plain = pa.int32() if type_.bit_width == 32 else pa.int64()
    return pa.array(numbers, plain).view(type_)


@pytest.mark.parametrize(
    ("column", "good", "why"),
    [
        (whole(pa.date32(), 0, 10**7), date(1970, 1, 1), "years 1 to 9999"),
        (whole(pa.timestamp("us"), 0, 10**18), datetime(1970, 1, 1), "years 1 to 9999"),
        (whole(pa.timestamp("ms"), 0, -(10**15)), datetime(1970, 1, 1), "years 1 to 9999"),
        (whole(pa.timestamp("ns"), 1000, 1001), datetime(1970, 1, 1, 0, 0, 0, 1), "nanoseconds"),
        (
            whole(pa.timestamp("ns", "UTC"), 0, 1),
            datetime(1970, 1, 1, tzinfo=timezone.utc),
            "nanoseconds",
        ),
        (whole(pa.time64("ns"), 1000, 1001), time(0, 0, 0, 1), "nanoseconds"),
        (whole(pa.time32("ms"), 0, 90_000_000), time(), "24 hours"),
        (whole(pa.duration("ns"), 1000, 1), timedelta(microseconds=1), "nanoseconds"),
        (TEXT, "x", "is not UTF-8"),
        (
            pa.array([[("a", 1)], [("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())),
            {"a": 1},
            "a duplicate key",
        ),
        (pa.ListArray.from_arrays([0, 1, 2], TEXT), ["x"], "cannot"),
        (
            pa.StructArray.from_arrays([whole(pa.timestamp("ns"), 1000, 1)], ["at"]),
            {"at": datetime(1970, 1, 1, 0, 0, 0, 1)},
            "cannot",
        ),
    ],
    ids=lambda value: str(getattr(value, "type", ""))[:30],
)
def test_a_cell_that_python_cannot_represent(column: Any, good: Any, why: str) -> None:
    """Its row is a reject with row and column, but without a value. The others are exact."""
    table = pa.table({"n": [1, 2, 3, 4], "c": pa.concat_arrays([column[:1], column, column[:1]])})
    file = io.BytesIO()
    pq.write_table(table, file)
    rows = read(file.getvalue(), Any, Format.PARQUET)
    assert [row for row in rows if not isinstance(row, InvalidRow)] == [
        {"n": n, "c": good} for n in (1, 2, 4)
    ]
    assert all(type(row["c"]) is type(good) for row in rows if isinstance(row, dict))
    assert rows[2].location == "[2].c"
    assert rows[2].errors[0]["type"] == "parquet_cell"
    assert why in str(rows[2].error())
    assert rows[2].raw == {"n": 3, "c": None}
    assert isinstance(read(file.getvalue(), list[Any], Format.PARQUET)[2], InvalidRow)


def test_maps_are_dicts() -> None:
    """A map is a dict at every depth, with a model and without one."""

    class Row(BaseModel):
        counts: dict[str, int]
        deep: list[dict[str, dict[str, float]]] = []

    inner = pa.map_(pa.string(), pa.map_(pa.string(), pa.float64()))
    body = parquet(
        {
            "counts": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
            "deep": pa.array([[[("a", [("b", 0.5)])]], []], pa.list_(inner)),
        }
    )
    plain = [{"counts": {"a": 1}, "deep": [{"a": {"b": 0.5}}]}, {"counts": {}, "deep": []}]
    assert read(body, Any, Format.PARQUET) == plain
    assert read(body, Row, Format.PARQUET) == [Row.model_validate(row) for row in plain]


class Colour(Enum):
    RED = "red"


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    n: int
    colour: Colour
    key: UUID
    day: date
    pair: tuple[int, str]
    tags: frozenset[str]
    price: Decimal
    inner: Topic


def test_strict_models_read_parquet_as_json() -> None:
    """A strict model accepts the same values from Parquet as from JSON."""
    row = {
        "n": 1,
        "colour": "red",
        "key": "7f2c1f9e-6d0e-4f6a-9d3b-0a6a6b1c2d3e",
        "day": date(2020, 1, 1),
        "pair": '[1, "a"]',
        "tags": ["x"],
        "price": "1.5",
        "inner": '{"name": "a", "score": 1.5}',
    }
    (made,) = read(parquet({name: [value] for name, value in row.items()}), Strict, Format.PARQUET)
    assert made.colour is Colour.RED
    assert (made.pair, made.tags, made.inner) == ((1, "a"), {"x"}, Topic(name="a", score=1.5))
    body = parquet({name: ["1" if name == "n" else value] for name, value in row.items()})
    (refused,) = read(body, Strict, Format.PARQUET)
    assert refused.location == "[0].n"


def test_an_encrypted_column() -> None:
    """A file that needs a key is a syntax error with that reason."""
    encryption = pytest.importorskip("pyarrow.parquet.encryption")

    class Keys(encryption.KmsClient):  # type: ignore[misc, name-defined]
        def wrap_key(self, key_bytes: bytes, _: str) -> bytes:
            return base64.b64encode(key_bytes)

        def unwrap_key(self, wrapped_key: bytes, _: str) -> bytes:
            return base64.b64decode(wrapped_key)

    factory = encryption.CryptoFactory(lambda _: Keys())
    for plaintext_footer in (True, False):
        properties = factory.file_encryption_properties(
            encryption.KmsConnectionConfig(),
            encryption.EncryptionConfiguration(
                footer_key="f", column_keys={"c": ["b"]}, plaintext_footer=plaintext_footer
            ),
        )
        file = io.BytesIO()
        pq.write_table(pa.table({"a": [1], "b": [2]}), file, encryption_properties=properties)
        with pytest.raises(ResultSyntaxError, match="not a readable Parquet file: it is encrypted"):
            read(file.getvalue(), Any, Format.PARQUET)
