"""The errors of results: complete, bounded, and without values."""

from __future__ import annotations

import json
import pickle
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import pytest
from pydantic import AfterValidator, AnyUrl, Base64Bytes, BaseModel, Field, Json, SecretStr
from pydantic_core import PydanticKnownError
from pydantic_core.core_schema import ErrorType

from dcipher._masking import validation
from dcipher._results.parsing.row_errors import InvalidRow, ResultSyntaxError, ResultTypeError
from dcipher._results.rows.documents import parse_document
from dcipher._results.rows.reading import Format
from tests.results.rows.reading import Topic, read


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
    """Both errors are the same in another process."""
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
    """A row with thousands of invalid values has a hundred reasons."""
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
        "hunter2ß",
    ],
    ids=str,
)
def test_values_in_messages_of_validators_are_redacted(value: Any) -> None:
    """Values that a validator of the user quotes, in the notation of Python or JSON, are redacted."""
    (row,) = read(json.dumps([value]).encode(), Annotated[Any, AfterValidator(echo)])
    (detail,) = row.errors
    assert detail["msg"].startswith("Value error, ")
    for leaf in ("hunter2", "31337", "q7", "x9", "nter2", "er2", "HUNTER"):
        assert leaf not in detail["msg"]


def wide(row: Any) -> Any:
    raise ValueError("none of 12 words: " + " ".join(row.values()).title())


def test_a_validator_that_quotes_a_wide_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """All cells of a row are redacted, the other words are not, and no pattern is compiled for it."""
    row = {f"c{n}": f"hunter{n}" for n in range(150)} | {"short": "o", "number": "12"}
    type_ = Annotated[Any, AfterValidator(wide)]
    _ = read(b"[{}]", type_)
    with monkeypatch.context() as patch:
        patch.setattr("re._compile", None)
        (found,) = read(json.dumps([row]).encode(), type_)
    (detail,) = found.errors
    assert "hunter" not in detail["msg"].lower()
    assert detail["msg"].startswith("Value error, none of … words: … …")


WORDS = ["canary77", "7777.25", "77-77-77", "2077-77-77T77", "canary://7777", "{7777}"]
KINDS = [
    *(int, float, bool, Decimal, date, datetime, time, timedelta, UUID, IPv4Address, AnyUrl),
    *(Literal["a"], Json[int], Base64Bytes, Annotated[str, Field(pattern="^x$")], Colour, Path),
    *(list[int], dict[str, int], set[int], tuple[int, ...], int | float, SecretStr, bytes, None),
    *(Annotated[str, Field(max_length=2)], Annotated[list[str], Field(max_length=0)], type, Topic),
]


@pytest.mark.parametrize("type_", KINDS, ids=str)
@pytest.mark.parametrize("word", WORDS)
def test_no_message_of_pydantic_has_a_value(type_: Any, word: str) -> None:
    """No error of any type repeats its input, in JSON and in CSV."""
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


CANARY = "canary-77"
OWN_TYPES: list[Any] = sorted(get_args(ErrorType))


def context_of(kind: Any) -> dict[str, Any] | None:
    """Returns a context that Pydantic accepts for an error of this type, with canaries as texts."""
    context: dict[str, Any] = {}
    for _ in range(9):
        try:
            template = PydanticKnownError(kind, context or None).message_template
        except TypeError as error:
            name = re.findall(r"'(\w+)'", str(error))[0]
            context[name] = 77777 if name in context else CANARY
        else:
            return context if "{" in template else None
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", OWN_TYPES)
def test_messages_have_only_words_of_the_type(kind: Any) -> None:
    """The message of each error type of Pydantic has only words of the type."""
    context = context_of(kind) or {}
    own = {CANARY: "TYPE", 77777: 5}
    for name in context.keys() & validation._OF_THE_TYPE:
        context[name] = own[context[name]]
    made = PydanticKnownError(kind, context or None)

    def refuse(_: object) -> object:
        raise made

    (row,) = read(json.dumps([[CANARY, "77777"]]).encode(), Annotated[Any, AfterValidator(refuse)])
    (detail,) = row.errors
    assert detail["type"] == kind
    for told in (detail["msg"], str(row.error())):
        assert "canary" not in told
        assert "77" not in told
    assert "{" not in detail["msg"]
    assert len(detail["msg"]) > 4


@pytest.mark.parametrize(
    ("type_", "value", "said"),
    [
        (UUID, "g0000000-0000-0000-0000-000000000000", "Input should be a valid UUID"),
        (Json[int], "~7", "Invalid JSON"),
        (date, "2077-13-45T99", "Input should be a valid date or datetime"),
        (AnyUrl, "~7", "Input should be a valid URL"),
        (Literal["a"], "~7", "Input should be 'a'"),
        (Colour, "~7", "Input should be 'red'"),
        (Annotated[list[int], Field(max_length=1)], [1, 2], "List should have at most 1 item"),
    ],
    ids=str,
)
def test_a_redacted_message_is_useful(type_: Any, value: Any, said: str) -> None:
    """The rest of a message is a useful sentence."""
    (row,) = read(json.dumps([value]).encode(), type_)
    assert row.errors[0]["msg"].startswith(said)
    assert not row.errors[0]["msg"].endswith(("…", ",", ":"))


@pytest.mark.parametrize(
    "parse",
    [
        lambda text: datetime.strptime(text, "%Y"),
        lambda text: int(text[:7]),
        lambda text: {}[text[-3:]],
        lambda text: text.index("~" + text[3:9]),
        lambda text: (_ for _ in ()).throw(ValueError(f"ends with: {text[-6:]}")),
        lambda text: (_ for _ in ()).throw(AssertionError(f"begins with `{text[:6]}`")),
    ],
)
def test_parts_of_values_in_messages_are_redacted(parse: Any) -> None:
    """Parts of a value that the library of a validator quotes are redacted, too."""

    def validate(text: str) -> Any:
        try:
            return parse(text)
        except KeyError as error:
            raise ValueError(str(error)) from None

    (row,) = read(b'["2077canary99"]', Annotated[str, AfterValidator(validate)])
    for part in ("canary", "ary99", "2077"):
        assert part not in row.errors[0]["msg"]
    assert len(row.errors[0]["msg"]) > 13


class Keyed(BaseModel):
    """A model with a mapping, whose keys are data."""

    counts: dict[str, int] = {}
    by_day: dict[date, list[Topic]] = {}
    either: int | dict[str, int] = 0
    nested: dict[str, dict[str, int]] = {}


@pytest.mark.parametrize(
    ("row", "where"),
    [
        ({"counts": {"alice@example.com": "x"}}, "[0].counts.…"),
        ({"by_day": {"alice@example.com": []}}, "[0].by_day.….[key]"),
        ({"by_day": {"2020-01-01": [{"name": 5}]}}, "[0].by_day.…[0].name"),
        ({"either": {"alice@example.com": "x"}}, "[0].either.int"),
        ({"nested": {"alice@example.com": {"bob@example.com": "x"}}}, "[0].nested.….…"),
    ],
)
def test_the_keys_of_a_mapping_are_data(row: dict[str, Any], where: str) -> None:
    """They are in no error, of a row or of a document; the names of fields are."""
    body = json.dumps([row]).encode()
    (invalid,) = read(body, Keyed)
    assert isinstance(invalid, InvalidRow)
    assert invalid.location == where
    with pytest.raises(ResultTypeError) as caught:
        parse_document(body, list[Keyed], Format.JSON)
    assert caught.value.location == where
    for text in (str(caught.value), repr(caught.value.errors), repr(invalid.errors)):
        assert "example" not in text
