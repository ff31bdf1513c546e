"""Results on their way: exact bytes, whatever the store does, or an error and the old file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import random
import re
import time
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from dcipher import (
    IntegrityError,
    Output,
    Resilience,
    ResultChangedError,
    ResultError,
    ResultExpiredError,
    Run,
    RunStatus,
)
from tests.conftest import QUICK
from tests.faulty import NOTHING, RESET, FaultyServer, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from anyio.from_thread import BlockingPortal

    from dcipher.emulator import Emulator
    from tests.conftest import Connect
    from tests.faulty import Recorded

MIB = 1024 * 1024
BODY = random.Random(7).randbytes(3 * MIB + 17)  # noqa: S311 - no secret
SMALL = random.Random(8).randbytes(300_000)  # noqa: S311 - no secret
TWICE = Resilience(max_retries=2, backoff_initial=0.01, backoff_max=0.02)
ONCE = Resilience(max_retries=0)
QUERY = "Signature=canary-signature"


def run_at(url: str, *, finished: bool = True) -> Run:
    """A run that has succeeded, with one result. Long ago, unless `finished` is false."""
    ended = {"finished_at": "2020-01-01T00:00:00Z"} if finished else {}
    return Run.model_validate(
        {"flow_id": "f", "task_id": "t", "status": "SUCCEEDED", "outputs": [{"url": url}], **ended}
    )


def result_of(server: FaultyServer) -> Run:
    return run_at(f"{server.url}/result?{QUERY}")


def store(
    body: bytes, *, etag: str = '"1"', cut: int | None = None, **more: Any
) -> Callable[[Recorded], Reply]:
    """A store that knows Range and If-Match; after `cut` bytes of an answer the connection ends."""
    after: Any = "keep" if cut is None else "close"

    def reply(request: Recorded) -> Reply:
        headers = {"ETag": etag, **more}
        match = request.headers.get("if-match")
        if match is not None and match != etag:
            return Reply(b"", 412)
        found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if found is None:
            return Reply(body, 200, headers, cut=cut, after=after)
        start = int(found[1])
        if start >= len(body):
            return Reply(b"", 416, {"Content-Range": f"bytes */{len(body)}"})
        headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return Reply(body[start:], 206, headers, cut=cut, after=after)

    return reply


@pytest.fixture(params=["sync", "async", "through a client of the user's"])
def kind(request: pytest.FixtureRequest) -> str:
    """An async download runs in a thread, unless it goes through an httpx client of the user's."""
    return str(request.param)


@pytest.fixture
def connect(connect: Connect, kind: str, portal: BlockingPortal) -> Iterator[Connect]:
    """Connect a client in one of the three ways."""
    given: list[httpx.AsyncClient] = []

    def make(server: Any = None, **kwargs: Any) -> Any:
        if kind not in {"sync", "async"} and "http_client" not in kwargs:
            given.append(httpx.AsyncClient(follow_redirects=True))
            kwargs["http_client"] = given[-1]
        return connect(server, **kwargs)

    yield make
    for client in given:
        portal.call(client.aclose)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file that is there before the download."""
    path = tmp_path / "result.bin"
    path.write_bytes(b"old")
    return path


def assert_untouched(target: Path) -> None:
    assert target.read_bytes() == b"old"
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def assert_saved(target: Path, body: bytes) -> None:
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(body).digest()
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB])
def test_exact_bytes_of_a_run(
    connect: Connect, emulator: Emulator, tmp_path: Path, size: int
) -> None:
    """A result of any size arrives byte by byte, nothing included, and its digest is checked."""
    client = connect(emulator)
    run = client.flows.start("bytes", {"size": size})
    while not (run := client.runs.refresh(run)).is_terminal:
        time.sleep(0.02)
    (path,) = client.runs.download(run, tmp_path / "out.bin")
    assert_saved(path, (bytes(range(256)) * (size // 256 + 1))[:size])


@pytest.mark.parametrize("framing", ["length", "chunked", "none"])
@pytest.mark.parametrize("size", [0, 1, MIB + 1])
def test_every_framing(
    connect: Connect, server: FaultyServer, target: Path, framing: Any, size: int
) -> None:
    """A body ends by its length, by its last chunk, or with the connection."""
    after: Any = "close" if framing == "none" else "keep"
    server.on("/result", Reply(BODY[:size], framing=framing, after=after))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY[:size])


def test_integrity_can_be_required(connect: Connect, server: FaultyServer, target: Path) -> None:
    """A body that ends with the connection could be half of one: `require_integrity` refuses it, at once."""
    server.on("/result", Reply(SMALL, framing="none", after="close"))
    with pytest.raises(IntegrityError, match="neither a length nor a digest"):
        connect(server).runs.download(result_of(server), target, require_integrity=True)
    assert_untouched(target)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "fault", [RESET, NOTHING, Reply(b"", 500), Reply(b"", 503), Reply(b"", 429)]
)
def test_a_passing_fault_of_the_store(
    connect: Connect, server: FaultyServer, target: Path, fault: Reply
) -> None:
    """A fault that passes is not noticed."""
    server.on("/result", fault, fault, Reply(SMALL))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, SMALL)


@pytest.mark.parametrize("after", ["reset", "close"])
def test_a_lost_connection_is_resumed(
    connect: Connect, server: FaultyServer, target: Path, after: Any
) -> None:
    """After a lost connection the rest is asked for, of the same version, and nothing is fetched twice."""
    first = Reply(BODY, 200, {"ETag": '"1"'}, cut=2 * MIB, after=after)
    server.on("/result", first, store(BODY))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    first, second = server.requests
    assert "range" not in first.headers
    start = int(second.headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 2 * MIB
    assert second.headers["if-match"] == '"1"'


def test_progress_earns_attempts(connect: Connect, server: FaultyServer, target: Path) -> None:
    """A store that breaks off after each megabyte is followed to the end."""
    server.on("/result", store(BODY, cut=MIB + MIB // 4))
    connect(server, resilience=Resilience(max_retries=1, backoff_initial=0.01)).runs.download(
        result_of(server), target
    )
    assert_saved(target, BODY)


def test_no_retries_means_none(connect: Connect, server: FaultyServer, target: Path) -> None:
    """`max_retries=0` switches the retries off for downloads, too."""
    server.on("/result", store(BODY, cut=2 * MIB))
    with pytest.raises(IntegrityError):
        connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_untouched(target)
    assert len(server.requests) == 1


def test_one_byte_does_not_earn_attempts(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """A store that brings a byte for each attempt is given up after `max_retries`."""
    server.on("/result", store(BODY, cut=1))
    with pytest.raises(IntegrityError, match="Nothing was saved"):
        connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert_untouched(target)
    assert len(server.requests) == 3


@pytest.mark.parametrize("etag", ["", 'W/"1"', "1"])
def test_without_a_strong_validator_it_starts_again(
    connect: Connect, server: FaultyServer, target: Path, etag: str
) -> None:
    """Without a strong ETag nothing is resumed: the next attempt asks for everything."""
    server.on("/result", store(BODY, etag=etag, cut=2 * MIB), store(BODY, etag=etag))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    assert ["range" in request.headers for request in server.requests] == [False, False]


class Odd(NamedTuple):
    """A second answer that does not continue the first one."""

    name: str
    reply: Reply


TAIL = BODY[2 * MIB :]
RANGE = f"bytes {2 * MIB}-{len(BODY) - 1}/{len(BODY)}"


def part(body: bytes, content_range: str, **headers: str) -> Reply:
    return Reply(body, 206, {"ETag": '"1"', "Content-Range": content_range, **headers})


ODD = [
    Odd("the range is ignored", Reply(BODY, 200, {"ETag": '"1"'})),
    Odd("412", Reply(b"", 412)),
    Odd("416", Reply(b"", 416, {"Content-Range": "bytes */5"})),
    Odd("another version, whole", Reply(SMALL, 200, {"ETag": '"2"'})),
    Odd("another version, in part", part(TAIL, RANGE, ETag='"2"')),
    Odd("no version", Reply(TAIL, 206, {"Content-Range": RANGE})),
    Odd("an earlier range", part(BODY[5:], f"bytes 5-{len(BODY) - 1}/{len(BODY)}")),
    Odd("a shorter range", part(TAIL[:9], f"bytes {2 * MIB}-{2 * MIB + 8}/{len(BODY)}")),
    Odd("another size", part(TAIL + b"x", f"bytes {2 * MIB}-{len(BODY)}/{len(BODY) + 1}")),
    Odd("no size", part(TAIL, f"bytes {2 * MIB}-{len(BODY) - 1}/*")),
    Odd("no range", Reply(TAIL, 206, {"ETag": '"1"'})),
    Odd("nonsense", part(TAIL, "bytes one-two/three")),
    Odd(
        "several ranges",
        Reply(b"--x\r\n", 206, {"ETag": '"1"', "Content-Type": "multipart/byteranges; boundary=x"}),
    ),
    Odd("an encoded part", part(gzip.compress(TAIL), RANGE, **{"Content-Encoding": "gzip"})),
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)
def test_parts_that_do_not_fit_are_never_put_together(
    connect: Connect, server: FaultyServer, target: Path, odd: Odd
) -> None:
    """An answer that is not the rest of what is there begins anew: the file is the last version, whole."""
    first = Reply(BODY, 200, {"ETag": '"1"'}, cut=2 * MIB, after="close")
    server.on("/result", first, odd.reply, Reply(BODY, 200, {"ETag": '"3"'}))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)


def test_a_result_that_keeps_changing(connect: Connect, server: FaultyServer, target: Path) -> None:
    """Where the attempts end with another version, it is said, and nothing is saved."""
    first = Reply(BODY, 200, {"ETag": '"1"'}, cut=MIB // 2, after="close")
    server.on("/result", first, Reply(b"", 412))
    with pytest.raises(ResultChangedError, match="changed between two parts"):
        connect(server, resilience=Resilience(max_retries=1, backoff_initial=0.01)).runs.download(
            result_of(server), target
        )
    assert_untouched(target)


class Broken(NamedTuple):
    """A body that is not what was promised."""

    name: str
    reply: Reply


def digest_of(body: bytes, name: str) -> str:
    return base64.b64encode(hashlib.new(name, body).digest()).decode()


def promised(headers: dict[str, str]) -> Reply:
    return Reply(SMALL, 200, headers)


MEMBERS = gzip.compress(SMALL[:1000]) + gzip.compress(SMALL[1000:])
GZIP = {"Content-Encoding": "gzip"}
WRONG = {
    "Repr-Digest": f"sha-256=:{digest_of(b'x', 'sha256')}:",
    "Content-Digest": f"sha-512=:{digest_of(b'x', 'sha512')}:",
    "Content-MD5": digest_of(b"x", "md5"),
    "x-goog-hash": f"crc32c=AAAAAA==,md5={digest_of(b'x', 'md5')}",
    "x-amz-checksum-sha256": digest_of(b"x", "sha256"),
    "x-amz-checksum-sha1": digest_of(b"x", "sha1"),
}
BROKEN = [
    Broken("too short", Reply(SMALL, length=len(SMALL) + 1, after="close")),
    Broken("chunks without an end", Reply(SMALL, framing="chunked", cut=1000, after="close")),
    Broken("half a gzip", Reply(gzip.compress(SMALL)[:-9], 200, GZIP)),
    Broken("half a second member", Reply(MEMBERS[:-5], 200, GZIP)),
    Broken("garbage after a gzip", Reply(gzip.compress(SMALL) + b"x" * 40, 200, GZIP)),
    Broken("no gzip at all", Reply(SMALL, 200, GZIP)),
    Broken("an encoding that was not asked for", Reply(SMALL, 200, {"Content-Encoding": "br"})),
    Broken("a bomb", Reply(gzip.compress(b"\0" * 64 * MIB), 200, GZIP)),
    *(Broken(name, promised({name: value})) for name, value in WRONG.items()),
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_what_is_broken_is_not_saved(
    connect: Connect, server: FaultyServer, target: Path, broken: Broken
) -> None:
    """A body that is cut, damaged or another one than promised leaves the old file and no debris."""
    server.on("/result", broken.reply)
    client = connect(server, resilience=Resilience(max_retries=1, backoff_initial=0.01))
    with pytest.raises(IntegrityError):
        client.runs.download(result_of(server), target)
    assert_untouched(target)


@pytest.mark.parametrize("broken", BROKEN[:6] + BROKEN[8:], ids=lambda broken: broken.name)
def test_what_was_broken_once_may_be_whole_again(
    connect: Connect, server: FaultyServer, target: Path, broken: Broken
) -> None:
    """A damaged body is fetched again from its start."""
    server.on("/result", broken.reply, Reply(SMALL))
    connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert_saved(target, SMALL)


def test_a_damaged_gzip_leaves_nothing_in_the_next_attempt(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """What a damaged gzip gave before the damage is not in the file of the next attempt."""
    text = SMALL.hex().encode()
    good = gzip.compress(text)
    bad = good[: len(good) // 2] + b"\0" * 64 + good[len(good) // 2 + 64 :]
    server.on("/result", Reply(bad, 200, GZIP, trickle=0), Reply(good, 200, GZIP))
    connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert_saved(target, text)


@pytest.mark.parametrize("flaw", ["checksum", "length"])
def test_a_wrong_gzip_trailer_leaves_nothing_in_the_next_attempt(
    connect: Connect, server: FaultyServer, target: Path, flaw: str
) -> None:
    """A gzip whose checksum or length is wrong is fetched again, and only the good one is in the file."""
    good = gzip.compress(SMALL)
    bad = good[:-8] + b"\0\0\0\0" + good[-4:] if flaw == "checksum" else good[:-4] + b"\0\0\0\1"
    server.on("/result", Reply(bad, 200, GZIP), Reply(good, 200, GZIP))
    connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert_saved(target, SMALL)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gzip", gzip.compress(SMALL)),
        ("x-gzip", gzip.compress(SMALL)),
        ("GZIP", MEMBERS),
        ("gzip", gzip.compress(b"") + MEMBERS + gzip.compress(b"")),
        ("deflate", zlib.compress(SMALL)),
        ("identity", SMALL),
    ],
)
def test_what_is_encoded_all_the_same_is_decoded(
    connect: Connect, server: FaultyServer, target: Path, name: str, body: bytes
) -> None:
    """An encoding that nobody asked for is undone, to the last member."""
    server.on("/result", Reply(body, 200, {"Content-Encoding": name}))
    connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_an_encoded_result_is_not_resumed(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """A reset in an encoded body begins it anew."""
    body = gzip.compress(SMALL)
    headers = {**GZIP, "ETag": '"1"'}
    server.on(
        "/result", Reply(body, 200, headers, cut=200_000, after="close"), Reply(body, 200, headers)
    )
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert "range" not in server.requests[1].headers


@pytest.mark.parametrize("name", [*WRONG])
@pytest.mark.parametrize("resumed", [False, True])
def test_a_right_digest_is_accepted(
    connect: Connect, server: FaultyServer, target: Path, name: str, resumed: bool
) -> None:
    """Each kind of digest is taken over the whole file, after a resume as well."""
    value = WRONG[name]
    for algorithm in ("sha256", "sha512", "md5", "sha1"):
        value = value.replace(digest_of(b"x", algorithm), digest_of(SMALL, algorithm))
    good = store(SMALL, **{name: value})
    bad = store(SMALL, cut=100_000, **{name: value})
    server.on("/result", *([bad, good] if resumed else [good]))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert len(server.requests) == 1 + resumed


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": f'"{hashlib.md5(b"x").hexdigest()}"'},  # noqa: S324
        {"x-amz-checksum-sha256": f"{digest_of(b'x', 'sha256')}-3"},
        {"Content-MD5": "not base64"},
        {"Repr-Digest": "sha-256"},
        {"Repr-Digest": "unixsum=30637"},
        {"x-goog-hash": "crc32c=AAAAAA=="},
    ],
)
def test_what_is_no_digest_of_the_file_is_not_taken_for_one(
    connect: Connect, server: FaultyServer, target: Path, headers: dict[str, str]
) -> None:
    """An ETag, a checksum of parts, and what cannot be read promise nothing."""
    server.on("/result", Reply(SMALL, 200, headers))
    connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_saved(target, SMALL)


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Date=20200101T000000Z&X-Amz-Expires=60",
        "X-Goog-Date=20200101T000000Z&X-Goog-Expires=60",
        "Expires=1577836800&Signature=x",
        "se=2020-01-01T00%3A00%3A00Z&sig=x",
    ],
)
def test_an_expired_url_is_not_even_asked(
    connect: Connect, server: FaultyServer, target: Path, query: str
) -> None:
    """A URL that says that it has expired is a `ResultExpiredError`, without a request."""
    server.on("/result", Reply(SMALL))
    started = f'{{"taskId": "t", "signedResponseURL": "{server.url}/result?{query}"}}'
    server.on("/flows/f/run", Reply(started.encode()))
    client = connect(server)
    run = client.flows.start("f")
    assert run.outputs[0].expires_at is not None
    done = run.model_copy(update={"status": RunStatus.SUCCEEDED})
    with pytest.raises(ResultExpiredError, match="run the flow again"):
        client.runs.download(done, target)
    assert len(server.requests) == 1
    assert_untouched(target)


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"),
        (400, b"<Error><Code>ExpiredToken</Code></Error>"),
        (410, b"this link expired"),
    ],
)
def test_a_store_that_says_expired(
    connect: Connect, server: FaultyServer, target: Path, code: int, body: bytes
) -> None:
    """A refusal that speaks of expiry is a `ResultExpiredError`, after one request."""
    server.on("/result", Reply(body, code))
    with pytest.raises(ResultExpiredError) as caught:
        connect(server).runs.download(result_of(server), target)
    assert (caught.value.output_index, caught.value.run.task_id) == (0, "t")
    assert len(server.requests) == 1
    assert_untouched(target)


def test_an_expiry_in_the_middle_is_not_tried_again(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """A URL that expires between two parts is asked for once more, not twice."""
    server.on("/result", store(BODY, cut=2 * MIB), Reply(b"Request has expired", 403))
    with pytest.raises(ResultExpiredError):
        connect(server).runs.download(result_of(server), target)
    assert_untouched(target)
    assert len(server.requests) == 2


@pytest.mark.parametrize("code", [403, 404])
def test_a_result_that_is_not_there_yet(
    connect: Connect, server: FaultyServer, target: Path, code: int
) -> None:
    """Seconds after the end of the run the store may not know the result yet: it is asked again."""
    server.on("/result", Reply(b"", code), Reply(b"", code), Reply(SMALL))
    run = run_at(f"{server.url}/result?{QUERY}", finished=False)
    connect(server).runs.download(run, target)
    assert_saved(target, SMALL)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 405, 204, 304])
def test_a_refusal_is_final(
    connect: Connect, server: FaultyServer, target: Path, code: int
) -> None:
    """Long after the end, a refusal of the store is asked for once, and is an error."""
    server.on("/result", Reply(b"", code, framing="none" if code in {204, 304} else "length"))
    with pytest.raises(ResultError, match=str(code)):
        connect(server).runs.download(result_of(server), target)
    assert len(server.requests) == 1
    assert_untouched(target)


@pytest.mark.parametrize(
    "target_of_url",
    [
        "/a%2fb%2FC?Sig=a%2bb%2Bc+d",
        "/a|b?x=y|z",
        "/it's?x='y'",
        "/a//b/../c/./d?x=/../y",
        "/a?x=%7e~%7E",
        "/a?x=[1]&y={2}",
        '/a?x="y"',
        "/a?b?c=d??",
        "/a;p=1?x=1;y=2&&=",
        "/?x=1",
        "?x=1",
        "/%zz?%",
    ],
)
def test_a_url_is_sent_byte_for_byte(
    connect: Connect, server: FaultyServer, target: Path, target_of_url: str
) -> None:
    """A signature covers the URL as it was given: nothing is quoted, unquoted, merged or sorted."""
    server.on("*", Reply(SMALL))
    connect(server).runs.download(run_at(server.url + target_of_url + "#fragment"), target)
    expected = target_of_url if target_of_url.startswith("/") else f"/{target_of_url}"
    assert server.requests[0].target == expected


def test_nothing_of_the_user_goes_to_the_store(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """The store gets no key, no signature, no cookie and none of the user's headers."""
    server.on("*", Reply(SMALL, 200, {"Set-Cookie": "a=1; Path=/"}))
    client = connect(server, headers={"X-Tenant": "t-1"}, api_secret="s3cret")
    client.runs.download(result_of(server), target)
    client.runs.download(result_of(server), target)
    for request in server.requests:
        assert set(request.headers) <= {
            "host", "accept", "accept-encoding", "connection", "user-agent",
        }  # fmt: skip
        assert request.headers["host"] == f"127.0.0.1:{server.port}"
        assert request.method == "GET"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_of_the_store_are_followed(
    connect: Connect, server: FaultyServer, target: Path, code: int
) -> None:
    """A store may send to another place, by a relative path as well, and the URL is kept as it is."""
    server.on("/result", Reply(b"", code, {"Location": "/other?x=a%2fb|c"}))
    server.on("/other", Reply(SMALL))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert server.requests[1].target == "/other?x=a%2fb|c"


def test_five_redirects_are_enough(connect: Connect, server: FaultyServer, target: Path) -> None:
    """Five redirects are followed, six are not."""
    for number in range(6):
        server.on(f"/{number}", Reply(b"", 302, {"Location": f"/{number + 1}"}))
    server.on("/6", Reply(SMALL))
    client = connect(server)
    client.runs.download(run_at(f"{server.url}/1"), target)
    assert_saved(target, SMALL)
    target.write_bytes(b"old")
    before = len(server.requests)
    with pytest.raises(ResultError, match="more than 5 times"):
        client.runs.download(run_at(f"{server.url}/0"), target)
    assert len(server.requests) - before == 6
    assert_untouched(target)


@pytest.mark.parametrize(
    "location",
    [
        "http://192.0.2.1/x?token=canary",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "http://user:canary@127.0.0.1/",
        "http://[::1/x?token=canary",
        "http://127.0.0.1:x/?token=canary",
    ],
)
def test_redirects_that_are_not_followed(
    connect: Connect, server: FaultyServer, target: Path, location: str
) -> None:
    """A redirect to plain http elsewhere, to another scheme, or to nothing is an error at once."""
    server.on("/result", Reply(b"", 302, {"Location": location}))
    with pytest.raises(ResultError) as caught:
        connect(server).runs.download(result_of(server), target)
    assert "canary" not in str(caught.value)
    assert len(server.requests) == 1
    assert_untouched(target)


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/x",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "https://user:pass@127.0.0.1/x",
        "127.0.0.1/x",
        "x",
        "https://",
        "https://[::1/x",
        "https://127.0.0.1:99999/x",
    ],
)
def test_urls_that_are_not_fetched(
    connect: Connect, api: FaultyServer, target: Path, url: str
) -> None:
    """Plain http to another machine, another scheme, user info or no URL at all is an error without a request."""
    with pytest.raises(ResultError, match="not fetched"):
        connect(api).runs.download(run_at(url), target)
    assert_untouched(target)


@pytest.mark.parametrize(
    "odd",
    [
        "/a b?s=canary",
        "/é?s=canary",
        "/a\nb?s=canary",
        "/a\tb?s=canary",
        "/a\0b?s=canary",
        "/\x7f?s=canary",
        "/" + "a" * 70_000,
    ],
    ids=lambda odd: repr(odd[:20]),
)
def test_urls_that_http_cannot_carry(
    connect: Connect, server: FaultyServer, target: Path, odd: str
) -> None:
    """A URL with characters that no request line can carry is fetched quoted, or is a clear error."""
    server.on("*", Reply(SMALL))
    client = connect(server, resilience=ONCE)
    said: str | None = None
    try:
        client.runs.download(run_at(server.url + odd), target)
    except ResultError as error:
        said = str(error)
    if said is not None:
        assert "canary" not in said
        assert_untouched(target)
    else:
        assert_saved(target, SMALL)


def test_progress_is_told(connect: Connect, server: FaultyServer, target: Path) -> None:
    """`on_progress` grows, comes at most ten times a second, and last with everything."""
    body = BODY * 4
    server.on("/result", Reply(body))
    calls: list[tuple[int, int | None]] = []
    began = time.monotonic()
    connect(server).runs.download(
        result_of(server), target, on_progress=lambda done, total: calls.append((done, total))
    )
    took = time.monotonic() - began
    assert calls[-1] == (len(body), len(body))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert len(calls) <= 10 * took + 2


@pytest.mark.parametrize("size", [0, 5])
def test_progress_of_little(
    connect: Connect, server: FaultyServer, target: Path, size: int
) -> None:
    """Also a result that arrives at once is told, once."""
    server.on("/result", Reply(b"x" * size))
    calls: list[tuple[int, int | None]] = []
    connect(server).runs.download(
        result_of(server), target, on_progress=lambda *numbers: calls.append(numbers)
    )
    assert calls == [(size, size)]


def test_a_callback_that_raises(connect: Connect, server: FaultyServer, target: Path) -> None:
    """What `on_progress` raises comes through, and leaves the old file."""
    server.on("/result", Reply(BODY))

    def stop(done: int, total: int | None) -> None:
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        connect(server).runs.download(result_of(server), target, on_progress=stop)
    assert_untouched(target)


def test_a_stalled_body_is_resumed(connect: Connect, server: FaultyServer, target: Path) -> None:
    """A body that stops in the middle is given up after `timeout`, and resumed."""
    stalls = Reply(SMALL, 200, {"ETag": '"1"'}, cut=100_000, after="stall")
    server.on("/result", stalls, store(SMALL))
    connect(server, timeout=0.3).runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert server.requests[1].headers["range"] == "bytes=100000-"


def test_a_run_that_is_not_known_to_have_ended(
    connect: Connect, api: FaultyServer, target: Path
) -> None:
    """A run is looked at once before its download; one that goes on has no result."""
    client = connect(api)
    run = client.flows.start("f")
    client.runs.download(run, target)
    assert target.read_bytes() == b'{"text": 1}'
    api.on("/flows/f/status", Reply(b'{"status": "RUNNING"}'))
    with pytest.raises(ResultError, match="no result yet"):
        client.runs.download(run, target)


def test_a_run_without_urls(connect: Connect, api: FaultyServer, target: Path) -> None:
    """Whoever lost the URLs is told how to keep them."""
    client = connect(api)
    for run in (
        Run(flow_id="f", task_id="t", status="SUCCEEDED"),
        Run(flow_id="f", task_id="t", status="SUCCEEDED", outputs=(Output(),)),
    ):
        with pytest.raises(ResultError, match="reveal=True"):
            client.runs.download(run, target)
    assert_untouched(target)


def test_https_leads_to_https_only(connect: Connect, target: Path) -> None:
    """A redirect from https to plain http is refused, on this machine too."""
    import ssl

    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    from dcipher import HTTPAuthenticatedClient

    with FaultyServer(tls=context) as secure, FaultyServer() as plain:
        plain.on("*", Reply(SMALL))
        secure.on("/result", Reply(b"", 302, {"Location": f"{plain.url}/x"}))
        secure.on("/good", Reply(SMALL))
        http = HTTPAuthenticatedClient(secure.url, api_key="k", verify_ssl=trusted)
        client = connect(http_client=http, api_key=None, resilience=QUICK)
        with pytest.raises(ResultError, match="https to http"):
            client.runs.download(run_at(f"{secure.url}/result?x"), target)
        assert plain.connections == 0
        assert_untouched(target)
        client.runs.download(run_at(f"{secure.url}/good"), target)
        assert_saved(target, SMALL)
        client.close()
