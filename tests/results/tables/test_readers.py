"""Tables without a model: pyarrow's readers, ours, other libraries and `records` agree."""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")

from dcipher import ResultParseError  # noqa: E402 - after the skip
from dcipher._results.parsing.json.blocks import DoubtError  # noqa: E402
from dcipher._results.rows.reading import Format, iter_rows  # noqa: E402
from dcipher._results.tables import reading as _tables  # noqa: E402
from dcipher._results.tables.json_reader import StructBlocks  # noqa: E402
from tests.results.tables.results import table  # noqa: E402


def by_rows(body: bytes, format_: Format) -> Any:
    """Returns the table that is read row by row, or the reason why there is none."""
    with table(body, format_=format_) as made:
        try:
            return _tables.inferred_rows(made._parts).table()
        except ResultParseError as error:
            return error.location, error.message


def by_blocks(body: bytes, format_: Format) -> Any:
    """Returns the table of pyarrow's readers; None if they are in doubt."""
    with table(body, format_=format_) as made:
        try:
            return _tables._Blocks(made._parts).table()
        except DoubtError:
            return None
        except ResultParseError as error:
            return error.location, error.message


def as_read(body: bytes, format_: Format) -> Any:
    with table(body, format_=format_) as made:
        try:
            whole = made.to_arrow()
        except ResultParseError as error:
            return error.location, error.message
        assert (made.schema, made.num_rows) == (whole.schema, whole.num_rows)
        return whole


def check(body: bytes, format_: Format, *, is_plain: bool = False) -> Any:
    """Checks that all readers have the same result."""
    expected, quick = by_rows(body, format_), by_blocks(body, format_)
    assert quick is None or same(quick, expected)
    assert quick is not None or not is_plain
    assert same(as_read(body, format_), expected)
    if not isinstance(expected, tuple):
        for size in (1, 3, 65536):
            with table(body, format_=format_) as made:
                batches = list(made.batches(size))
                assert same(pa.Table.from_batches(batches, schema=made.schema), expected)
                assert all(0 < batch.num_rows <= size for batch in batches)
    return expected


def same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) or isinstance(other, tuple):
        return bool(one == other)
    one.validate(full=True)
    return (
        one.schema.equals(other.schema, check_metadata=True)
        and one.to_pylist() == other.to_pylist()
    )


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(
    [
        "2020-01-01",
        "2020-01-01T00:00:00Z",
        '"',
        "\\",
        "\\u0041",
        "}\n{",
        "}, {",
        "NaN",
        "[",
        "1e5",
        "\0",
    ]
)
names = st.sampled_from(["a", "b", "c", "", "é", 'a"b', "a\\b", "}, {"]) | texts
numbers = (
    st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        [2**53, 2**53 + 1, -(2**53), 2**63 - 1, 2**63, 10**30, 0.0, -0.0, 1e300, 5e-324]
    )
)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
rows_of_anything = st.lists(st.dictionaries(names, values, max_size=3), max_size=4)
columns: dict[str, Any] = {
    "i": st.integers(-(2**63), 2**63 - 1),
    "f": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9),
    "s": texts,
    "b": st.booleans(),
    "l": st.lists(st.none() | st.integers(-9, 9), max_size=3),
    "o": st.fixed_dictionaries(
        {}, optional={"x": st.integers(-9, 9), "y": texts, "z": st.just({})}
    ),
    "p": st.lists(st.fixed_dictionaries({"x": st.none() | st.floats(-1, 1)}), max_size=2),
    "n": st.none(),
}
one_row = st.fixed_dictionaries(
    {}, optional={name: st.none() | kind for name, kind in columns.items()}
)
rows_of_one_shape = st.lists(one_row, max_size=8)
spacing = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t"), (" , ", " : ")])


def bodies(rows: list[Any], separators: tuple[str, str], ascii_: bool) -> dict[Format, bytes]:
    flat = tuple(separator.replace("\n", " ") for separator in separators)
    lines = [json.dumps(row, separators=flat, ensure_ascii=ascii_) for row in rows]
    array = json.dumps(rows, separators=separators, ensure_ascii=ascii_)
    return {Format.NDJSON: "\n".join(lines).encode(), Format.JSON: array.encode()}


def check_json(rows: list[Any], separators: tuple[str, str], ascii_: bool) -> None:
    for format_, body in bodies(rows, separators, ascii_).items():
        check(body, format_)


def check_records(rows: list[Any]) -> None:
    """Each value of a row is in its column."""
    for format_, body in bodies(rows, (",", ":"), True).items():
        found = check(body, format_)
        if isinstance(found, tuple):
            continue
        assert list(iter_rows(io.BytesIO(body), Any, format_)) == rows
        for row, made in zip(rows, found.to_pylist(), strict=True):
            assert set(row) <= set(made)
            assert all(holds(made[name], row.get(name)) for name in made)


def holds(made: Any, value: Any) -> bool:
    """Returns whether a value of a table is that of a row. A missing value is null."""
    if value == {}:
        return made == "{}" or not any(made.values())
    if isinstance(value, dict):
        return set(value) <= set(made) and all(holds(made[name], value.get(name)) for name in made)
    if isinstance(value, list):
        return len(made) == len(value) and all(map(holds, made, value))
    return bool(made == value) and (made is None) == (value is None)


@settings(max_examples=40, deadline=None)
@given(rows_of_anything, spacing, st.booleans())
@example([{"a": 2**53 + 1}, {"a": 0.5}], (",", ":"), True)
@example([{"a": 0.5}, {"a": 2**63}], (",", ":"), True)
@example([{"a": "2020-01-01"}, {"a": "x"}], (",", ":"), True)
@example([{"a": [{"a": 1}, {"a": 2}]}] * 3, (", ", ": "), True)
@example([{"a": {str(n): n for n in range(300)}}] * 2, (",", ":"), True)
@example([{"a": {}}, {"a": {"b": 1}}, {"a": None}], (",", ":"), True)
def test_any_rows(rows: list[Any], separators: tuple[str, str], ascii_: bool) -> None:
    """Any rows have the same result as row by row."""
    check_json(rows, separators, ascii_)


@settings(max_examples=40, deadline=None)
@given(rows_of_one_shape)
def test_rows_of_one_shape(rows: list[Any]) -> None:
    """Rows of one shape are a table with the values of `records`."""
    check_records(rows)


@pytest.mark.long
@pytest.mark.thorough
@settings(max_examples=3000, deadline=None)
@given(rows_of_anything, spacing, st.booleans())
def test_very_many_rows(rows: list[Any], separators: tuple[str, str], ascii_: bool) -> None:
    """The same on many more documents."""
    check_json(rows, separators, ascii_)


@pytest.mark.long
@pytest.mark.thorough
@settings(max_examples=3000, deadline=None)
@given(rows_of_one_shape)
def test_very_many_rows_of_one_shape(rows: list[Any]) -> None:
    """This holds for many more documents."""
    check_records(rows)


@pytest.mark.parametrize("format_", [Format.NDJSON, Format.JSON], ids=str)
@pytest.mark.parametrize("size", [40, 5000])
def test_documents_of_many_blocks(
    monkeypatch: pytest.MonkeyPatch, format_: Format, size: int
) -> None:
    """The ends of blocks have no effect, and pyarrow's readers read plain rows."""
    monkeypatch.setattr("dcipher._results.parsing.json.blocks.BLOCK", 0)
    monkeypatch.setattr("dcipher._results.parsing.json.blocks._FIRST", size)
    monkeypatch.setattr("dcipher._results.parsing.text_reader._CHUNK", size)
    rows = [
        {"n": n, "t": f'}}, {{"n": {n}', "l": [{"n": n}, {"n": None}], "o": {"n": n, "x": [[]]}}
        for n in range(100)
    ]
    rows[60]["late"] = 0.5
    for separators in ((",", ":"), (", ", ": ")):
        body = bodies(rows, separators, True)[format_]
        assert check(body, format_, is_plain=True).num_rows == 100


HOSTILE = [
    b'{"a":1}{"a":2}\n\n{"a":\n3}',
    b'{"a":1}{"a":2}',
    b'{"a":1,"a":2}',
    b'{"a":1}\n{"a":NaN}',
    b'{"a":1}\n{"a":-Infinity}',
    b'{"a":1}\n{"a":1e400}',
    b'{"a":0.5}\n{"a":-1e-400}',
    b'{"a":[0.0, {"b": 0.0}]}\n{"a":[1E-999]}',
    b'{"a":[{"b":0.5}]}\n{"a":[{"b":0.' + b"0" * 230 + b"1e-99}]}",
    b'{"a":1}\n{"a":"\\ud800"}',
    b'{"a":1}\n{"a":"\xff"}',
    b'{"a":1}\n{"a":01}',
    b'{"a":1}\n[1]',
    b'{"a":1}\nnull\n{"a":2}',
    b'{"a":1}\n{"a":"x\ty"}',
    b'{"a":1}\r\n\r\n {"a":2} \r\n',
    b'\xef\xbb\xbf{"a":1}',
    b'{"a":1}\n{"a":2',
    b'{"a":[' * 3000,
    b'{"a":' * 3000 + b"1" + b"}" * 3000,
    b'{"a":"[[[","b":"]"}\n{"a":"\\"[","b":"\\\\"}',
    b"",
    b"\n\n",
]


@pytest.mark.parametrize("lines", HOSTILE, ids=lambda body: repr(body)[:30])
def test_unusual_documents(lines: bytes) -> None:
    """Documents that pyarrow's readers misread, or crash on, are read row by row."""
    check(lines, Format.NDJSON)
    check(b"[" + lines.replace(b"\n", b",") + b"]", Format.JSON)
    check(b"[" + lines, Format.JSON)


@pytest.mark.parametrize(
    "body",
    [b"[", b"[]", b" [ ] ", b'[{"a":1}] x', b'[{"a":1}]]', b'[{"a":1},]', b'[{"a":1}],"r":[{"a":2}]',
     b'[{"a":1}]}{"r":[{"a":2}]', b'[{"a":1},null]', b"[null]", b"[1,2]", b'["}, {"]', b'{"a":1}', b"7", b'[[{"a":1}]]',
     b'[{"a":"}, {\\"a"}, {"a":"x"}]'],
    ids=repr,
)  # fmt: skip
def test_unusual_arrays(body: bytes) -> None:
    """Only complete arrays of objects are read in blocks."""
    check(body, Format.JSON)


def test_counts_are_a_map() -> None:
    """An object with more than 256 keys in all is a map; one with values of several kinds is JSON text."""
    counts = [{"id": n, "o": {"counts": {f"w{n}-{k}": k for k in range(9)}}} for n in range(60)]
    body = bodies(counts, (",", ":"), True)[Format.NDJSON]
    whole = check(body, Format.NDJSON)
    assert str(whole.schema.field("o").type) == "struct<counts: map<string, int64>>"
    assert whole["o"][1].as_py() == {"counts": [(f"w1-{k}", k) for k in range(9)]}
    deep = [{"l": [{f"{n}-{k}": [k / 2, {"x": n}][:k]} for k in range(9)]} for n in range(60)]
    mixed = check(bodies(deep, (",", ":"), True)[Format.NDJSON], Format.NDJSON)
    assert str(mixed.schema.field("l").type) == "list<item: string>"
    assert json.loads(mixed["l"][5].as_py()[8]) == deep[5]["l"][8]
    few = [{"o": {f"k{k}": n for k in range(256)}} for n in range(2)]
    assert pa.types.is_struct(
        check(bodies(few, (",", ":"), True)[Format.JSON], Format.JSON).schema.types[0]
    )


PLAIN = ["", "1", "-2", "007", "1.5", "true", "2020-01-01", "x", " ", "NA", "é"]
if sys.version_info >= (3, 11):  # before, Python's csv neither writes nor reads a NUL
    PLAIN.append("\0")
# Before version 20, each of pyarrow's reads of CSV walks all objects of the process.
FEWER = 1 if int(pa.__version__.partition(".")[0]) >= 20 else 10
cells = st.sampled_from([*PLAIN, '"', '""', '"x"', 'a"b', 'x,"y"', ",", "\n", "\r\n", "\r"])


@settings(max_examples=80 // FEWER, deadline=None)
@given(
    st.lists(st.lists(cells, min_size=2, max_size=2), max_size=5),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_any_cells(rows: list[list[str]], end: str, quoted: bool) -> None:
    """Cells are read as by Python's csv module, with any quotes."""
    check_cells(rows, end, quoted)


@pytest.mark.long
@pytest.mark.thorough
@settings(max_examples=3000, deadline=None)
@given(
    st.lists(st.lists(cells, min_size=2, max_size=2), max_size=5),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_very_many_cells(rows: list[list[str]], end: str, quoted: bool) -> None:
    """The same on many more documents."""
    check_cells(rows, end, quoted)


def check_cells(rows: list[list[str]], end: str, quoted: bool) -> None:
    file = io.StringIO()
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    csv.writer(file, lineterminator=end, quoting=quoting).writerows([["a", "b"], *rows])
    check(file.getvalue().encode(), Format.CSV)


@settings(max_examples=150 // FEWER, deadline=None)
@given(st.lists(st.sampled_from(['"', '""', ",", "\n", "\r\n", "\r", "x", " "]), max_size=14))
@example(['"', "x", '"', "x"])
@example(['""', "x"])
@example(["x", '"', "x", '"', ",", "x"])
@example(["x", "\n", '"', "x", "\n", "x", '"', "x", '"'])
def test_any_text_as_csv(pieces: list[str]) -> None:
    """Any CSV file has the same result as record by record."""
    check(("a,b\n" + "".join(pieces)).encode(), Format.CSV)
    check(("a\n" + "".join(pieces)).encode(), Format.CSV)


@pytest.mark.long
@pytest.mark.thorough
@settings(max_examples=5000, deadline=None)
@given(st.lists(st.sampled_from(['"', '""', ",", "\n", "\r\n", "\r", "x", " "]), max_size=20))
def test_very_much_text_as_csv(pieces: list[str]) -> None:
    """The same on many more documents."""
    check(("a,b\n" + "".join(pieces)).encode(), Format.CSV)
    check(("a\n" + "".join(pieces)).encode(), Format.CSV)


def test_maps_of_maps_are_not_read_as_structs() -> None:
    """Many different keys are detected in the first rows: pyarrow's reader would need a minute."""
    rows = [
        {"m": {f"k{n * 5 + i}": {f"k{n * 7 + j}": j for j in range(20)} for i in range(5)}}
        for n in range(2000)
    ]
    body = "\n".join(map(json.dumps, rows)).encode()
    file = io.BytesIO(body)
    with pytest.raises(DoubtError):
        list(StructBlocks().read(file, Format.NDJSON))
    assert file.tell() < len(body) / 2
    with table(body, format_=Format.NDJSON) as made:
        column = made.to_arrow().column("m")
    assert column.type == pa.map_(pa.string(), pa.map_(pa.string(), pa.int64()))
    assert [{k: dict(v) for k, v in pairs} for pairs in column.to_pylist()] == [
        row["m"] for row in rows
    ]
