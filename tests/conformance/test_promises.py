"""Promises of the page "What happens when…" that no other test verifies."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from dcipher import Resilience, ResultError, ResultParseError
from tests.faulty import NOTHING, FaultyServer, Reply, json_reply
from tests.results.downloads.stores import result_of, run_at

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Connect

TWICE = Resilience(max_retries=2, backoff_initial=0.002)
PAGE = b"<!doctype html><title>Log in</title>"


def test_a_store_without_a_valid_certificate(connect: Connect) -> None:
    """A store whose certificate nobody vouches for is sent no request, and the error says why."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with FaultyServer(tls=context) as store:
        run = run_at(f"{store.url}/result?Signature=canary-signature")
        with pytest.raises(ResultError, match=r"(?i)certificate") as caught:
            connect(store, resilience=TWICE).runs.read(run)
        assert store.requests == []
    assert "canary" not in str(caught.value)


CHECKSUMS = ["x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme", "x-goog-hash"]


@pytest.mark.parametrize("name", CHECKSUMS)
def test_checksums_that_are_not_looked_at(
    connect: Connect, server: FaultyServer, name: str
) -> None:
    """A CRC-32C or CRC-64 promises nothing, as Python has none: a wrong one is not noticed."""
    value = {"x-goog-hash": "crc32c=AAAAAA==", CHECKSUMS[1]: "AAAAAAAAAAA="}.get(name, "AAAAAA==")
    server.on("/result", Reply(b"rivers", headers={name: value}))
    client = connect(server, resilience=TWICE)
    assert client.runs.read(result_of(server), bytes) == b"rivers"
    assert len(server.requests) == 1


def test_a_page_in_place_of_a_result(
    connect: Connect, server: FaultyServer, tmp_path: Path
) -> None:
    """A page of HTML that a store gives as the result is saved as it is, and is not read as anything else."""
    server.on("/result", Reply(PAGE, headers={"Content-Type": "text/html"}))
    client = connect(server, resilience=TWICE)
    (path,) = client.runs.download(result_of(server), tmp_path / "out.json")
    assert path.read_bytes() == PAGE
    for read in (client.runs.read, lambda *args: list(client.runs.records(*args))):
        with pytest.raises(ResultParseError) as caught:
            read(result_of(server), dict[str, int])
        assert "Log in" not in str(caught.value)
    assert len(server.requests) == 3


def test_a_service_that_does_not_know_the_key(connect: Connect, server: FaultyServer) -> None:
    """Where the header means nothing, a start that is sent again gives the run of the answer that arrived."""
    server.on("/flows/f/run", NOTHING, json_reply('{"taskId": "second"}'))
    run = connect(server, resilience=TWICE).flows.start("f", {"text": "é"})
    assert run.task_id == "second"
    first, second = server.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert run.idempotency_key == second.headers["idempotency-key"]


def test_a_bad_day(connect: Connect, server: FaultyServer, tmp_path: Path) -> None:
    """A whole run in which each request fails once, and the first start is lost, ends as if nothing had happened."""
    url = f"{server.url}/result?Signature=canary-signature"
    started = json_reply(json.dumps({"taskId": "t", "signedResponseURL": url}))
    server.on("/flows/f/run", NOTHING, started)
    server.on("/flows/f/status", json_reply("{}", 503), json_reply('{"status": "SUCCEEDED"}'))
    server.on("/result", Reply(b"rivers", cut=3, after="reset"), Reply(b"rivers"))
    run = connect(server, resilience=TWICE).flows.run("f", save_path=tmp_path / "out")
    assert (run.succeeded, run.files) == (True, (tmp_path / "out",))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"rivers"]
    paths = ["/flows/f/run", "/flows/f/status", "/result"]
    assert [request.path for request in server.requests] == [
        p for path in paths for p in [path] * 2
    ]
