"""Secrets among the params of a flow."""

from __future__ import annotations

import json
from collections import deque
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, Field, Secret, SecretBytes, SecretStr, field_serializer
from pydantic_core import PydanticSerializationError

from dcipher._wire.messages.operations import Operation, start_run
from dcipher.errors import InvalidParamsError
from dcipher.models import SecretURL

HIDDEN = SecretStr("hunter2-secret")


class Inner(BaseModel):
    word: SecretStr = Field(default=HIDDEN, alias="passWord")
    raw: SecretBytes = SecretBytes("bytes-ä".encode())
    empty: SecretStr = SecretStr("")
    day: Secret[date] = Secret(date(2024, 1, 2))


class Model(BaseModel):
    one: Inner = Inner()
    several: list[Inner] = [Inner()]
    pair: tuple[SecretStr, int] = (HIDDEN, 1)
    queue: deque[SecretStr] = deque([HIDDEN])
    group: set[SecretStr] = {HIDDEN}
    by_day: dict[date, SecretStr] = {date(2024, 1, 2): HIDDEN}
    none: SecretStr | None = None
    url: SecretURL = SecretURL("https://s/r?sig=SIGNATURE")


class Loose(BaseModel):
    anything: Any = Field(default={"a": [HIDDEN]})


class Written(BaseModel):
    word: SecretStr = HIDDEN

    @field_serializer("word", when_used="json")
    def _write(self, _: SecretStr) -> str:
        return "as I say"


INNER = {"passWord": "hunter2-secret", "raw": "bytes-ä", "empty": "", "day": "2024-01-02"}


def sent(operation: Operation) -> Any:
    assert operation.content is not None
    return json.loads(operation.content)["pipelineParams"]


def test_the_secrets_of_a_model_are_sent_as_what_they_hold() -> None:
    """Wherever they stand in a model: the mask is not what the caller meant."""
    operation = start_run("f", Model(), "k")
    assert sent(operation) == {
        "one": INNER,
        "several": [INNER],
        "pair": ["hunter2-secret", 1],
        "queue": ["hunter2-secret"],
        "group": ["hunter2-secret"],
        "by_day": {"2024-01-02": "hunter2-secret"},
        "none": None,
        "url": "https://s/r?sig=SIGNATURE",
    }
    assert {"hunter2-secret", "bytes-ä", "2024-01-02"} <= {*operation.secrets}
    assert "hunter2" not in repr(operation)


def test_a_secret_in_a_field_of_any_type() -> None:
    """It is sent as what it holds, or, where this Pydantic cannot write it, refused without being told."""
    try:
        Loose().model_dump_json()
    except PydanticSerializationError:
        with pytest.raises(InvalidParamsError, match="SecretStr") as caught:
            start_run("f", Loose(), "k")
        assert "hunter2" not in str(caught.value)
    else:
        assert sent(start_run("f", Loose(), "k")) == {"anything": {"a": ["hunter2-secret"]}}


def test_secrets_in_a_mapping_are_sent_as_what_they_hold() -> None:
    """A plain dict and what is in it, as a model; other values are no secrets."""
    operation = start_run("f", {"a": HIDDEN, "b": [{"c": HIDDEN}], "m": Inner(), "d": "x"}, "k")
    assert sent(operation) == {
        "a": "hunter2-secret",
        "b": [{"c": "hunter2-secret"}],
        "m": INNER,
        "d": "x",
    }
    assert "x" not in operation.secrets


def test_a_secret_structure_is_masked_value_by_value() -> None:
    """Each text and number of a secret mapping is one."""
    operation = start_run("f", {"a": Secret({"b": ["word", 12345, None, True]})}, "k")
    assert sent(operation) == {"a": {"b": ["word", 12345, None, True]}}
    assert operation.secrets == ("word", "12345")


def test_what_a_serializer_of_the_models_own_writes_is_sent() -> None:
    """Whoever says how a secret is written for JSON is obeyed."""
    assert sent(start_run("f", Written(), "k")) == {"word": "as I say"}


class Keys(BaseModel):
    words: dict[SecretStr, int] = {HIDDEN: 1}


class Other(BaseModel):
    words: list[SecretStr] = [HIDDEN]

    @field_serializer("words", when_used="json")
    def _write(self, words: list[SecretStr]) -> list[str]:
        return [*map(str, words), "more"]


@pytest.mark.parametrize("params", [Keys(), Other(), {HIDDEN: 1}, {"a": SecretBytes(b"\xff")}])
def test_a_secret_that_cannot_be_sent(params: Any) -> None:
    """What would be sent as a mask is refused, and the secret is not in the words."""
    with pytest.raises(InvalidParamsError) as caught:
        start_run("f", params, "k")
    assert "hunter2" not in str(caught.value)
