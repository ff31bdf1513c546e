"""The policy for invalid rows, and its limit."""

from __future__ import annotations

from typing import Any

import pytest

from dcipher import InvalidParamsError, Run, TooManyInvalidRowsError
from dcipher._results.outputs.row_policy import RowPolicy
from dcipher._results.parsing.row_errors import InvalidRow, JSONText

RUN = Run(flow_id="f", task_id="t")
BAD = ({"loc": ("a", 3, "b"), "type": "missing", "msg": "Field required"},)


def row(number: int, raw: object = None) -> InvalidRow:
    return InvalidRow(number, f"[{number}]", BAD, raw)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [-1, True, False, float("nan"), 1.5, -0.1, "1", float("inf"), []])
def test_limits_that_make_no_sense(limit: Any) -> None:
    """A limit is a number of rows or a share of them, and nothing else."""
    with pytest.raises(InvalidParamsError, match="max_invalid"):
        RowPolicy("drop", limit, keep_raw=False)


@pytest.mark.parametrize(
    "arguments", [("raise", 0, False), ("raise", None, True), ("drop", None, True)]
)
def test_arguments_that_would_do_nothing(arguments: tuple[Any, Any, bool]) -> None:
    """An argument that the others leave without effect is a mistake."""
    with pytest.raises(InvalidParamsError, match="on_invalid="):
        RowPolicy(arguments[0], arguments[1], keep_raw=arguments[2])


def test_a_number_of_rows() -> None:
    """So many may fail, one more may not."""
    policy = RowPolicy("collect", 2, keep_raw=False)
    for number in (3, 4):
        policy.reject(row(number), 0)
        policy.check(RUN, 0)
    policy.reject(row(9), 0)
    with pytest.raises(TooManyInvalidRowsError, match=r"3 of 10 rows.* are invalid") as caught:
        policy.check(RUN, 0)
    assert caught.value.rejects is policy.rejects
    assert [reject.row for reject in policy.rejects] == [3, 4, 9]
    assert policy.rejects[0].errors == (("a[3].b", "missing", "Field required"),)


def test_a_share_is_checked_from_the_hundredth_row_on() -> None:
    """Before the hundredth row, a share is meaningless. Then, and at the end, it is checked."""
    policy = RowPolicy("drop", 0.5, keep_raw=False)
    assert policy.batch_size() == 100
    for number in range(60):
        policy.reject(row(number), 0)
        policy.check(RUN, 0)
    assert policy.batch_size() == 40
    policy.count(100)
    with pytest.raises(TooManyInvalidRowsError):
        policy.check(RUN, 0)
    policy.count(120)  # exactly the share is not beyond it
    policy.check(RUN, 0)
    assert policy.batch_size() > 100


def test_a_share_of_few_rows_is_checked_at_the_end() -> None:
    """At the end, the share of any number of rows counts. No rows are valid."""
    policy = RowPolicy("drop", 0.0, keep_raw=False)
    policy.check(RUN, None, at_end=True)
    policy.reject(row(0), 0)
    policy.check(RUN, 0)
    with pytest.raises(TooManyInvalidRowsError):
        policy.check(RUN, None, at_end=True)


def test_dropped_rows_are_only_counted() -> None:
    """A dropped row takes no memory, and its reasons are counted."""
    policy = RowPolicy("drop", None, keep_raw=False)
    policy.reject(row(0, JSONText("[1]")), 0)
    assert (len(policy.rejects), policy.rejects.total) == (0, 1)
    assert policy.rejects.counts() == {"missing": 1}


def test_rows_are_numbered_within_their_result() -> None:
    """The second result begins at 0, and the total number of rows continues."""
    policy = RowPolicy("collect", None, keep_raw=True)
    policy.reject(row(4, JSONText('{"a": 12345678901234567890}')), 0)
    policy.count(10)
    policy.next_result()
    policy.reject(row(2, ["x"]), 1)
    assert [(r.output_index, r.row, r.raw) for r in policy.rejects] == [
        (0, 4, {"a": 12345678901234567890}),
        (1, 2, ["x"]),
    ]
    assert policy.rejects.read == 13


def test_a_raw_row_beyond_the_parser_is_its_text() -> None:
    """A row that is nested too deeply to be parsed is kept as text."""
    deep = "[" * 500 + "]" * 500
    policy = RowPolicy("collect", None, keep_raw=True)
    policy.reject(row(0, JSONText(deep)), 0)
    assert policy.rejects[0].raw == deep
