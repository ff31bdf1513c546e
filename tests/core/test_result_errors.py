"""The errors of results: they are whole, bounded, and tell no value."""

from __future__ import annotations

import json
import pickle
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AfterValidator, AnyUrl, Base64Bytes, BaseModel, Field, Json, SecretStr

from dcipher._core.result_errors import InvalidRow, ResultSyntaxError, ResultTypeError
from dcipher._core.rows import Format
from tests.core.reading import Topic, read


class Cat(BaseModel):
    kind: Literal["cat"]


class Colour(Enum):
    RED = "red"


class Dog(BaseModel):
    kind: Literal["dog"]


def quote(value: Any) -> Any:
    raise ValueError(f"cannot take {value}, {value!r}: \x1b[31m{'long ' * 99}")


@pytest.mark.parametrize(
    "type_",
    [
        int,
        list[int],
        Annotated[Any, AfterValidator(quote)],
        list[Annotated[Any, AfterValidator(quote)]],
        Annotated[Cat | Dog, Field(discriminator="kind")],
        Literal["a"],
    ],
)
@pytest.mark.parametrize("text", ['["hunter2"]', '[["hunter2"]]', '[{"kind": "hunter2"}]'])
def test_an_error_does_not_tell_the_document(type_: Any, text: str) -> None:
    """No text of an error has a value of the document, a control character or excessive length."""
    (row,) = read(text.encode(), type_)
    error = row.error()
    for told in (str(error), repr(error), repr(row), str(pickle.dumps(error))):
        assert "hunter2" not in told
        assert "\x1b" not in told
    assert all(len(detail["msg"]) <= 200 for detail in row.errors)


def test_errors_survive_pickling() -> None:
    """Both errors come back whole from another process."""
    (row,) = read(b'[{"name": "a"}]', Topic)
    for error in (row.error(), ResultSyntaxError("[3]", "is cut")):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert (type(again), str(again)) == (type(error), str(error))
        assert (again.location, again.message, again.errors) == (
            error.location,
            error.message,
            error.errors,
        )
    assert isinstance(row.error(), ResultTypeError)


def test_errors_of_one_row_are_bounded() -> None:
    """A row with thousands of wrong values keeps a hundred reasons."""
    (row,) = read(json.dumps([["x"] * 5000]).encode(), list[int])
    assert len(row.errors) == 100


def echo(value: Any) -> Any:
    raise ValueError(f"{value} {value!r} {json.dumps(value)} {str(value).upper()}")


@pytest.mark.parametrize(
    "value",
    [
        "hunter2",
        " hunter2 ",
        'hu"nt\\er2',
        "hünter2\n",
        "q7",
        ["hunter2"],
        {"a": {"b": ["hunter2", 31337]}},
        31337,
        -0.31337,
        [[["x9"]], "hunter2"],
    ],
    ids=str,
)
def test_a_validator_that_quotes_is_masked(value: Any) -> None:
    """Whatever a validator of the user's own quotes, as it is, as Python or JSON writes it, is masked."""
    (row,) = read(json.dumps([value]).encode(), Annotated[Any, AfterValidator(echo)])
    (detail,) = row.errors
    assert detail["msg"].startswith("Value error, ")
    for leaf in ("hunter2", "31337", "q7", "x9", "nter2", "er2", "HUNTER"):
        assert leaf not in detail["msg"]


WORDS = ["canary77", "7777.25", "77-77-77", "2077-77-77T77", "canary://7777", "{7777}"]
KINDS = [
    *(int, float, bool, Decimal, date, datetime, time, timedelta, UUID, IPv4Address, AnyUrl),
    *(Literal["a"], Json[int], Base64Bytes, Annotated[str, Field(pattern="^x$")], Colour, Path),
    *(list[int], dict[str, int], set[int], tuple[int, ...], int | float, SecretStr, bytes, None),
    *(Annotated[str, Field(max_length=2)], Annotated[list[str], Field(max_length=0)], type, Topic),
]


@pytest.mark.parametrize("type_", KINDS, ids=str)
@pytest.mark.parametrize("word", WORDS)
def test_no_message_of_pydantic_tells_a_value(type_: Any, word: str) -> None:
    """Of no type does an error repeat what it got, in JSON as in CSV."""
    for body, format_ in (
        (json.dumps([word, [word], {"v": word}]).encode(), Format.JSON),
        (b"v\n%s\n" % word.encode(), Format.CSV),
    ):
        row_type = type_ if format_ is Format.JSON else dict[str, type_]
        for row in read(body, row_type, format_):
            if isinstance(row, InvalidRow):
                told = repr([detail["msg"] for detail in row.errors]) + str(row.error())
                assert word not in told
                assert "77" not in told
