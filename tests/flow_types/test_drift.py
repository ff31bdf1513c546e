"""The differences between a class and its flow."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from dcipher import Flow, FlowCall, FlowDrift, InvalidParamsError
from dcipher._flow_types.drift import drift_of
from tests.faulty import FaultyServer, json_reply

if TYPE_CHECKING:
    from tests.conftest import Connect


class Colour(Enum):
    RED = "red"


class Nested(BaseModel):
    x: int


class Topics(FlowCall[Any], flow="f"):
    text: str
    top: int = Field(default=5, alias="topN")
    lang: Optional[str] = None  # noqa: UP045 - as some write it


def drift(*params: dict[str, Any], call: type[FlowCall[Any]] = Topics) -> FlowDrift:
    return drift_of(call, Flow.model_validate({"id": "f", "params": params}))


TEXT = {"name": "text", "type": "string", "required": True}
TOP = {"name": "topN", "type": "integer", "default": 5}
LANG = {"name": "lang", "type": "string"}


def test_no_difference_is_false() -> None:
    """A class that fits its flow has no drift, nor has one whose flow declares nothing."""
    assert not drift(TEXT, TOP, LANG)
    assert not drift()
    assert drift(TEXT, TOP, LANG) == FlowDrift("f")


@pytest.mark.parametrize(
    ("params", "breaking", "compatible"),
    [
        ((TEXT, TOP), ["lang: the flow has no such param"], []),
        ((TEXT, TOP, {**LANG, "required": True}), ["lang: required now"], []),
        ((TEXT, {**TOP, "type": "text"}, LANG), ["topN: string now, and integer in the class"], []),
        ((TEXT, {**TOP, "type": "number"}, LANG), [], []),
        ((TEXT, {**TOP, "type": "matrix"}, LANG), [], []),
        ((TEXT, {**TOP, "default": 6}, LANG), [], ["topN: another default"]),
        (({**TEXT, "required": False}, TOP, LANG), [], ["text: optional now"]),
        ((TEXT, TOP, LANG, {"name": "new"}), [], ["new: a new optional param"]),
        (
            (TEXT, TOP, LANG, {"name": "new", "required": True}),
            ["new: a new required param"],
            [],
        ),
        (
            (TEXT, TOP, LANG, {"name": "n", "required": True, "default": 1}),
            [],
            ["n: a new optional param"],
        ),
        ((TEXT, TOP, LANG, {"name": "a\x1b[31m"}), [], ["a [31m: a new optional param"]),
    ],
)
def test_differences(params: Any, breaking: list[str], compatible: list[str]) -> None:
    """A difference that makes a start fail is breaking; with a compatible one, it still works."""
    found = drift(*params)
    assert (list(found.breaking), list(found.compatible)) == (breaking, compatible)
    assert bool(found) is bool(breaking or compatible)
    assert str(found).splitlines() == [
        *(f"breaking: {text}" for text in breaking),
        *(f"compatible: {text}" for text in compatible),
    ]


@pytest.mark.parametrize(
    ("annotation", "word", "fits"),
    [
        (int, "integer", True),
        (int, "number", True),
        (float, "integer", False),
        (Any, "integer", True),
        (int | None, "int", True),
        (int | str, "string", True),
        (int | str, "array", False),
        (Literal["a", "b"], "text", True),
        (Colour, "string", True),
        (Nested, "object", True),
        (Nested, "string", False),
        (list[Nested], "list", True),
        (dict[str, int], "array", False),
        (datetime, "string", True),
        (bool, "int", False),
    ],
)
def test_types(annotation: Any, word: str, *, fits: bool) -> None:
    """A type has changed if no value of the class has the type of the flow."""
    call = type(
        "One",
        (FlowCall[Any],),
        {"__annotations__": {"x": annotation}, "__module__": __name__},
        flow="f",
    )
    found = drift({"name": "x", "type": word, "required": True}, call=call)
    assert bool(found.breaking) is not fits


def test_a_client_fetches_the_flow(connect: Connect, server: FaultyServer) -> None:
    """`flows.check` compares with the current flow. A class without a flow is rejected."""
    server.on("/flows/f", json_reply('{"id": "f", "params": [{"name": "text", "type": "string"}]}'))
    with connect(server) as client:
        found = client.flows.check(Topics)
        assert found.breaking == (
            "topN: the flow has no such param",
            "lang: the flow has no such param",
        )
        with pytest.raises(InvalidParamsError, match="has no flow"):
            client.flows.check(FlowCall)
    assert len(server.requests) == 1
