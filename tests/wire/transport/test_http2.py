"""An httpx client with HTTP/2: its libraries log headers without secrets."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

from dcipher import HTTPAuthenticatedClient, NotFoundError
from tests.conftest import KEY
from tests.fuzz.leaks import Search
from tests.peers import HTTP2Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.from_thread import BlockingPortal

    from tests.conftest import Connect, Kind

pytest.importorskip("h2", reason="httpx speaks HTTP/2 with it alone: `pip install h2`")

SIGNATURE = "canary-signature-0123"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def http2(authority: trustme.CA) -> Iterator[HTTP2Server]:
    """A healthy API, and the store of its results."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with HTTP2Server(context) as running:
        url = f"{running.url}/result?Signature={SIGNATURE}"
        running.bodies = {
            "/flows/f": b'{"id": "f", "name": "F"}',
            "/flows/f/run": f'{{"taskId": "t", "signedResponseURL": "{url}"}}'.encode(),
            "/flows/f/status": b'{"status": "SUCCEEDED"}',
            "/result": b'[{"n": 1}]',
        }
        yield running


@pytest.mark.parametrize("given", ["client", "transport", "httpx_args"])
def test_nothing_secret_is_logged(
    connect: Connect,
    http2: HTTP2Server,
    trusting: ssl.SSLContext,
    kind: Kind,
    portal: BlockingPortal,
    given: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A run by HTTP/2, with every logger at its lowest level: neither the key nor a signed URL is in a record.

    Nor is the key sent to the store.
    """
    own: Any = None
    if given == "httpx_args":
        args = {"http2": True}
        own = HTTPAuthenticatedClient(
            http2.url,
            api_key=KEY,
            auth_header_name="Authorization",
            auth_scheme="Api-Key",
            verify_ssl=trusting,
            httpx_args=args,
        )
        client = connect(http_client=own, base_url=None, api_key=None)
    elif given == "client":
        make = httpx.Client if kind == "sync" else httpx.AsyncClient
        own = make(http2=True, verify=trusting)
        client = connect(http2, api_key=KEY, http_client=own)
    else:
        transport: Any = httpx.HTTPTransport if kind == "sync" else httpx.AsyncHTTPTransport
        client = connect(http2, api_key=KEY, transport=transport(http2=True, verify=trusting))
    search = Search(key=KEY, signature=SIGNATURE)
    with search.of_all_logs():
        for name in ("hpack", "hpack.hpack", "hpack.table", "h2"):
            logging.getLogger(name).setLevel(1)
        run = client.flows.run("f", {"text": "…"})
        assert client.runs.read(run) == [{"n": 1}]
        with pytest.raises(NotFoundError) as caught:
            client.flows.get("missing")
        search.error("missing", caught.value)
    client.close()
    if kind == "sync" and own is not None:
        own.close()
    elif own is not None:
        portal.call(own.aclose)
    assert search.found() == []
    assert {"hpack.hpack", "hpack.table", "httpcore.http2"} <= {
        record.name for record in caplog.records
    }
    keyed = {request[":path"] for request in http2.requests if "authorization" in request}
    assert keyed == {"/flows/f/run", "/flows/f/status?taskId=t", "/flows/missing"}
    assert http2.requests[-2][":path"] == f"/result?Signature={SIGNATURE}"


def test_many_requests_share_a_connection(
    http2: HTTP2Server, trusting: ssl.SSLContext, connect: Connect
) -> None:
    """The HTTP layer carries all requests of a client by one connection."""
    own = HTTPAuthenticatedClient(
        http2.url, api_key=KEY, verify_ssl=trusting, httpx_args={"http2": True}
    )
    client = connect(http_client=own, base_url=None, api_key=None)
    for _ in range(20):
        assert client.flows.get("f").name == "F"
    assert http2.connections == 1
