"""The identity of a row: keys, canonical params, idempotency keys and file names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from dcipher import FlowCall, InvalidParamsError
from dcipher._batch.inputs.identity import Identity, idempotency_key
from dcipher._batch.inputs.names import stem_of, suffix_of
from dcipher._batch.inputs.rows import rows_of
from dcipher.models import Output, SecretURL


class Query(BaseModel):
    id: int = Field(alias="ID")
    text: str


class Call(FlowCall[Any], flow="f"):
    id: str
    text: str


@dataclass
class Plain:
    id: int
    text: str


def params_of(row: object, *, key: Any = None, params: Any = None) -> Any:
    return json.loads(Identity(key, params).entry(row, 0).params)


@pytest.mark.parametrize(
    "row", [{"id": 7, "text": "a"}, Query(ID=7, text="a"), Call(id="7", text="a"), Plain(7, "a")]
)
def test_a_row_of_any_kind(row: object) -> None:
    """Of a mapping, a model, a call and a dataclass, the key's column names the row, the rest is sent."""
    entry = Identity("id", None).entry(row, 3)
    assert (entry.key, json.loads(entry.params), entry.position) == ("7", {"text": "a"}, 3)


def test_columns_and_functions() -> None:
    """`params` and `key` are columns, or functions of the row."""
    row = {"id": 1, "text": "a", "lang": "en"}
    assert params_of(row, params=("text",)) == {"text": "a"}
    assert params_of(row, params=lambda row: {"t": row["text"]}) == {"t": "a"}
    assert Identity(lambda row: f"row-{row['id']}", None).entry(row, 0).key == "row-1"
    assert params_of(object(), params=lambda _: Query(ID=1, text="b")) == {"ID": 1, "text": "b"}


def test_the_order_of_names_is_of_no_importance() -> None:
    """The same params are the same row, in whatever order their names stand."""
    one = Identity(None, None).entry({"a": 1, "b": {"c": 2, "d": 3}}, 0)
    other = Identity(None, None).entry({"b": {"d": 3, "c": 2}, "a": 1}, 1)
    assert (one.key, one.params, one.digest) == (other.key, other.params, other.digest)


@pytest.mark.parametrize("key", [None, "", " a", True, 1.5, "a\nb", "x" * 2000, b"a"])
def test_a_key_that_is_none(key: object) -> None:
    """What does not name a row is refused, with the number of the row."""
    with pytest.raises(InvalidParamsError, match="Row 5 of the input: its key is"):
        Identity("id", None).entry({"id": key}, 5)


def test_keys_of_other_types() -> None:
    """Whole numbers, numpy's too, and UUIDs are keys."""
    numpy = pytest.importorskip("numpy")
    uuid = UUID(int=5)
    for key in (5, numpy.int64(5), uuid):
        assert Identity("id", None).entry({"id": key}, 0).key == str(key)


def test_a_column_that_is_not_there() -> None:
    """A missing column is refused, with the row and the columns that there are."""
    with pytest.raises(InvalidParamsError, match=r"Row 2 .* no column 'idd'; it has id, text"):
        Identity("idd", None).entry({"id": 1, "text": "a"}, 2)


@pytest.mark.parametrize("row", ["text", 5, ["a"], None])
def test_what_is_no_row(row: object) -> None:
    """What has no columns is refused, with what to pass instead."""
    with pytest.raises(InvalidParamsError, match="params=… and key=… as functions"):
        Identity(None, None).entry(row, 0)


def test_params_that_cannot_be_sent() -> None:
    """Params that JSON cannot carry are refused with their row and path."""
    with pytest.raises(InvalidParamsError, match=r"Row 1 of the input: params\.x is nan"):
        Identity(None, None).entry({"x": float("nan")}, 1)


def test_secrets_are_remembered() -> None:
    """What is secret in the params is known by itself, so that it can be masked."""
    entry = Identity(None, None).entry({"token": SecretStr("canary")}, 0)
    assert entry.secrets == ("canary",)
    assert "canary" not in repr(entry)


@pytest.mark.parametrize(
    "arguments", [{"key": 5}, {"key": ""}, {"params": "text"}, {"params": [1]}]
)
def test_arguments_of_another_kind(arguments: Any) -> None:
    """Keys and params that are neither columns nor functions are refused."""
    with pytest.raises(InvalidParamsError):
        Identity(**{"key": None, "params": None, **arguments})


def test_idempotency_keys() -> None:
    """The same row has the same key, always; another flow, key, params or generation has another."""
    entry = Identity("id", None).entry({"id": 1, "text": "a"}, 0)
    again = Identity("id", None).entry({"text": "a", "id": 1}, 9)
    other = Identity("id", None).entry({"id": 1, "text": "b"}, 0)
    known = idempotency_key("f", entry, 0)
    assert known == idempotency_key("f", again, 0) == "dcipher-" + known[8:]
    different = {
        idempotency_key("g", entry, 0),
        idempotency_key("f", entry, 1),
        idempotency_key("f", other, 0),
        idempotency_key("f", entry, 0, "nonce"),
    }
    assert len(different | {known}) == 5


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=2, unique=True)
)
def test_names_differ(keys: list[str]) -> None:
    """Two keys have two names, each of which every file system takes."""
    stems = [stem_of(key) for key in keys]
    assert len(set(stems)) == len(keys)
    for stem in stems:
        assert stem.isascii()
        assert len(stem) <= 150
        assert not set(stem) & set('/\\:*?"<>|\0')
        assert not stem.startswith(".")
        assert not stem.endswith((".", " "))


@pytest.mark.parametrize(
    ("key", "stem"),
    [
        ("a-1", "a-1"),
        ("../x", "%2E.%2Fx"),
        ("con", "%63on"),
        ("a_0", "a%5F0"),
        ("a_b", "a_b"),
        ("é", "%C3%A9"),
        ("nul.txt", "%6Eul.txt"),
    ],
)
def test_safe_names(key: str, stem: str) -> None:
    """What a name cannot hold, or would mean something else, is escaped."""
    assert stem_of(key) == stem


@pytest.mark.parametrize(
    ("url", "suffix"),
    [
        ("https://s/a/out.json?X=1", ".json"),
        ("https://s/rows.csv.gz?X=.json", ".csv.gz"),
        ("https://s/results/0", ""),
        ("https://s/v1.2/rows", ""),
        ("https://s/a.b-c/x.averylongsuffix", ""),
    ],
)
def test_suffixes(url: str, suffix: str) -> None:
    """The suffix is that of the name in the URL, where it has one."""
    assert suffix_of(Output(url=SecretURL(url))) == suffix


def test_a_suffix_without_a_url() -> None:
    """Without a URL there is none."""
    assert suffix_of(Output()) == ""


def test_rows_with_a_byte_order_mark() -> None:
    """A CSV file of Excel, read without regard to its byte order mark, is told by the first column."""
    row = {"\ufeffid": "1", "text": "a"}
    with pytest.raises(InvalidParamsError, match="utf-8-sig"):
        Identity("id", None).entry(row, 0)


def test_functions_that_fail() -> None:
    """What a function of the row raises says which row it was."""
    for identity in (Identity(lambda row: row["no"], None), Identity(None, lambda row: row["no"])):
        with pytest.raises(KeyError) as caught:
            identity.entry({}, 7)
        assert caught.value.__notes__ == ["Row 7 of the input."]


def test_columns_of_the_same_name() -> None:
    """A table whose columns have the same name is refused, of whatever library."""
    pyarrow = pytest.importorskip("pyarrow")
    column = pyarrow.array([1])
    table = pyarrow.Table.from_arrays([column, column], names=["a", "a"])
    with pytest.raises(InvalidParamsError, match="columns of different names"):
        rows_of(table)
