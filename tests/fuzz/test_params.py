"""Any params are rejected with their path, or sent as the same JSON in each attempt."""

from __future__ import annotations

import collections
import json
from datetime import date, datetime, time
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from dcipher import InvalidParamsError
from dcipher._wire.messages.operations import start_run
from tests.faulty import NOTHING, RESET, Reply, json_reply
from tests.fuzz.exploring import assert_told_well, efforts, explore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import Connect
    from tests.faulty import FaultyServer


class Colour(Enum):
    RED = "red"
    NONE = None
    LIST = (1, "two")


class Size(IntEnum):
    SMALL = 1


class Words(str):
    """Text with a misleading representation."""

    __slots__ = ()

    def __str__(self) -> str:
        return "another"

    def __repr__(self) -> str:
        return "another"


class Ten(int):
    def __repr__(self) -> str:
        return "ten"


class Row(BaseModel):
    n: Any = None


carried = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10)
    | st.text(max_size=5).map(Words)
    | st.integers(-9, 9).map(Ten)
    | st.sampled_from([*Colour, *Size])
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.uuids()
)
refused = st.sampled_from(
    [
        *(float("nan"), float("inf"), float("-inf"), {1, 2}, frozenset(), b"x", bytearray(b"y")),
        *(memoryview(b"z"), 1j, object(), len, Row, ..., range(2), NotImplemented, "\ud800"),
    ]
) | st.integers(4300, 5000).map(lambda digits: 10**digits)  # hypothesis cannot write it either
names = st.text(max_size=6) | st.just("a b\x1b[31m") | st.text(max_size=3).map(Words)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    mappings = st.dictionaries(names, inner, max_size=3)
    rows = st.lists(inner, max_size=3)
    return (
        mappings
        | mappings.map(collections.OrderedDict)
        | mappings.map(collections.UserDict)
        | mappings.map(lambda found: collections.ChainMap(found, {}))
        | rows
        | rows.map(tuple)
    )


good = st.dictionaries(names, st.recursive(carried, containers, max_leaves=12), max_size=4)
mixed = st.dictionaries(
    names | st.integers() | st.none() | st.just(b"k") | st.sampled_from(Colour),
    st.recursive(carried | refused, containers, max_leaves=12),
    max_size=4,
)


def as_json(value: Any) -> Any:
    """Returns the JSON of a value, without the package."""
    if isinstance(value, Enum):
        return as_json(value.value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return (
            value.hex[:8]
            + "-"
            + "-".join(value.hex[i : i + 4] for i in (8, 12, 16))
            + "-"
            + (value.hex[20:])
        )
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if hasattr(value, "items"):
        return {str.__str__(name): as_json(item) for name, item in value.items()}
    if isinstance(value, str):
        return str.__str__(value)
    return int(value) if isinstance(value, Ten) else value


def told(params: Any) -> bytes | None:
    """Returns the body of the start, or `None` if it is rejected properly."""
    try:
        return start_run("f", params, "key").content
    except InvalidParamsError as error:
        assert_told_well(error)
        refusal = str(error)
    assert "params" in refusal
    return None


@efforts
def test_json_values_are_sent(effort: int) -> None:
    """Text, numbers, dates, enums, mappings and rows of any class are equal after parsing."""

    @example({"a": {"b": [1.5e300, -0.0, 10**4000]}})
    @given(good)
    def check(params: dict[str, Any]) -> None:
        content = told(params)
        assert content is not None
        assert json.loads(content) == {"pipelineParams": as_json(params)}

    explore(check, 100 * effort)


@efforts
def test_other_values_are_rejected_or_sent_completely(effort: int) -> None:
    """Nothing is lost: accepted values have all their names and items."""

    @example({Colour.RED: 1, "red": 2})
    @given(mixed)
    def check(params: dict[Any, Any]) -> None:
        content = told(params)
        if content is not None:
            sent = json.loads(content, parse_constant=lambda word: AssertionError(word))
            assert len(sent["pipelineParams"]) == len(params)
            assert _leaves(sent["pipelineParams"]) == _leaves(params)

    explore(check, 150 * effort)


def _leaves(value: Any) -> int:
    value = value.value if isinstance(value, Enum) else value
    if hasattr(value, "items"):
        return sum(1 + _leaves(item) for _, item in value.items())
    return sum(1 + _leaves(item) for item in value) if isinstance(value, (list, tuple)) else 0


@efforts
def test_any_object_is_rejected_or_sent(effort: int) -> None:
    """Any params, a model or another object, are bytes, or `InvalidParamsError`."""
    nested: Any = {}
    for _ in range(5000):
        nested = {"a": [nested]}
    cycle: dict[str, Any] = {}
    cycle["a"] = [cycle]
    # No examples of hypothesis's, which writes each of them down.
    assert [told(params) for params in (nested, cycle, {"x" * 100_000: {1}})] == [None] * 3

    @given(
        mixed | carried | refused | st.builds(Row, n=st.recursive(carried | refused, containers))
    )
    def check(params: Any) -> None:
        content = told(params)
        if content is not None:
            assert list(json.loads(content)) == ["pipelineParams"]

    explore(check, 100 * effort)


@efforts
def test_every_attempt_sends_the_same_bytes(
    connect: Connect, server: FaultyServer, effort: int
) -> None:
    """Lost answers and rejections later, the start that arrives is the first one, to the byte."""
    client = connect(server, max_retries=5, api_secret="s")
    failures = st.lists(
        st.sampled_from([RESET, NOTHING, Reply(b"", 503), Reply(b"", 500), Reply(b"<p>", 200)]),
        max_size=3,
    )

    @given(good, failures)
    def check(params: Mapping[str, Any], steps: list[Reply]) -> None:
        server.on("*", *steps, json_reply('{"taskId": "t"}'))
        before = len(server.requests)
        client.flows.start("f", params)
        attempts = server.requests[before:]
        assert len(attempts) == len(steps) + 1
        assert len({(a.body, a.headers["idempotency-key"]) for a in attempts}) == 1
        assert len({a.headers["content-digest"] for a in attempts}) == 1
        assert json.loads(attempts[0].body) == {"pipelineParams": as_json(params)}

    explore(check, 15 * effort)
