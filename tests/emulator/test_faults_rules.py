"""Rules: which requests match, how they are counted, and that probabilities are repeatable."""

from __future__ import annotations

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from dcipher.emulator import Emulator
from dcipher.emulator.faults import Cut, Encode, Headers, IgnoreRange, Respond, Statuses
from dcipher.emulator.faults.definition import Definition
from dcipher.emulator.faults.delivery import Span, Wait, schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.emulator.wire import Lab


def codes(ask: Callable[[], Any], count: int) -> list[int]:
    return [ask().status_code for _ in range(count)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [503, 200, 200, 200, 200]),
        ({"times": 3}, [503, 503, 503, 200, 200]),
        ({"nth": 2}, [200, 503, 200, 200, 200]),
        ({"nth": 2, "times": 2}, [200, 503, 503, 200, 200]),
        ({"nth": 4, "times": None}, [200, 200, 200, 503, 503]),
        ({"times": None, "probability": 0.0}, [200, 200, 200, 200, 200]),
    ],
)
def test_nth_and_times_count_matching_requests(
    lab: Lab, arguments: dict[str, Any], expected: list[int]
) -> None:
    """It is applied from the nth request on, so many times. Other operations do not count."""
    task_id, target = lab.run()
    rule = lab.emulator.fault("status", Respond(503), **arguments)
    seen = []
    for _ in expected:
        assert lab.get(target).status_code == 200
        seen.append(lab.status(task_id).status_code)
    assert seen == expected
    assert (rule.hits, rule.matched) == (expected.count(503), 5)


def test_the_first_that_is_due_is_applied_alone(lab: Lab) -> None:
    """One rule a request; each counts every request that it is for."""
    task_id, _ = lab.run()
    emulator = lab.emulator
    one = emulator.fault("status", Respond(501))
    two = emulator.fault("status", Respond(502), nth=2)
    both = emulator.fault(None, Respond(500), times=2)
    assert emulator.faults == (one, two, both)
    assert [rule.id for rule in emulator.faults] == [1, 2, 3]
    assert codes(lambda: lab.status(task_id), 5) == [501, 502, 500, 500, 200]
    assert [rule.matched for rule in emulator.faults] == [5, 5, 5]
    two.remove()
    two.remove()
    assert emulator.faults == (one, both)


def test_a_rule_is_for_a_flow_a_run_or_an_output(lab: Lab) -> None:
    """Other requests get ordinary responses."""
    task_id, target = lab.run()
    other, _ = lab.run(1)
    emulator = lab.emulator
    rules = [
        emulator.fault("status", Respond(501), task_id=task_id),
        emulator.fault("result", Respond(502), output_index=0, flow_id="file"),
        emulator.fault("result", Respond(500), output_index=1),
        emulator.fault("flow", Respond(503), flow_id="other"),
    ]
    assert lab.status(other).status_code == 200
    assert lab.status(task_id).status_code == 501
    assert codes(lambda: lab.get(target), 2) == [502, 200]
    assert lab.web.get(f"{emulator.url}/flows/file", headers=lab.headers).status_code == 200
    assert [rule.consumed for rule in rules] == [True, True, False, False]


def test_each_run_is_counted_separately(lab: Lab) -> None:
    """With per_run, a start is identified by flow and body, a poll and a result by the run."""
    rule = lab.emulator.fault("start", Respond(500), per_run=True)
    assert rule.remaining == 1
    assert [lab.start(n).status_code for n in (1, 2, 1, 2, 1)] == [500, 500, 200, 200, 200]
    assert (rule.hits, rule.remaining, rule.consumed) == (2, 0, True)
    lab.emulator.clear_faults()
    first, second = (lab.run(number) for number in (7, 7))
    rule = lab.emulator.fault("result", Respond(500), per_run=True, nth=2)
    assert codes(lambda: lab.get(first[1]), 3) == [200, 500, 200]
    assert rule.consumed
    assert codes(lambda: lab.get(second[1]), 1) == [200]
    assert not rule.consumed
    assert codes(lambda: lab.get(second[1]), 2) == [500, 200]


def test_an_unlimited_rule(lab: Lab) -> None:
    """It has no remaining number, and is consumed when it was applied once."""
    rule = lab.emulator.fault("start", Respond(500), times=None)
    assert (rule.remaining, rule.consumed) == (None, False)
    assert codes(lab.start, 3) == [500] * 3
    assert (rule.remaining, rule.hits, rule.consumed) == (None, 3, True)


def test_unconsumed_rules_are_named(lab: Lab) -> None:
    """Each rule with its description and its counters; no error if all are consumed."""
    emulator = lab.emulator
    emulator.check_faults()
    used = emulator.fault("start", Respond(500))
    assert lab.start().status_code == 500
    emulator.check_faults()
    emulator.fault("start", Respond(503), times=3)
    assert lab.start().status_code == 503
    with pytest.raises(AssertionError) as one:
        emulator.check_faults()
    assert str(one.value) == (
        "A fault was not consumed:\n  fault 2 on start: Respond(503): applied 1 of 3, "
        "1 requests matched"
    )
    emulator.fault(None, Cut(1000, how="reset"), Statuses("A"), times=None, per_run=True)
    with pytest.raises(AssertionError, match="2 faults were not consumed") as two:
        emulator.check_faults()
    assert "fault 3 on any operation: Cut(1000, how='reset'), Statuses('A')" in str(two.value)
    assert used.words not in str(two.value)
    emulator.clear_faults()
    emulator.check_faults()
    assert emulator.faults == ()


def test_a_reset_removes_the_faults() -> None:
    """Also before the start. The next fault has the number 1."""
    emulator = Emulator()
    emulator.fault("start", Respond(500))
    emulator.reset()
    assert emulator.faults == ()
    assert emulator.fault("start", Respond(500)).id == 1


@pytest.mark.parametrize(
    ("operation", "effects", "arguments", "words"),
    [
        ("begin", [Cut()], {}, "operation: Input should be 'flow', 'start'"),
        ("start", [], {}, "effects"),
        ("start", [IgnoreRange()], {}, "IgnoreRange: not supported for the operation 'start'"),
        (None, [IgnoreRange(), Statuses("A")], {}, "no operation supports all of them"),
        ("start", [Cut()], {"times": 0}, "times"),
        ("start", [Cut()], {"nth": 0}, "nth"),
        ("start", [Cut()], {"probability": 1.5}, "probability"),
        ("start", [Cut()], {"seed": "x"}, "seed"),
        (
            "start",
            [Cut()],
            {"task_id": "t"},
            "task_id matches only the operations 'status' and 'result'",
        ),
        (
            "status",
            [Cut()],
            {"output_index": 0},
            "output_index matches only the operation 'result'",
        ),
        ("result", [Cut()], {"output_index": -1}, "output_index"),
    ],
)
def test_an_invalid_fault_is_rejected_at_once(
    operation: Any, effects: list[Any], arguments: dict[str, Any], words: str
) -> None:
    """The error names the problem when the fault is registered."""
    emulator = Emulator()
    with pytest.raises(ValueError, match=words):
        emulator.fault(operation, *effects, **arguments)
    assert emulator.faults == ()


@pytest.mark.parametrize("effect", [503, Cut, "cut", None])
def test_an_argument_that_is_not_an_effect_is_a_type_error(effect: Any) -> None:
    """The message names the module of the effects."""
    with pytest.raises(TypeError, match=r"dcipher\.emulator\.faults, such as Respond"):
        Emulator().fault("start", effect)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Respond(99),
        lambda: Respond(body={"base64": "?"}),
        lambda: Respond(body={"base64": 1}),
        lambda: Headers({"a b": "c"}),
        lambda: Headers({"a": "b\r\nc: d"}),
        lambda: Headers({"Content-Length": "1"}),
        lambda: Encode("deflate", members=2),
        lambda: Cut(how="explode"),  # type: ignore[arg-type]
    ],
)
def test_an_effect_that_cannot_be_is_a_value_error(make: Callable[[], object]) -> None:
    """It is checked when it is made."""
    with pytest.raises(ValueError, match="validation error"):
        _ = make()


@pytest.mark.parametrize("words", [(), (1,)])
def test_statuses_are_texts(words: Any) -> None:
    """No status, or a number, is a TypeError."""
    with pytest.raises(TypeError, match="one or more statuses"):
        _ = Statuses(*words)


def test_a_rule_is_the_same_as_json() -> None:
    """The JSON of a rule defines the same rule. Bytes are base64, and defaults may be left out."""
    emulator = Emulator()
    effects = [
        Respond(503, headers={"Retry-After": "2"}, body=b"\xff"),
        Statuses("A", "B", message="m"),
        Cut(-3, part="head"),
    ]
    rule = emulator.fault("status", *effects, times=None, probability=0.5, seed=3, flow_id="f")
    said = rule.to_python()
    assert said["effects"][0]["body"] == {"base64": "/w=="}  # type: ignore[index,call-overload]
    for name in ("id", "hits", "matched", "remaining", "consumed"):
        del said[name]
    assert Definition.from_json(json.dumps(said).encode()).effects == rule.effects
    short = b'{"operation": "result", "effects": [{"kind": "cut", "at": 1000, "how": "reset"}]}'
    assert Definition.from_json(short).effects == (Cut(1000, how="reset"),)


def test_reprs_are_short() -> None:
    """Defaults are left out, and a long body is truncated."""
    assert repr(Cut()) == "Cut()"
    assert repr(Respond(503, headers={"A": "b"})) == "Respond(503, headers={'a': 'b'})"
    assert repr(Statuses("A", message="m")) == "Statuses('A', message='m')"
    assert len(repr(Respond(200, body=b"x" * 10_000))) < 200
    rule = Emulator().fault("start", Cut(5))
    assert repr(rule) == "<fault 1 on start: Cut(5): applied 0 of 1, 0 requests matched>"


@pytest.mark.parametrize("order", [1, 2])
def test_chance_is_the_same_however_requests_interleave(
    lab: Lab, order: int, decided: dict[str, Any]
) -> None:
    """Fifty runs in two orders, four at a time: the same run meets the same faults, by its seed."""
    emulator = lab.emulator
    emulator.fault("start", Respond(503), probability=0.3, seed=11, times=None)
    emulator.fault("result", Respond(500), probability=0.4, seed=12, times=None)
    emulator.fault("status", Respond(502), probability=0.4, seed=12, times=None)
    found: dict[int, list[int]] = {}
    lock = threading.Lock()

    def work(number: int) -> None:
        seen = []
        response = lab.start(number, key=f"key of {number}")
        while response.status_code == 503:
            seen.append(503)
            response = lab.start(number, key=f"key of {number}")
        started = response.json()
        target = lab.finish(started)
        for _ in range(3):
            seen += [lab.get(target).status_code, lab.status(started["taskId"]).status_code]
        with lock:
            found[number] = seen

    numbers = list(range(50))
    random.Random(order).shuffle(numbers)  # noqa: S311 (it must repeat)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, numbers))
    statuses = [status for seen in found.values() for status in seen]
    assert 0.25 < statuses.count(500) / 150 < 0.55
    assert statuses.count(503) > 5
    results = {n: [s for s in seen if s != 502] for n, seen in found.items()}
    looks = {n: [s for s in seen if s != 500] for n, seen in found.items()}
    assert results != looks
    assert decided.setdefault("found", found) == found


@pytest.fixture(scope="module")
def decided() -> dict[str, Any]:
    """The decisions in the first of two orders, for the second."""
    return {}


def test_equal_starts_are_distinguished_by_their_order(lab: Lab) -> None:
    """Runs of the same flow and body have their own faults, the same each time."""

    def seen() -> Iterator[int]:
        lab.emulator.reset()
        targets = [lab.run()[1] for _ in range(12)]
        lab.emulator.fault("result", Respond(500), probability=0.5, seed=1, times=None)
        return (lab.get(target).status_code for target in targets)

    first = list(seen())
    assert first == list(seen())
    assert {200, 500} == set(first)


@pytest.mark.parametrize(
    ("size", "arguments", "expected"),
    [
        (10, {}, [Span(0, 10)]),
        (0, {}, []),
        (10, {"end": 4}, [Span(0, 4)]),
        (10, {"end": -4}, [Span(0, 6)]),
        (10, {"end": 99}, [Span(0, 10)]),
        (10, {"end": -99}, []),
        (
            10,
            {"pauses": [(-2, 1.0), (3, 2.0)]},
            [Span(0, 3), Wait(2), Span(3, 8), Wait(1), Span(8, 10)],
        ),
        (10, {"pauses": [(3, None)]}, [Span(0, 3), Wait(None)]),
        (10, {"end": 2, "pauses": [(3, 1.0)]}, [Span(0, 2)]),
        (10, {"end": 3, "pauses": [(3, 1.0)]}, [Span(0, 3), Wait(1)]),
        (3, {"rate": 2.0}, [Span(0, 1), Wait(0.5), Span(1, 2), Wait(0.5), Span(2, 3), Wait(0.5)]),
        (300_000, {}, [Span(0, 262_144), Span(262_144, 300_000)]),
    ],
)
def test_a_part_is_sent_as_planned(
    size: int, arguments: dict[str, Any], expected: list[Any]
) -> None:
    """Its end, its pauses and its speed. Nothing follows a pause without end."""
    assert list(schedule(size, **arguments)) == expected
