"""Requests: ids, params and keys, validated before anything is sent."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections import UserDict, deque
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from datetime import time as clock_time
from decimal import Decimal
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, computed_field

from dcipher._batch.inputs.identity import Identity
from dcipher._wire.messages.operations import Operation, get_flow, run_status, start_run
from dcipher.errors import InvalidParamsError

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "https://api.example.com"


def body(params: Any) -> Any:
    """Return what arrives as the params."""
    content = start_run("f", params, "key").content
    assert content is not None
    return json.loads(content, parse_constant=pytest.fail)["pipelineParams"]


def wire(operation: Operation) -> bytes:
    """Return path and query as httpx writes them on the wire."""
    return httpx.Request(operation.method, HOST + operation.target).url.raw_path


# Identifiers


def test_the_three_operations() -> None:
    """Each operation is the method and the path that the API has for it."""
    assert get_flow("65cf2f3e") == Operation(
        "flow", "GET", "/flows/65cf2f3e", flow_id="65cf2f3e", content=None
    )
    assert run_status("f", "t") == Operation(
        "status", "GET", "/flows/f/status?taskId=t", flow_id="f", task_id="t"
    )
    assert start_run("f", {"a": "ä"}, "key") == Operation(
        "start",
        "POST",
        "/flows/f/run",
        content='{"pipelineParams":{"a":"ä"}}'.encode(),
        flow_id="f",
        idempotency_key="key",
    )


@pytest.mark.parametrize(
    ("flow_id", "segment"),
    [
        ("65cf2f3e", "65cf2f3e"),
        ("a/b", "a%2Fb"),
        ("a?x=1#", "a%3Fx%3D1%23"),
        ("a b", "a%20b"),
        ("ä", "%C3%A4"),
        ("a%2Fb", "a%252Fb"),
        ("...", "..."),
        ("a..b", "a..b"),
        ("a+b&c;d", "a%2Bb%26c%3Bd"),
    ],
)
def test_an_id_is_one_segment(flow_id: str, segment: str) -> None:
    """What has a meaning in a URL is quoted."""
    assert get_flow(flow_id).target == f"/flows/{segment}"
    assert start_run(flow_id, None, "k").target == f"/flows/{segment}/run"
    assert run_status("f", flow_id).target == f"/flows/f/status?taskId={segment}"


PATHS = [
    ".",
    "..",
    "../../admin",
    "a/../b",
    "a/.",
    "%2e%2e",
    "%2E",
    "%252e%252e",
    "..\\admin",
    "a%5c..",
    "a%2f..%2fb",
]
NO_IDS = [
    "",
    " ",
    "\t\n",
    "a\0",
    "a\r\nX: y",
    "a%0d%0a",
    "a\x7f",
    "a\u202eb",
    "a\ud800",
    "a" * 1025,
]


@pytest.mark.parametrize("text", [*PATHS, *NO_IDS], ids=lambda text: ascii(text[:20]))
def test_an_id_that_leads_elsewhere_is_refused(text: str) -> None:
    """Nothing, dot segments and control characters (after decoding too) are no ids."""
    calls: list[Callable[[], Operation]] = [
        lambda: get_flow(text),
        lambda: start_run(text, {}, "k"),
        lambda: run_status(text, "t"),
        lambda: run_status("f", text),
    ]
    for call in calls:
        with pytest.raises(InvalidParamsError, match="id"):
            call()


@pytest.mark.parametrize(
    "text",
    ["a/b", "/a", "a//b/", "a/...", "a&taskId=b", "a#b", "a%2Fb", "a+b c", "a" * 1024],
    ids=lambda text: text[:20],
)
def test_a_task_id_travels_whole(text: str) -> None:
    """In a query, a slash is a character like any other: the service gets back what it said."""
    parts = urlsplit(wire(run_status("f", text)).decode())
    assert parts.path == "/flows/f/status"
    assert parse_qs(parts.query, errors="strict") == {"taskId": [text]}
    assert "/" not in parts.query


@pytest.mark.parametrize("value", [None, 5, b"f", ["f"], UUID(int=5)])
def test_an_id_is_text(value: Any) -> None:
    """What is not text is refused, and its type is named."""
    with pytest.raises(
        InvalidParamsError, match=f"flow_id must be a str, not .*{type(value).__name__}"
    ):
        get_flow(value)


def test_a_bad_id_is_shown_clean() -> None:
    """The error for an id holds none of its control characters, and not all of its length."""
    with pytest.raises(InvalidParamsError) as caught:
        get_flow("\x1b[31m" + "x" * 10_000)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 400


@given(st.text(max_size=60) | st.text("./\\%25eE aä\0?#", max_size=16))
@settings(max_examples=200, deadline=None)
@example("%25%32%65%25%32%65")
@example("a//b")
def test_any_id_is_refused_or_travels_whole(text: str) -> None:
    """Whatever the text: an error, or one segment on the wire that decodes to it."""
    try:
        flow, status = get_flow(text), run_status(text, text)
    except InvalidParamsError:
        return
    raw = wire(flow).decode()
    assert raw.count("/") == 2
    assert "?" not in raw
    assert unquote(raw.split("/")[2], errors="strict") == text
    parts = urlsplit(wire(status).decode())
    assert parts.path.split("/")[1::2] == ["flows", "status"]
    assert parse_qs(parts.query, keep_blank_values=True, errors="strict") == {"taskId": [text]}


def test_an_id_that_no_url_can_carry_is_refused() -> None:
    """Httpx takes URLs of 65,536 characters at most; an id never makes one that long."""
    with pytest.raises(InvalidParamsError):
        wire(get_flow("a" * 70_000))


def test_a_nest_of_escapes_costs_no_time() -> None:
    """An id from outside cannot keep the process busy."""
    started = time.process_time()
    with contextlib.suppress(InvalidParamsError):  # as good an answer
        get_flow("%" + "25" * 20_000)
    assert time.process_time() - started < 0.1


# The idempotency key


@pytest.mark.parametrize("key", ["k", "!~", "x" * 255, "0b9b8a5e-6f0a-4c57-9f3b-0a2d3f5c7a11"])
def test_a_key_that_a_header_can_carry(key: str) -> None:
    """Visible ASCII goes through as it is."""
    assert start_run("f", None, key).idempotency_key == key


@pytest.mark.parametrize(
    "key", ["", " ", "a b", "a\r\nX: y", "ä", "\x7f", "x" * 256, None, 5, b"k"]
)
def test_a_key_that_a_header_cannot_contain(key: Any) -> None:
    """Anything else is refused before anything is sent."""
    with pytest.raises(InvalidParamsError, match="idempotency_key"):
        start_run("f", None, key)


# Params


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Name(str, Enum):
    TOP = "top"


class Options(BaseModel):
    model_config = ConfigDict(populate_by_name=True, arbitrary_types_allowed=True)
    top_n: int = Field(default=5, alias="topN")
    since: date = date(2024, 1, 2)
    extra: Any = None


@dataclass
class Point:
    x: int = 1


class Matrix:
    def tolist(self) -> list[int]:
        return [1]


MOMENT = datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (None, {}),
        ({}, {}),
        ({"a": [1, 2.5, True, None, "ä😀"]}, {"a": [1, 2.5, True, None, "ä😀"]}),
        ({"a": (1, (2,))}, {"a": [1, [2]]}),
        ({"": {"b c": "\n"}}, {"": {"b c": "\n"}}),
        (MappingProxyType({"a": UserDict(b=1)}), {"a": {"b": 1}}),
        ({"a": Colour.RED, "b": Level.HIGH, "c": Name.TOP}, {"a": "red", "b": 3, "c": "top"}),
        ({"a": MOMENT}, {"a": "2024-01-02T03:04:05+00:00"}),
        ({"a": date(2024, 1, 2), "b": clock_time(3, 4)}, {"a": "2024-01-02", "b": "03:04:00"}),
        ({"a": UUID(int=5)}, {"a": "00000000-0000-0000-0000-000000000005"}),
        (Options(), {"topN": 5, "since": "2024-01-02", "extra": None}),
        ({"o": [Options(topN=2)]}, {"o": [{"topN": 2, "since": "2024-01-02", "extra": None}]}),
        (RootModel[dict[str, int]]({"a": 1}), {"a": 1}),
    ],
)
def test_params_as_json(params: Any, expected: object) -> None:
    """What JSON can carry arrives; models by alias, in JSON mode."""
    assert body(params) == expected


def test_the_same_thing_twice_is_no_cycle() -> None:
    """A value that stands in two places is sent twice."""
    shared: list[int] = [1]
    assert body({"a": shared, "b": [shared, shared]}) == {"a": [1], "b": [[1], [1]]}


CYCLE: list[Any] = []
CYCLE.append({"again": CYCLE})


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"a": {"b": [0, math.nan]}}, r"params\.a\.b\[1\] is nan"),
        ({"a": math.inf}, r"params\.a is inf"),
        ({"a": "x\ud800"}, r"params\.a contains a lone surrogate at position 1"),
        ({"\udfff": 1}, "lone surrogate"),
        ({"a": {1}}, r"params\.a is a set, which JSON cannot represent\. Send a list"),
        ({"a": frozenset()}, "Send a list"),
        ({"a": b"x"}, r"params\.a is a bytes, .*\. Send text"),
        ({"a": memoryview(b"x")}, "Send text"),
        ({"a": Matrix()}, "tolist"),
        ({"a": Point()}, "asdict"),
        ({"a": Point}, "Send text"),
        ({"a": object()}, r"params\.a is an object, .*\. Send text"),
        (
            {"a": timedelta(1)},
            r"params\.a is a timedelta, .*\. Send value\.total_seconds",
        ),
        (
            {"a": Decimal("1.5")},
            r"params\.a is a Decimal, .*\. Send str\(value\)",
        ),
        ({"a": 1j}, r"params\.a is a complex, .*\. Send text"),
        ({"a": [Decimal("NaN")]}, r"params\.a\[0\] is NaN, .* Send None"),
        ({"a": Decimal("sNaN")}, r"params\.a is NaN"),
        ({"a": Decimal("-Infinity")}, r"params\.a is infinite"),
        ({"a": complex(0, math.inf)}, r"params\.a is a complex NaN or infinity"),
        ({"a": {1: 2}}, r"params\.a has the key 1"),
        ({None: 1}, "has the key None"),
        ({"a": CYCLE}, r"params\.a\[0\]\.again contains itself"),
        (
            Options(extra=object()),
            r"params\.extra is an object, .*\. Send text",
        ),
        (
            Options(extra={"b": [1, memoryview(b"x")]}),
            r"params\.extra\.b\[1\] is a memoryview, .*\. Send text",
        ),
        (Options(extra="\ud800"), "params"),
        (Options(extra=CYCLE), "params"),
        (Options(extra=[Decimal("NaN")]), r"params\.extra\[0\] is NaN"),
        (Options(extra=deque([Decimal("Infinity")])), r"params\.extra\[0\] is infinite"),
        (
            Options(extra=(n for n in [math.nan])),
            r"params\.extra is an iterator, .*\. Send a list",
        ),
        (Options(extra=[{"b": iter([math.nan])}]), r"params\.extra\[0\]\.b is an iterator"),
        ({"o": Options(extra=map(float, ["inf"]))}, r"params\.o\.extra is an iterator"),
        (Options(extra={Decimal("NaN")}), r"params\.extra\[0\] is NaN"),
        (Options(extra={math.nan: 1}), r"a key in params\.extra is nan"),
        (Options(extra={1: math.inf}), r"params\.extra\[1\] is inf"),
        ({"o": [Options(extra=complex("nan"))]}, r"params\.o\[0\]\.extra is a complex NaN"),
        ([("a", 1)], "must be a mapping or a Pydantic model, not list"),
        ("text", "not str"),
        (Options, "must be a mapping"),
    ],
)
def test_params_that_json_cannot_carry(params: Any, says: str) -> None:
    """The error says where in the params, and what to send instead."""
    with pytest.raises(InvalidParamsError, match=says):
        body(params)


NUMPY = [
    ("int64", 5, 5),
    ("uint8", 255, 255),
    ("float32", 0.5, 0.5),
    ("float64", 0.1, 0.1),
    ("bool_", True, True),
    ("str_", "ä", "ä"),
]


@pytest.mark.parametrize(("kind", "value", "expected"), NUMPY)
def test_a_number_of_numpy_is_the_number_that_it_is(kind: str, value: Any, expected: Any) -> None:
    """A single value of a column is sent as Python's own, to the last bit; so is an array of one."""
    np = pytest.importorskip("numpy")
    sent = body({"a": [getattr(np, kind)(value), np.array(value, kind)]})["a"]
    assert sent == [expected, expected]
    assert {type(item) for item in sent} == {type(expected)}


# Of libraries that the core does not depend on: what makes the value, and what the error says of it.
FOREIGN = [
    ("pandas", "library.NaT", "is NaT, .* Send None"),
    ("pandas", "library.NA", "is NA, .* Send None"),
    (
        "pandas",
        "library.Series([1])",
        r"is a Series, .*\. Send value\.tolist\(\)",
    ),
    (
        "pandas",
        "library.DataFrame({'b': [1]})",
        r'DataFrame, .*\. Send value\.to_dict\("records"\)',
    ),
    (
        "pandas",
        "library.Period('2024-01')",
        r"is a Period, .*\. Send text",
    ),
    ("numpy", "library.float32('nan')", "is nan"),
    ("numpy", "library.float64('-inf')", "is -inf"),
    ("numpy", "library.array(library.nan)", "is nan"),
    ("numpy", "library.datetime64('NaT', 's')", "is NaT"),
    ("numpy", "library.timedelta64('NaT', 's')", "is NaT"),
    ("numpy", "library.complex128('nan')", "is a complex NaN"),
    ("numpy", "library.ma.masked", "is masked, .* Send None"),
    (
        "numpy",
        "library.datetime64('2024-01-02', 'ns')",
        r"is a datetime64, .*\. Send str\(value\)",
    ),
    (
        "numpy",
        "library.longdouble(1)",
        r"is a longdouble, .*\. Send value\.item\(\), or float\(value\)",
    ),
    (
        "numpy",
        "library.array([1])",
        r"is an ndarray, .*\. Send value\.tolist\(\)",
    ),
    (
        "numpy",
        "library.void(b'x')",
        r"is a void, .*\. Send value\.tolist\(\)",
    ),
    (
        "pyarrow",
        "library.scalar(None)",
        r"is a NullScalar, .*\. Send value\.as_py\(\)",
    ),
    (
        "pyarrow",
        "library.scalar(5)",
        r"is an Int64Scalar, .*\. Send value\.as_py\(\)",
    ),
    (
        "pyarrow",
        "library.array([1])",
        r"is an Int64Array, .*\. Send value\.tolist\(\)",
    ),
    (
        "pyarrow",
        "library.table({'b': [1]})",
        r"is a Table, .*\. Send value\.to_pylist\(\)",
    ),
    (
        "polars",
        "library.Series([1])",
        r"is a Series, .*\. Send value\.to_list\(\)",
    ),
    (
        "polars",
        "library.DataFrame({'b': [1]})",
        r"is a DataFrame, .*\. Send value\.to_dicts\(\)",
    ),
]


@pytest.mark.parametrize(("name", "value", "says"), FOREIGN)
@pytest.mark.parametrize("in_a_model", [False, True], ids=["mapping", "model"])
def test_what_only_looks_like_json_is_refused(
    name: str, value: str, says: str, in_a_model: bool
) -> None:
    """A value of another library that stands for none, or is none of JSON's, is named with its path."""
    library = pytest.importorskip(name)
    params = [eval(value, {"library": library})]  # noqa: S307 - from the table above
    with pytest.raises(InvalidParamsError, match=rf"params\.extra\[0\] {'.*' + says}"):
        body(Options(extra=params) if in_a_model else {"extra": params})


class Unreadable(UserDict[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise LookupError(key)


class Computed(BaseModel):
    @computed_field
    def top(self) -> int:
        raise LookupError("a value")


class Opaque:
    def __getattr__(self, name: str) -> object:
        raise LookupError(name)


@pytest.mark.parametrize(
    "value", [Unreadable(a=1), Computed(), Opaque()], ids=lambda value: type(value).__name__
)
def test_a_value_that_cannot_be_read_is_refused(value: Any) -> None:
    """What a value's own code raises is the cause of our error, which has none of its text."""
    with pytest.raises(
        InvalidParamsError, match=r"cannot be read: a value .* LookupError"
    ) as caught:
        body({"a": [value]})
    assert isinstance(caught.value.__cause__, LookupError)
    with pytest.raises(InvalidParamsError, match=r"Row 3 .* cannot be read") as of_a_row:
        Identity(None, None).entry({"a": [value]}, 3)
    assert isinstance(of_a_row.value.__cause__, LookupError)


class Percent(float):
    def __float__(self) -> float:
        return 1.0


class Word(str):
    def encode(self, *_: object) -> bytes:
        raise LookupError(self)


def test_a_subclass_counts_as_what_it_holds() -> None:
    """JSON is written from the number and the text themselves, whatever their class makes of them."""
    assert body({"a": [Percent(0.5), Word("b")]}) == {"a": [0.5, "b"]}
    with pytest.raises(InvalidParamsError, match="is nan"):
        body({"a": Percent("nan")})


def test_params_too_deep() -> None:
    """A nest deeper than Python's stack is refused like any other."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidParamsError, match="nested too deeply"):
        body({"a": deep})


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
any_text = st.text(st.characters(), max_size=8)
any_values = st.recursive(
    st.none()
    | st.floats()
    | any_text
    | st.binary(max_size=4)
    | st.dates()
    | st.timedeltas()
    | st.uuids()
    | st.complex_numbers()
    | st.decimals()
    | st.sampled_from([Colour.RED, Name.TOP, Options(), Matrix(), CYCLE, Options, object(), ...]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(any_text | st.integers() | st.none(), inner, max_size=3)
        | st.builds(Options, extra=inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=5))
@settings(max_examples=150, deadline=None)
def test_json_arrives_equal(params: dict[str, Any]) -> None:
    """What is JSON already arrives as it was."""
    assert body(params) == params


@given(any_values)
@settings(max_examples=150, deadline=None)
def test_any_params_are_json_or_refused(params: Any) -> None:
    """Whatever the value: strict JSON in UTF-8, or `InvalidParamsError`, and nothing else."""
    try:
        content = start_run("f", params, "key").content
    except InvalidParamsError as error:
        str(error).encode()  # it can be printed
        return
    assert content is not None
    assert list(json.loads(content.decode(), parse_constant=pytest.fail)) == ["pipelineParams"]


def test_a_key_of_an_enum_is_its_value() -> None:
    """A key goes as the value does: by the enum's value, not by its Python name."""
    assert body({Name.TOP: 1}) == {"top": 1}


@pytest.mark.parametrize(
    "number", [10**5000, -(10**5000), 2**14_000], ids=["huge", "negative", "one bit more"]
)
@pytest.mark.parametrize(
    "params",
    [lambda n: {"n": n}, lambda n: Options(extra={"n": n})],
    ids=["mapping", "model"],
)
def test_a_number_of_too_many_digits_is_refused(params: Callable[[int], Any], number: int) -> None:
    """Python writes no integer of more than 4,300 digits: the error is ours, with its place."""
    with pytest.raises(InvalidParamsError, match=r"params(\.extra)?\.n has thousands") as caught:
        body(params(number))
    assert len(str(caught.value)) < 200


def test_an_enum_of_too_many_digits_is_refused() -> None:
    """Nor does an enum hide such a number, deep inside."""
    huge = IntEnum("huge", {"X": 10**5000})
    with pytest.raises(InvalidParamsError, match=r"params\.a\[0\] has thousands"):
        body({"a": [huge.X]})


@pytest.mark.parametrize(
    "number", [2**14_000 - 1, 1 - 2**14_000, 2**64], ids=["longest", "negative", "64 bits"]
)
def test_a_number_of_many_digits_arrives(number: int) -> None:
    """Up to there, an integer arrives as it is, to the last digit."""
    assert body({"n": number}) == {"n": number}


def test_a_key_of_too_many_digits_is_refused() -> None:
    """A key that is no text is refused by our own error, even where Python cannot write it."""
    with pytest.raises(InvalidParamsError, match="keys of a JSON object must be text"):
        body({10**5000: 1})


def test_a_model_hides_no_nan() -> None:
    """A NaN in a model is refused as in a mapping; it does not become null unsaid."""
    with pytest.raises(InvalidParamsError, match="extra"):
        body(Options(extra=math.nan))


@pytest.mark.parametrize("params", [RootModel[list[int]]([1]), RootModel[int](5)])
def test_a_model_that_is_no_mapping_is_refused(params: BaseModel) -> None:
    """`pipelineParams` is a JSON object, whatever the params were made from."""
    with pytest.raises(InvalidParamsError):
        body(params)


def test_the_path_in_an_error_is_clean() -> None:
    """Keys come from outside: in an error's path they carry no terminal escapes, and are cut."""
    with pytest.raises(InvalidParamsError) as caught:
        body({"\x1b[31m" + "k" * 10_000: {1}})
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000
