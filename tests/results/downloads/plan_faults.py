"""Faults of a store: each is generated at random, and states its permitted cost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from tests.results.downloads.plan_bodies import (
    PAGE,
    another_range,
    badly_encoded,
    changes,
    changes_secretly,
    encoded,
    encoded_part,
    flipped,
    ignored_range,
    long_range,
    lying_range,
    multipart,
    odd_place,
    other_etag,
    other_total,
    page,
    short_range,
    unknown_encoding,
    with_headers,
    wrong_digest,
)
from tests.results.downloads.plan_store import Answer
from tests.results.downloads.plans import Fault

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.faulty import After
    from tests.results.downloads.plan_store import Framing, Question
    from tests.results.downloads.plans import Spoil, Version

    Make: TypeAlias = Callable[[random.Random, Version], Fault]

__all__ = ["FAULTS", "GENTLE", "complains", "moved", "unasked"]


def _always(answer: Answer) -> Spoil:
    return lambda _question, _honest: answer


def complains(question: Question, status: int, pairs: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An error as Amazon's store writes it: with all that it was asked for."""
    target = question.request.target
    signature = target.partition("Signature=")[2].partition("&")[0]
    text = (
        f"<Error><Code>Oops</Code><SignatureProvided>{signature}</SignatureProvided>"
        f"<Url>{question.visit.url}{target}</Url></Error>"
    )
    return Answer(status, (("Content-Type", "application/xml"), *pairs), text.encode())


# Statuses


def passing_status(rng: random.Random, _: Version) -> Fault:
    status = rng.choice([408, 409, 425, 429, 500, 502, 503, 504, 507])
    wait = rng.choice([None, None, "0", "0.01", "Wed, 21 Oct 2015 07:28:00 GMT", "-1", "soon"])
    pairs = () if wait is None else (("Retry-After", wait),)
    cut = rng.choice([None, None, 0.9])
    after: After = "keep" if cut is None else "close"
    return Fault(
        f"{status}, Retry-After {wait}" + (" cut short" if cut else ""),
        lambda q, _: replace(complains(q, status, pairs), cut=cut, after=after),
    )


def early_status(rng: random.Random, _: Version) -> Fault:
    """Final, but seconds after the end of a run: see `Plan.fresh`."""
    status = rng.choice([403, 404])
    return Fault(f"{status}", lambda q, _: complains(q, status), final=True, error="ResultError")


def final_status(rng: random.Random, _: Version) -> Fault:
    status = rng.choice([400, 401, 402, 405, 406, 410, 411, 418, 451, 203, 205, 207, 300, 305])
    return Fault(f"{status}", lambda q, _: complains(q, status), final=True, error="ResultError")


def empty_status(rng: random.Random, _: Version) -> Fault:
    status = rng.choice([204, 304])
    return Fault(f"{status}", _always(Answer(status)), final=True, error="ResultError")


def expired(rng: random.Random, _: Version) -> Fault:
    status = rng.choice([400, 403, 410])
    text = rng.choice([b"<Message>Request has expired</Message>", b"ExpiredToken"])
    answer = Answer(status, body=text)
    return Fault(f"{status} expired", _always(answer), final=True, error="ResultExpiredError")


def too_long_a_wait(rng: random.Random, _: Version) -> Fault:
    status = rng.choice([429, 503])
    answer = Answer(status, (("Retry-After", "3600"),))
    return Fault(f"{status} for an hour", _always(answer), final=True, error="ResultError")


def unasked(rng: random.Random, _: Version) -> Fault:
    """A whole answer too many, behind another: the next request has not been sent yet."""
    status = rng.choice([500, 503, 429])
    second = Answer(200, (("Content-Type", "text/html"),), PAGE).data()
    return Fault(
        f"{status}, and a second answer behind it",
        lambda q, _: replace(complains(q, status), behind=second),
    )


def refuses_the_range(rng: random.Random, _: Version) -> Fault:
    status = rng.choice([412, 416])
    return Fault(f"{status}", lambda q, _: complains(q, status), error="ResultChangedError")


# Connections


def nothing(rng: random.Random, _: Version) -> Fault:
    after: After = rng.choice(["close", "reset"])
    return Fault(f"no answer, {after}", _always(Answer(raw=b"", after=after)))


def stall(rng: random.Random, _: Version) -> Fault:
    cut = rng.choice([0.0, rng.random()])
    return Fault(
        f"a stall after {cut:.0%}", lambda _, a: replace(a, cut=cut, after="stall"), slow=True
    )


def cut(rng: random.Random, _: Version) -> Fault:
    part = rng.choice([rng.random(), rng.random(), 0.999999, 1 - 1e-9])
    after: After = rng.choice(["close", "reset"])
    # Where the connection's end is the body's, a lost one looks like it.
    return Fault(
        f"{after} after {part:.3%}", lambda _, a: replace(a, cut=part, after=after), lies=True
    )


def slowly(rng: random.Random, version: Version) -> Fault:
    pace = 0.0005 if version.size <= 300 else 0.0
    delay = rng.choice([0.0, 0.03])
    return Fault(
        f"{delay} s late, {pace} s a byte", lambda _, a: replace(a, delay=delay, trickle=pace), 0
    )


# Heads and framing


GARBAGE = [
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"http/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/1.1 200\0 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA b: c\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nxx",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nxxxxx",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\0" * 5000,
    b"\r\n\r\n\r\n",
]


def garbage(rng: random.Random, _: Version) -> Fault:
    raw = rng.choice([*GARBAGE, rng.randbytes(200)])
    return Fault(f"{raw[:60]!r}", _always(Answer(raw=raw, after="close")))


def interim(rng: random.Random, _: Version) -> Fault:
    head = rng.choice(
        [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: </x>\r\n\r\n"]
    )
    return Fault("an interim answer first", lambda _, a: replace(a, before=head), 0)


def two_heads(_: random.Random, __: Version) -> Fault:
    """The second one is the beginning of the body."""
    return Fault(
        "two heads", lambda _, a: replace(a, body=(a.head() + a.body)[: len(a.body)]), lies=True
    )


def too_little_promised(rng: random.Random, version: Version) -> Fault:
    missing = rng.choice([1, max(1, version.size // 3)])

    def spoil(_: Question, a: Answer) -> Answer:
        return replace(a, framing="length", length=max(0, a.promised - missing), after="close")

    return Fault(f"a Content-Length {missing} too small", spoil, lies=True)


def too_much_promised(rng: random.Random, version: Version) -> Fault:
    more = rng.choice([1, 5, version.size + 1])
    after: After = rng.choice(["close", "reset", "stall"])
    return Fault(
        f"a Content-Length {more} too large, {after}",
        lambda _, a: replace(a, framing="length", length=a.promised + more, after=after),
        aftermath=1,
        slow=after == "stall",
    )


def extra(rng: random.Random, _: Version) -> Fault:
    after: After = rng.choice(["keep", "close"])
    behind = rng.choice([b"x", b"\r\n", b"x" * 100_000])
    # Without a length they are of the body.
    return Fault(
        f"{len(behind)} bytes too many", lambda _, a: replace(a, behind=behind, after=after),
        lies=True,
    )  # fmt: skip


def both_framings(rng: random.Random, _: Version) -> Fault:
    more = rng.choice([0, 1, -1])

    def spoil(_: Question, a: Answer) -> Answer:
        length = str(max(0, len(a.body) + more))
        return with_headers(replace(a, framing="chunked", after="close"), Content_Length=length)

    return Fault(f"chunked, and a Content-Length {more} off", spoil)


def reframed(rng: random.Random, _: Version) -> Fault:
    forms: list[tuple[str, Framing]] = [
        ("HTTP/1.0", "close"), ("HTTP/1.0", "length"), ("HTTP/1.1", "chunked")
    ]  # fmt: skip
    http, framing = rng.choice(forms)
    return Fault(
        f"{http} by {framing}",
        lambda _, a: replace(a, http=http, framing=framing, after="close"),
        cost=0,
        bare=framing == "close",
    )


# Redirects


def _redirect(rng: random.Random, where: Callable[[Question], str]) -> Spoil:
    status = rng.choice([301, 302, 303, 307, 308])
    return lambda q, _: Answer(status, (("Location", where(q)),))


def moved(rng: random.Random, _: Version) -> Fault:
    absolute = rng.random() < 0.5
    body = "a redirect" + (" to a whole URL" if absolute else "")

    def where(q: Question) -> str:
        path = f"{q.visit.path}/moved?Signature={q.plan.moved_canary}"
        return q.visit.url + path if absolute else path

    return Fault(body, _redirect(rng, where), 0)


def dead_end(rng: random.Random, _: Version) -> Fault:
    return Fault("a redirect to a dead port", _redirect(rng, lambda q: q.visit.dead))


def loop(rng: random.Random, _: Version) -> Fault:
    return Fault(
        "a redirect in circles",
        _redirect(rng, lambda q: f"{q.visit.path}/loop?Signature={q.plan.canary}"),
        final=True,
        error="ResultError",
    )


LEADS = ["http://192.0.2.1/x?Signature={0}", "ftp://127.0.0.1/?Signature={0}", "http://[::1/?Signature={0}",
         "http://u:{0}@127.0.0.1/", "http://127.0.0.1:99999/?Signature={0}", "javascript:x?{0}",
         "https:/x?{0}"]  # fmt: skip


def bad_lead(rng: random.Random, _: Version) -> Fault:
    lead = rng.choice(LEADS)
    return Fault(
        f"a redirect to {lead}", _redirect(rng, lambda q: lead.format(q.plan.canary)), final=True,
        error="ResultError",
    )  # fmt: skip


def no_lead(rng: random.Random, _: Version) -> Fault:
    status = rng.choice([301, 302, 303, 307, 308])
    return Fault(
        f"{status} without a Location", _always(Answer(status)), final=True, error="ResultError"
    )


GENTLE: list[tuple[int, Make]] = [
    (10, cut), (2, stall), (3, nothing), (4, passing_status), (1, refuses_the_range), (2, slowly),
    (2, garbage), (1, interim), (2, too_much_promised), (1, both_framings), (2, ignored_range),
    (2, another_range), (1, short_range), (1, long_range), (1, other_total), (2, odd_place),
    (2, other_etag), (1, multipart), (1, encoded_part), (3, changes), (1, wrong_digest), (1, encoded),
    (2, badly_encoded), (2, moved), (1, dead_end), (1, reframed),
]  # fmt: skip
"""What passes, each with its weight."""

FAULTS: list[tuple[int, Make]] = [
    *GENTLE,
    (2, two_heads), (2, too_little_promised), (2, extra), (2, lying_range), (3, changes_secretly),
    (2, page), (2, flipped), (1, early_status), (1, final_status), (1, empty_status), (1, expired),
    (1, too_long_a_wait), (1, unknown_encoding), (1, loop), (1, bad_lead), (1, no_lead),
]  # fmt: skip
