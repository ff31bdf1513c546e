"""`results convert`: the same model reads the same rows back, in every format."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pytest.importorskip("click", reason="the extra `cli` is not installed")

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
)
from typing_extensions import TypedDict

from dcipher._results.local_files import LocalResult
from dcipher._results.parsing.row_errors import InvalidRow
from dcipher.cli import main
from dcipher.cli.results.converting import Target, write_rows
from dcipher.cli.results.row_bytes import cell_text
from dcipher.cli.terminal.errors import CommandError
from tests.results.tables.documents import documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMATS = ["json", "ndjson", "csv", *(["parquet"] if find_spec("pyarrow") else [])]


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Span(BaseModel):
    start: int
    end: int | None = None


class Plain(BaseModel):
    name: str
    count: int
    share: float
    active: bool
    maybe: int | None = None
    day: date | None = None
    at: datetime | None = None
    price: Decimal = Decimal(0)
    level: Level = Level.LOW
    colour: Colour | None = None
    kind: Literal[1, 2, 3] = 1


class Nested(BaseModel):
    tags: list[str]
    spans: list[Span] = []
    span: Span | None = None
    counts: dict[str, int] = {}
    numbers: tuple[int, ...] = ()
    several: list[list[int]] = []


class Aliased(BaseModel):
    model_config = ConfigDict(frozen=True)

    label: str = Field(alias="Label Name")
    score: float = Field(validation_alias=AliasChoices("Score", "points"))
    hidden: int = Field(default=3, exclude=True)


class Binary(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    data: bytes
    parts: list[bytes] = []


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str


class AsTuple(NamedTuple):
    name: str
    count: int | None = None


class AsDict(TypedDict):
    name: str
    count: int | None


@dataclass
class AsData:
    name: str
    tags: list[int]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
small = st.integers(-(2**53), 2**53)
floats = st.floats(allow_nan=False, allow_infinity=False, width=32).filter(lambda n: n == n)
spans = st.builds(Span, start=small, end=st.none() | small)
days = st.dates(date(1900, 1, 1), date(2200, 1, 1))
times = st.datetimes(
    datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(timezone.utc)
)  # fmt: skip
prices = st.decimals(-1000, 1000, places=2)
ROWS: dict[str, st.SearchStrategy[Any]] = {
    "Plain": st.builds(
        Plain,
        name=texts, count=small, share=floats, active=st.booleans(), maybe=st.none() | small,
        day=st.none() | days, at=st.none() | times, price=prices, level=st.sampled_from(Level),
        colour=st.none() | st.sampled_from(Colour), kind=st.sampled_from([1, 2, 3]),
    ),
    "Nested": st.builds(
        Nested,
        tags=st.lists(texts, max_size=3), spans=st.lists(spans, max_size=2), span=st.none() | spans,
        counts=st.dictionaries(texts, small, max_size=2),
        numbers=st.lists(small, max_size=3).map(tuple),
        several=st.lists(st.lists(small, max_size=2), max_size=2),
    ),
    "Aliased": st.builds(
        lambda label, score: Aliased.model_validate({"Label Name": label, "Score": score}),
        texts, floats,
    ),
    "Binary": st.builds(Binary, data=st.binary(max_size=5), parts=st.lists(st.binary(max_size=4))),
    "AsTuple": st.builds(AsTuple, texts, st.none() | small),
    "AsDict": st.fixed_dictionaries({"name": texts, "count": st.none() | small}),
    "AsData": st.builds(AsData, texts, st.lists(small, max_size=3)),
    "int": small,
    "pair": st.tuples(small, texts),
}  # fmt: skip
pair = tuple[int, str]


def source_of(rows: list[Any], model: str) -> bytes:
    from pydantic import TypeAdapter

    adapter = TypeAdapter(list[getattr(sys.modules[__name__], model, int)])
    plain = adapter.dump_python(rows, mode="json", by_alias=True)
    if model == "Aliased":
        plain = [{"Score" if k == "score" else k: v for k, v in row.items()} for row in plain]
    return json.dumps(plain).encode()


def rows_of(path: Path, model: str) -> list[Any]:
    with path.open("rb") as file:
        return list(LocalResult(file, str(path)).rows(getattr(sys.modules[__name__], model, int)))


def converted(folder: Path, source: Path, format_: str, model: str) -> list[Any] | None:
    """Returns the rows that are read back; None if the conversion was rejected, and nothing was written."""
    target = folder / f"target.{format_}"
    target.unlink(missing_ok=True)
    name = f"{__name__}:{model}" if hasattr(sys.modules[__name__], model) else f"builtins:{model}"
    try:
        write_rows([str(source)], Target.of(str(target), None, overwrite=True), name, None)
    except CommandError as refusal:
        output = str(refusal)
    else:
        return rows_of(target, model)
    assert "would not be read back" in output
    assert not target.exists()
    return None


# Pydantic 2.8 reads no base64 from JSON, whatever the configuration says.
BASE64 = pytest.mark.skipif(
    "val_json_bytes" not in ConfigDict.__annotations__, reason="Pydantic is older than 2.9"
)
MODELS = [pytest.param(name, marks=BASE64 if name == "Binary" else ()) for name in ROWS]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("format_", FORMATS)
def test_rows_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, model: str, format_: str
) -> None:
    """Any rows are read back unchanged, or CSV rejects them and nothing is written."""
    folder = tmp_path_factory.mktemp("converted")

    @settings(max_examples=12, deadline=None)
    @given(st.lists(ROWS[model], max_size=4))
    def check(rows: list[Any]) -> None:
        source = folder / "source.json"
        source.write_bytes(source_of(rows, model))
        assert rows_of(source, model) == rows
        again = converted(folder, source, format_, model)
        if again is None:
            assert format_ == "csv"
        else:
            assert again == rows
            assert [type(row) for row in again] == [type(row) for row in rows]

    check()


MANY = pytest.param(2000, marks=[pytest.mark.long, pytest.mark.thorough])


def check_conversions(folder: Path, type_: Any, values: list[Any]) -> None:
    """Checks that the rows of a type are read back unchanged from each format. CSV may reject them."""
    vars(sys.modules[__name__])["Document"] = type_
    source = folder / "source.ndjson"
    source.write_text("\n".join(map(json.dumps, values)))
    expected = rows_of(source, "Document")
    for format_ in FORMATS:
        again = converted(folder, source, format_, "Document")
        assert again == expected or (again is None and format_ == "csv")


def check_plain_conversions(folder: Path, rows: list[Any]) -> None:
    """Checks that without a model, JSON is unchanged, and CSV has the text of every cell."""
    source = folder / "source.json"
    source.write_text(json.dumps(rows))
    for format_ in ("json", "ndjson", "csv"):
        target = folder / f"target.{format_}"
        try:
            write_rows([str(source)], Target.of(str(target), None, overwrite=True), None, None)
        except CommandError:
            assert format_ == "csv"
            continue
        with target.open("rb") as file:
            found: list[Any] = list(LocalResult(file, str(target)).rows(cast("Any", Any)))
        if format_ != "csv":
            assert found == rows
            continue
        assert len(found) == len(rows)
        for row, cells in zip(rows, found, strict=True):
            assert cells == {name: cell_text(row.get(name)) for name in rows[0]}


cells_of_json = st.none() | st.booleans() | small | st.floats(-9, 9) | texts | st.lists(small)
rows_of_json = st.lists(st.dictionaries(st.sampled_from("abc"), cells_of_json), max_size=3)


@pytest.mark.parametrize("examples", [15, MANY])
def test_rows_of_any_model_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, examples: int
) -> None:
    """This holds for any model and any rows."""
    folder = tmp_path_factory.mktemp("converted")

    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(documents())
    def check(document: tuple[Any, list[Any]]) -> None:
        check_conversions(folder, *document)

    check()


@pytest.mark.parametrize("examples", [15, MANY])
def test_rows_without_a_model_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, examples: int
) -> None:
    """No row is lost and no value changes. CSV rejects values that it cannot represent."""
    folder = tmp_path_factory.mktemp("converted")

    @settings(max_examples=examples, deadline=None)
    @given(rows_of_json)
    @example([{}])
    def check(rows: list[Any]) -> None:
        check_plain_conversions(folder, rows)

    check()


@pytest.mark.parametrize("target", [name for name in FORMATS if name in {"csv", "parquet"}])
def test_rows_without_columns(
    folder: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A format rejects rows that it cannot represent, and nothing is written."""
    (folder / "r.json").write_text("[{}, {}]")
    assert main(["results", "convert", "r.json", f"o.{target}"]) == 1
    assert "Row 0 has no columns" in capsys.readouterr().err
    assert not (folder / f"o.{target}").exists()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("target", FORMATS)
def test_a_header_without_rows(folder: Path, target: str) -> None:
    """A CSV without rows becomes columns without rows, if the format has columns."""
    (folder / "r.csv").write_bytes(b"sep=;\na;b;a b\n")
    assert main(["results", "convert", "r.csv", f"o.{target}"]) == 0
    written = (folder / f"o.{target}").read_bytes()
    if target == "csv":
        assert written == b"a,b,a b\r\n"
    elif target == "parquet":
        import pyarrow.parquet as pq

        assert pq.read_schema(io.BytesIO(written)).names == ["a", "b", "a b"]
    else:
        assert written == {"json": b"[]\n", "ndjson": b""}[target]


def test_excluded_fields_are_not_written(folder: Path) -> None:
    """A field with exclude=True is not a column or a part of a row. Its default is read back."""
    (folder / "r.json").write_text('[{"Label Name": "a", "Score": 1, "hidden": 7}]')
    for target in FORMATS:
        command = ["results", "convert", "r.json", f"o.{target}", "--model", f"{__name__}:Aliased"]
        assert main(command) == 0
        assert b"hidden" not in (folder / f"o.{target}").read_bytes()
        (row,) = rows_of(folder / f"o.{target}", "Aliased")
        assert (row.label, row.score, row.hidden) == ("a", 1.0, 3)


def test_extra_columns_of_every_row(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With extra='allow', CSV has the columns of all rows, and rejects ambiguous ones."""
    model = ["--model", f"{__name__}:Open"]
    (folder / "r.ndjson").write_text(
        '{"name": "a", "x": "1", "y": "2"}\n{"name": "b", "x": "", "y": "z"}\n'
    )
    assert main(["results", "convert", "r.ndjson", "o.csv", *model]) == 0
    assert (folder / "o.csv").read_bytes() == b"name,x,y\r\na,1,2\r\nb,,z\r\n"
    for second in ('{"name": "b"}', '{"name": "b", "x": 1, "y": ""}'):
        (folder / "r.ndjson").write_text('{"name": "a", "x": "1", "y": "2"}\n' + second)
        assert main(["results", "convert", "r.ndjson", "o.csv", "--overwrite", *model]) == 5
        assert "row 1, x would not be read back from CSV" in capsys.readouterr().err
        assert (folder / "o.csv").read_bytes().startswith(b"name,x,y\r\na,1,2\r\nb")
        assert main(["results", "convert", "r.ndjson", "-", "--to", "csv", *model]) == 5
        assert capsys.readouterr().out == ""


class Default(BaseModel):
    x: int = cast("int", None)


class Other(BaseModel):
    y: int = 1


class Unlike(BaseModel):
    either: Default | Other | None = None
    at: datetime | None = None
    deep: int = Field(default=0, validation_alias=AliasPath("a", "b"))


class Extra(Unlike):
    model_config = ConfigDict(extra="allow")


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="the extra `arrow` is not installed")
@pytest.mark.parametrize(
    ("model", "row", "place"),
    [
        ("Unlike", '{"either": {}}', "either"),
        ("Unlike", '{"at": "2020-01-01T00:00:00"}', "at"),
        ("Unlike", '{"a": {"b": 1}}', "deep"),
        ("Extra", '{"z": [1]}', "z"),
    ],
    ids=["another choice", "a time without a zone", "a path", "an extra column"],
)
def test_rows_that_change_in_parquet_are_rejected(
    folder: Path, capsys: pytest.CaptureFixture[str], model: str, row: str, place: str
) -> None:
    """As for the other formats, the error names row and field, and leaves no file."""
    (folder / "r.ndjson").write_text("{}\n" + row)
    command = ["results", "convert", "r.ndjson", "o.parquet", "--model", f"{__name__}:{model}"]
    assert main(command) == 5
    output = capsys.readouterr().err
    assert f"row 1, {place} would not be read back from Parquet unchanged" in output
    assert "convert to NDJSON" in output
    assert not (folder / "o.parquet").exists()


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="the extra `arrow` is not installed")
def test_parquet_with_nan_is_read_back(folder: Path) -> None:
    """NaN equals NaN, and a wide result has few row groups."""
    import pyarrow.parquet as pq

    rows = "".join(f"nan,{n}\n" for n in range(70_000))
    (folder / "r.csv").write_text("score,n\n" + rows)
    command = ["results", "convert", "r.csv", "o.parquet", "--model", f"{__name__}:Scored"]
    assert main(command) == 0
    metadata = pq.read_metadata(folder / "o.parquet")
    assert (metadata.num_rows, metadata.num_row_groups) == (70_000, 2)


class Scored(BaseModel):
    score: float
    n: int


class Lossy(BaseModel):
    text: str | None = "x"
    doubled: Annotated[int, AfterValidator(lambda n: n * 2)] = 0
    secret: SecretStr = SecretStr("")
    data: bytes = b""


@pytest.mark.parametrize(
    ("row", "target", "place"),
    [
        ('{"text": null}', "o.csv", "row 0, text"),
        ('{"secret": "hunter2"}', "o.csv", "row 0, secret"),
        ('{"secret": "hunter2"}', "o.json", "row 0, secret"),
        ('{"doubled": 1}', "o.ndjson", "row 0, doubled"),
    ],
)
def test_rows_that_change_are_rejected(
    folder: Path, capsys: pytest.CaptureFixture[str], row: str, target: str, place: str
) -> None:
    """The error names row and field, shows no value, and leaves no file."""
    (folder / "r.ndjson").write_text(row)
    command = ["results", "convert", "r.ndjson", target, "--model", f"{__name__}:Lossy"]
    assert main(command) == 5
    output = capsys.readouterr().err
    assert f"Nothing was converted: {place} would not be read back" in output
    assert "hunter2" not in output
    assert not (folder / target).exists()


class Semicolon(BaseModel):
    text: str = Field(alias="a;b")


def test_an_ambiguous_file_is_rejected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The complete file is read back: one whose delimiter would be misdetected is rejected."""
    (folder / "r.json").write_text('[{"a;b": "1;2"}]')
    command = ["results", "convert", "r.json", "o.csv", "--model", f"{__name__}:Semicolon"]
    assert main(command) == 5
    assert "would not be read back from CSV unchanged" in capsys.readouterr().err
    assert not (folder / "o.csv").exists()


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="the extra `arrow` is not installed")
def test_bytes_that_are_not_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without base64 in the model, they are rejected. Without a model, they are base64 of RFC 4648."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"data": [b"\xff\xfe\xfb"]}), folder / "r.parquet")
    command = ["results", "convert", "r.parquet", "o.json"]
    assert main([*command, "--model", f"{__name__}:Lossy"]) == 5
    assert "ser_json_bytes='base64'" in capsys.readouterr().err
    assert main(command) == 0
    assert json.loads((folder / "o.json").read_bytes()) == [{"data": "//77"}]
    assert not any(isinstance(row, InvalidRow) for row in rows_of(folder / "o.json", "Binary"))
