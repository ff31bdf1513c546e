"""Any `Retry-After` is understood as in RFC 9110, or ignored."""

from __future__ import annotations

import math
from datetime import datetime, timezone

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dcipher._wire.messages.retry_after import http_date, retry_after
from tests.fuzz.bodies import headers
from tests.fuzz.exploring import efforts, explore

NOW = 1_700_000_000.0
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
FORMS = ["IMF-fixdate", "RFC 850", "asctime"]

seconds = st.from_regex(r"[0-9]{1,12}(\.[0-9]{1,9})?", fullmatch=True)
moments = st.integers(
    int(datetime(1990, 1, 1, tzinfo=timezone.utc).timestamp()),
    int(datetime(2060, 1, 1, tzinfo=timezone.utc).timestamp()),
)
forms = st.sampled_from(FORMS)


def written(moment: int, form: str) -> str:
    """A date by the grammar of RFC 9110 section 5.6.7; strftime would follow the locale."""
    at = datetime.fromtimestamp(moment, timezone.utc)
    day, month, clock = DAYS[at.weekday()], MONTHS[at.month - 1], at.strftime("%H:%M:%S")
    if form == "asctime":
        return f"{day[:3]} {month} {at.day:2} {clock} {at.year}"
    if form == "RFC 850":
        return f"{day}, {at.day:02}-{month}-{at.year % 100:02} {clock} GMT"
    return f"{day[:3]}, {at.day:02} {month} {at.year} {clock} GMT"


def test_the_oracle_writes_the_dates_of_the_rfc() -> None:
    """The three examples of RFC 9110 section 5.6.7 are one moment, here and there."""
    examples = {
        "IMF-fixdate": "Sun, 06 Nov 1994 08:49:37 GMT",
        "RFC 850": "Sunday, 06-Nov-94 08:49:37 GMT",
        "asctime": "Sun Nov  6 08:49:37 1994",
    }
    assert {form: written(784111777, form) for form in FORMS} == examples
    assert {http_date(text) for text in examples.values()} == {784111777.0}


@efforts
def test_dates_are_relative_to_the_clock_of_the_server(effort: int) -> None:
    """A date in any form, less the server's Date in any form, or less our time; never below 0."""

    @given(moments, forms, st.none() | moments, forms, st.sampled_from(["", " ", "\t "]))
    def check(until: int, form: str, date: int | None, date_form: str, blank: str) -> None:
        said = {"Retry-After": f"{blank}{written(until, form)}{blank}"}
        if date is not None:
            said["Date"] = written(date, date_form)
        expected = max(0.0, until - (NOW if date is None else date))
        assert retry_after(httpx.Headers(said), NOW) == expected

    explore(check, 100 * effort)


@efforts
def test_seconds_are_seconds(effort: int) -> None:
    """Plain digits, with or without decimals. Valid milliseconds take precedence."""

    @given(seconds, st.none() | seconds, st.sampled_from(["+1", "x", "1e3", ""]))
    def check(plain: str, milliseconds: str | None, rubbish: str) -> None:
        said = {"retry-after": plain, "retry-after-ms": rubbish}
        assert retry_after(httpx.Headers(said), NOW) == float(plain)
        if milliseconds is not None:
            said["retry-after-ms"] = milliseconds
            assert retry_after(httpx.Headers(said), NOW) == float(milliseconds) / 1000

    explore(check, 80 * effort)


@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms"])
@efforts
def test_other_numbers_are_ignored(name: str, effort: int) -> None:
    """Signs, exponents, infinities, digits of other scripts, lists, units and blanks are ignored."""
    spoilt = st.builds(
        str.format,
        st.sampled_from(
            [
                *("+{}", "-{}", "{}e1", "{}E+2", "{},", ",{}", "{}, {}", "{};q=1", "{} s", "{}s"),
                *(".{}", "{}.", "{}_0", "0x{}", "{}j", "{}%", '"{}"', "[{}]", "{}.{}.{}", "{} {}"),
                *("\u0661{}", "{}\uff11", "{}\u00b2", "{}\u00a0", "{}\x1f", "{}\u2028", "{}\x00"),
            ]
        ),
        *[st.sampled_from(["0", "1", "7", "120"])] * 3,
    )
    others = st.sampled_from(
        ["", " ", "inf", "Infinity", "nan", "-nan", "none", "true", "GMT", "0b1"]
    )

    @given(spoilt | others)
    def check(value: str) -> None:
        assert retry_after({name: value}, NOW) is None

    explore(check, 100 * effort)


@efforts
def test_any_header_is_harmless(effort: int) -> None:
    """Any bytes, also repeated: nothing, or a finite number that is not negative."""
    day = st.sampled_from(["Mon, ", "Tuesday, ", "Sun "])
    near_dates = st.builds(
        lambda name, rest: f"{name}{rest}".encode("utf-8", "replace"),
        day,
        st.text("0123456789 :-+GMTJanFebDecUTCEST", max_size=30),
    )
    pairs = st.lists(
        st.tuples(
            st.sampled_from([b"Retry-After", b"retry-after-ms", b"Date"]),
            near_dates | st.binary(max_size=40) | st.from_regex(rb"[0-9.]{1,700}", fullmatch=True),
        ),
        max_size=4,
    )

    @example([(b"Retry-After", b"Mon, 01 Jan 2024 00:00:00 +9999")], 0.0)
    @example([(b"Retry-After", b"Mon, 01 Jan 0000 00:00:00 GMT")], 0.0)
    @given(pairs | headers, st.floats(-1e12, 1e12))
    def check(said: list[tuple[bytes, bytes]], now: float) -> None:
        wait = retry_after(httpx.Headers(said), now)
        assert wait is None or (math.isfinite(wait) and wait >= 0)

    explore(check, 150 * effort)
