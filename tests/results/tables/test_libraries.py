"""Documents that libraries read differently: the table for them, who reads something else, and why."""

from __future__ import annotations

import io
import math
from datetime import date, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")

import pyarrow.csv  # noqa: E402 - after the skip
import pyarrow.json  # noqa: E402

from dcipher._results.rows.documents import detect_format  # noqa: E402
from dcipher._results.rows.reading import Format  # noqa: E402
from tests.results.tables.results import table  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

BIG = 2**53 + 1


class Document(NamedTuple):
    """The content of a document, and the libraries that may read it differently."""

    body: bytes
    format: Format
    rows: list[dict[str, Any]]
    why: str
    others: str = ""


JSON, NDJSON, CSV = Format.JSON, Format.NDJSON, Format.CSV
DOCUMENTS = {
    "keys that differ": Document(
        b'{"a":{"x":9007199254740993}}\n{"a":{"y":"q"}}', NDJSON,
        [{"a": {"x": BIG, "y": None}}, {"a": {"x": None, "y": "q"}}],
        "a struct has all keys, and no integer becomes a float beside a null",
        "pandas",
    ),
    "an integer beside null": Document(
        b'[{"a":9007199254740993},{"b":"x"}]', JSON,
        [{"a": BIG, "b": None}, {"a": None, "b": "x"}],
        "NumPy has no integer that is missing: pandas makes floats of them",
        "pandas",
    ),
    "a number beyond float64": Document(
        b'{"a":1e400}', NDJSON, [{"a": "1e400"}],
        "infinity is another number: it stays text",
        "duckdb pandas polars pyarrow",
    ),
    "a number below float64": Document(
        b'[{"a":1e-400}]', JSON, [{"a": "1e-400"}],
        "zero is another number: it stays text",
        "duckdb pandas polars",
    ),
    "text that looks like a time": Document(
        b'{"a":"2020-01-01T00:00:00Z"}', NDJSON, [{"a": "2020-01-01T00:00:00Z"}],
        "JSON has no times: the next result may have other text there, and the column another type",
        "duckdb pyarrow",
    ),
    "a byte order mark": Document(
        b'\xef\xbb\xbf{"a":"x"}', NDJSON, [{"a": "x"}],
        "it says how the text is encoded (RFC 8259, section 8.1, permits to ignore it)",
        "pandas polars",
    ),
    "a name twice": Document(
        b'{"a":1,"a":2}', NDJSON, [{"a": 2}],
        "the last value counts, as for Python, JavaScript and Pydantic",
        "duckdb polars pyarrow",
    ),
    "nulls at the head of a list": Document(
        b'{"a":[null,{"z":1.5}]}', NDJSON, [{"a": [None, {"z": 1.5}]}],
        "pyarrow loses nulls before the first object",
        "pyarrow",
    ),
    "an object without fields": Document(
        b'{"a":{}}\n{"a":null}', NDJSON, [{"a": "{}"}, {"a": None}],
        "neither Parquet nor DuckDB has a struct without fields: it is JSON text",
        "duckdb pandas polars pyarrow",
    ),
    "rows without names": Document(
        b"1\n2", NDJSON, [{"value": 1}, {"value": 2}],
        "such rows are the column `value`",
        "duckdb pandas polars pyarrow",
    ),
    "one object": Document(
        b'{"a":1}', JSON, [{"a": 1}],
        "a document that is no array is one row",
        "pandas",
    ),
    "leading zeros": Document(
        b"a\n007\n1\n", CSV, [{"a": "007"}, {"a": "1"}],
        "007 is a name, no number: it would not come back",
        "pandas polars pyarrow",
    ),
    "a wide integer beside a fraction": Document(
        b"a\n9007199254740993\n0.5\n", CSV, [{"a": "9007199254740993"}, {"a": "0.5"}],
        "no type holds both exactly: both stay text",
        "duckdb pandas polars pyarrow",
    ),
    "an integer beyond 64 bits": Document(
        b"a\n9223372036854775808\n", CSV, [{"a": "9223372036854775808"}],
        "no integer of Arrow holds it: it stays text",
        "duckdb pandas polars pyarrow",
    ),
    "numbers that no float64 holds": Document(
        b"a\n1e400\n1\n", CSV, [{"a": "1e400"}, {"a": "1"}],
        "infinity is another number",
        "duckdb pandas polars pyarrow",
    ),
    "words for nothing": Document(
        b"a,b\nNULL,NA\n,None\n", CSV, [{"a": "NULL", "b": "NA"}, {"a": None, "b": "None"}],
        "only an empty cell is empty: NA is Namibia, too",
        "pandas pyarrow",
    ),
    "an empty cell of text": Document(
        b"a,b\n1,\n,x\n", CSV, [{"a": 1, "b": None}, {"a": None, "b": "x"}],
        "an empty cell is null in a column of text, too, and an integer beside it stays one",
        "pandas pyarrow",
    ),
    "numbers that are no numbers": Document(
        b"a\nNaN\ninf\n", CSV, [{"a": math.nan}, {"a": math.inf}],
        "NaN is no null",
        "pyarrow",
    ),
    "days and times at the edges": Document(
        b"a,b\n0001-01-01,9999-12-31T23:59:59.999999\n", CSV,
        [{"a": date(1, 1, 1), "b": datetime(9999, 12, 31, 23, 59, 59, 999999)}],
        "what each cell of a column is written like is its type; microseconds hold all of Python's",
        "pandas polars pyarrow",
    ),
    "blanks around a number": Document(
        b"a\n 1\n2 \n", CSV, [{"a": " 1"}, {"a": "2 "}],
        "blanks are part of a cell (RFC 4180, section 2.4)",
        "duckdb pandas pyarrow",
    ),
    "semicolons": Document(
        b"a;b\n1,5;x\n2,5;y\n", CSV, [{"a": "1,5", "b": "x"}, {"a": "2,5", "b": "y"}],
        "every line has as many semicolons",
        "pandas polars pyarrow",
    ),
    "the line of Excel": Document(
        b"sep=,\na,b\n1,2\n", CSV, [{"a": 1, "b": 2}],
        "it says what separates the columns, and is none of them",
        "duckdb pandas polars pyarrow",
    ),
    "a column without a name": Document(
        b",a\n0,x\n1,y\n", CSV, [{"": 0, "a": "x"}, {"": 1, "a": "y"}],
        "it keeps the name that it has: none",
        "duckdb pandas",
    ),
    "a delimiter at the end of each line": Document(
        b"a,\n1,\n2,\n", CSV, [{"a": 1, "": None}, {"a": 2, "": None}],
        "it makes a column without a name, which may hold something in the next result",
        "duckdb pandas",
    ),
    "carriage returns alone": Document(
        b"a,b\r1,2\r", CSV, [{"a": 1, "b": 2}],
        "lines may end so",
        "polars",
    ),
    "quotes": Document(
        b'\xef\xbb\xbfa,b\n"x ""q"", y","1\n2"\n', CSV, [{"a": 'x "q", y', "b": "1\n2"}],
        "as RFC 4180 has it",
    ),
}  # fmt: skip


def _pyarrow(path: Path, format_: Format) -> list[Any]:
    read = pyarrow.csv.read_csv if format_ is CSV else pyarrow.json.read_json
    return list(read(path).to_pylist())


def _polars(path: Path, format_: Format) -> list[Any]:
    import polars as pl

    read: Any = {CSV: pl.read_csv, JSON: pl.read_json, NDJSON: pl.read_ndjson}[format_]
    return list(read(path).to_dicts())


def _pandas(path: Path, format_: Format) -> list[Any]:
    import pandas as pd

    if format_ is CSV:
        return list(pd.read_csv(path).to_dict("records"))
    return list(pd.read_json(path, lines=format_ is NDJSON).to_dict("records"))


def _duckdb(path: Path, format_: Format) -> list[Any]:
    import duckdb

    read = "read_csv" if format_ is CSV else "read_json"
    return list(duckdb.sql(f"from {read}('{path}')").to_arrow_table().to_pylist())


READERS = {"pyarrow": _pyarrow, "polars": _polars, "pandas": _pandas, "duckdb": _duckdb}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_that_is_read_differently(tmp_path: Path, name: str) -> None:
    """A table has the values of the document. Other values of other libraries have a reason."""
    body, format_, rows, why, others = DOCUMENTS[name]
    assert detect_format(None, f"x.{format_.value}", body, lambda: io.BytesIO(body)) is format_
    with table(body, format_=format_) as made:
        assert repr(made.to_arrow().to_pylist()) == repr(rows)
    path = tmp_path / f"document.{format_.value}"
    path.write_bytes(body)
    for library, read in READERS.items():
        if library in others or not find_spec(library) or (library, format_) == ("pyarrow", JSON):
            continue
        assert repr(read(path, format_)) == repr(rows), f"{library} reads it otherwise, and {why}"
