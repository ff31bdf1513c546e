"""Signed URLs: sent unchanged, redirected if safe, expired ones distinguished from rejected ones."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
import trustme

from dcipher import (
    HTTPAuthenticatedClient,
    Output,
    ResultError,
    ResultExpiredError,
    Run,
    RunStatus,
)
from dcipher.models import SecretURL
from tests.conftest import QUICK
from tests.faulty import RESET, FaultyServer, Reply
from tests.results.downloads.stores import (
    BODY,
    MIB,
    ONCE,
    QUERY,
    SMALL,
    assert_saved,
    assert_untouched,
    result_of,
    run_at,
    store,
)
from tests.waiting import no_hang

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Connect


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Date=20200101T000000Z&X-Amz-Expires=60",
        "X-Goog-Date=20200101T000000Z&X-Goog-Expires=60",
        "Expires=1577836800&Signature=x",
        "se=2020-01-01T00%3A00%3A00Z&sig=x",
    ],
)
def test_a_long_expired_url_is_not_requested(
    connect: Connect, server: FaultyServer, target: Path, query: str
) -> None:
    """A URL that expired years ago is a `ResultExpiredError`, without a request."""
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


def signed(server: FaultyServer, hours: float) -> Run:
    """A run whose URL expires in so many hours, by this machine's clock."""
    moment = datetime.now(timezone.utc) + timedelta(hours=hours)
    url = SecretURL(f"{server.url}/result?{QUERY}")
    run = run_at(f"{server.url}/result?{QUERY}")
    output = Output(url=url, expires_at=moment)
    return run.model_copy(update={"outputs": (output,), "idempotency_key": "order-1"})


@pytest.mark.parametrize("hours", [-2, -0.001, -14, -24 * 20])
def test_a_wrong_clock(connect: Connect, server: FaultyServer, target: Path, hours: float) -> None:
    """A clock that is ahead does not prevent a download: the store decides."""
    server.on("/result", Reply(SMALL))
    connect(server).runs.download(signed(server, hours), target)
    assert_saved(target, SMALL)


@pytest.mark.parametrize(
    ("hours", "store_is_ahead", "code", "expired"),
    [
        (-2, None, 403, True),
        (-2, 0, 404, True),
        (2, 3, 403, True),
        (-2, -3, 403, False),
        (2, 0, 400, False),
    ],
    ids=["no date", "right", "clock behind", "clock ahead", "not expired"],
)
def test_expiry_is_checked_by_the_clock_of_the_store(
    connect: Connect,
    server: FaultyServer,
    target: Path,
    hours: float,
    store_is_ahead: float | None,
    code: int,
    expired: bool,
) -> None:
    """Whether a rejected URL has expired depends on the time of the store. It is requested once."""
    ahead = timedelta(hours=store_is_ahead or 0)
    date = format_datetime(datetime.now(timezone.utc) + ahead, usegmt=True)
    headers = {} if store_is_ahead is None else {"Date": date}
    server.on("/result", Reply(b"AuthenticationFailed", code, headers))
    with pytest.raises(ResultError) as caught:
        connect(server).runs.download(signed(server, hours), target)
    assert (type(caught.value) is ResultExpiredError) is expired
    assert len(server.requests) == 1
    assert "not with idempotency_key='order-1'" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"),
        (400, b"<Error><Code>ExpiredToken</Code></Error>"),
        (410, b"this link expired"),
    ],
)
def test_a_store_that_reports_expiry(
    connect: Connect, server: FaultyServer, target: Path, code: int, body: bytes
) -> None:
    """An error about expiry is a `ResultExpiredError`, after one request."""
    server.on("/result", Reply(body, code))
    with pytest.raises(ResultExpiredError) as caught:
        connect(server).runs.download(result_of(server), target)
    assert (caught.value.output_index, caught.value.run.task_id) == (0, "t")
    assert len(server.requests) == 1
    assert_untouched(target)


def test_an_expiry_in_the_middle_is_not_retried(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """A URL that expires between two parts is requested once more, not twice."""
    server.on("/result", store(BODY, cut=2 * MIB), Reply(b"Request has expired", 403))
    with pytest.raises(ResultExpiredError):
        connect(server).runs.download(result_of(server), target)
    assert_untouched(target)
    assert len(server.requests) == 2


@pytest.mark.parametrize("code", [403, 404])
def test_a_result_that_is_not_available_yet(
    connect: Connect, server: FaultyServer, target: Path, code: int
) -> None:
    """Seconds after the end of the run, the store may lack the result: the request is retried."""
    server.on("/result", Reply(b"", code), Reply(b"", code), Reply(SMALL))
    run = run_at(f"{server.url}/result?{QUERY}", finished=False)
    connect(server).runs.download(run, target)
    assert_saved(target, SMALL)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 405, 204, 304])
def test_a_late_rejection_is_final(
    connect: Connect, server: FaultyServer, target: Path, code: int
) -> None:
    """Long after the end, an error of the store is final after one request."""
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
    """A signature covers the URL unchanged: nothing is quoted, unquoted, merged or sorted."""
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
    """A store may redirect, also by a relative path, and the URL of the result is kept."""
    server.on("/result", Reply(b"", code, {"Location": "/other?x=a%2fb|c"}))
    server.on("/other", Reply(SMALL))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert server.requests[1].target == "/other?x=a%2fb|c"


def test_a_refused_connection_after_other_failures_is_retried(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """A refused connection counts separately from the failures before it."""
    dead = Reply(b"", 302, {"Location": "http://127.0.0.1:9/result"})
    server.on("/result", RESET, RESET, dead, Reply(SMALL))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, SMALL)


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
    """A redirect to plain http of another host, to another scheme, or to nothing is an error at once."""
    server.on("/result", Reply(b"", 302, {"Location": location}))
    with pytest.raises(ResultError) as caught:
        connect(server).runs.download(result_of(server), target)
    assert "canary" not in str(caught.value)
    assert len(server.requests) == 1
    assert_untouched(target)


@pytest.mark.parametrize("base_url", ["https://api.invalid", "https://192.0.2.1"])
def test_a_foreign_run_does_not_lead_to_this_machine(
    connect: Connect, server: FaultyServer, target: Path, base_url: str
) -> None:
    """The author of the JSON of a run cannot have a local service requested; `allow_insecure` permits it."""
    server.on("/result", Reply(SMALL))
    run = Run.from_json(result_of(server).to_json(reveal=True))
    with pytest.raises(ResultError, match="leads to this machine by plain http"):
        connect(base_url=base_url).runs.download(run, target)
    assert server.requests == []
    connect(base_url=base_url, allow_insecure=True).runs.download(run, target)
    assert_saved(target, SMALL)


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
    """Plain http to another machine, another scheme, user info or an invalid URL is an error without a request."""
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


def test_https_leads_to_https_only(connect: Connect, target: Path) -> None:
    """A redirect from https to plain http is rejected, also to this machine."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
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


@pytest.mark.thorough
def test_a_slow_rejection(connect: Connect, server: FaultyServer, target: Path) -> None:
    """The body of an error is not waited for without a limit: the status is sufficient."""
    server.on("/result", Reply(b"x" * 1000, 404, trickle=0.1))
    with no_hang(), pytest.raises(ResultError, match="404"):
        connect(server).runs.download(run_at(f"{server.url}/result", finished=True), target)
