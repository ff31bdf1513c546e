"""The errors of results: they are whole, bounded, and tell no value."""

from __future__ import annotations

import json
import pickle
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field

from dcipher._core.result_errors import ResultSyntaxError, ResultTypeError
from tests.core.reading import Topic, read


class Cat(BaseModel):
    kind: Literal["cat"]


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
