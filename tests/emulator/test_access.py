"""Access control: API key, signature, rate limit. No secret is stored."""

from __future__ import annotations

import asyncio
import json
import logging
import tracemalloc
from typing import TYPE_CHECKING

import httpx
import pytest

from dcipher.emulator import Emulator
from dcipher.emulator.gate.access import RateLimit, SignatureCheck, authenticate
from dcipher.emulator.gate.exchanges import Exchanges
from dcipher.emulator.gate.gate import Gate, Guard
from dcipher.emulator.gate.journal import Journal, masked_headers, masked_query
from dcipher.emulator.gate.refusals import Refusal
from dcipher.signing import HMACSigner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dcipher.emulator.gate.gate import Receive, Scope, Send

KEY = "emu_0123456789"
SECRET = "a shared secret"


def test_the_right_key_passes() -> None:
    """The scheme is case-insensitive (RFC 9110 section 11.1), and blanks around the key are ignored."""
    authenticate(f"Api-Key {KEY}", KEY)
    authenticate(f"api-key  {KEY} ", KEY)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (None, "missing"),
        ("", "must have the form"),
        (KEY, "must have the form"),
        ("Api-Key", "must have the form"),
        (f"Bearer {KEY}", "must have the form"),
        (f"Api-Key {KEY}, Api-Key {KEY}", "not that of this emulator"),
        ("Api-Key emu_another", "not that of this emulator"),
        ("Api-Key emu_é", "not that of this emulator"),
        ("Api-Key live_7d1f9a", "begin with emu_"),
    ],
)
def test_any_other_key_is_401(header: str | None, words: str) -> None:
    """The message has the problem, and never the key."""
    with pytest.raises(Refusal, match=words) as caught:
        authenticate(header, KEY)
    assert caught.value.status == 401
    assert caught.value.headers["WWW-Authenticate"] == "Api-Key"
    assert KEY not in str(caught.value)
    assert "7d1f9a" not in str(caught.value)


def test_authentication_comes_first(emulator: Emulator) -> None:
    """Without the key, a client cannot list flows and paths, or start a run."""
    assert httpx.get(f"{emulator.url}/flows/nope").status_code == 401
    assert httpx.get(f"{emulator.url}/nowhere").status_code == 401
    response = httpx.post(f"{emulator.url}/flows/shout/run", content=b"{")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Api-Key"
    assert emulator.runs == ()


def test_a_large_unauthorized_body_gets_its_answer(emulator: Emulator) -> None:
    """The 401 arrives, instead of a connection that breaks while the body is written."""
    response = httpx.post(f"{emulator.url}/flows/shout/run", content=b"x" * 8_000_000)
    assert response.status_code == 401


def test_the_rate_is_a_bucket() -> None:
    """A second's requests at once, and then one for each new token."""
    now = [0.0]
    limit = RateLimit(2.0, clock=lambda: now[0])
    limit.check()
    limit.check()
    with pytest.raises(Refusal) as caught:
        limit.check()
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "1")
    now[0] = 0.5
    limit.check()
    limit.clear()
    limit.check()
    limit.check()


def test_a_slow_rate_has_retry_after() -> None:
    """Retry-After is in seconds, rounded up."""
    limit = RateLimit(0.3, clock=lambda: 0.0)
    limit.check()
    with pytest.raises(Refusal) as caught:
        limit.check()
    assert caught.value.headers["Retry-After"] == "4"


def test_too_many_requests_are_429(connect: Callable[[Emulator], httpx.Client]) -> None:
    """Over the wire too, after authentication, and a reset fills the bucket."""
    with Emulator(rate=1) as emulator:
        client = connect(emulator)
        assert httpx.get(f"{emulator.url}/flows/x").status_code == 401
        assert client.get("/flows/x").status_code == 404
        response = client.get("/flows/x")
        assert response.status_code == 429
        assert response.headers["retry-after"] == "1"
        assert response.json()["message"].startswith("Too many requests")
        emulator.reset()
        assert client.get("/flows/x").status_code == 404


def signed(
    client: httpx.Client, method: str, path: str, body: bytes = b"", secret: str = SECRET
) -> httpx.Request:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"} if body else {}
    request = client.build_request(method, path, content=body, headers=headers)
    signer = HMACSigner(secret, key_id="test")
    request.headers.update(signer.sign(method, str(request.url), request.headers, body))
    return request


@pytest.fixture
def strict() -> Emulator:
    """An emulator that requires signatures, not started."""
    emulator = Emulator(api_secret=SECRET, require_signature=True, queue_time=0.0)

    @emulator.flow("f")
    def flow(text: str = "") -> str:
        return text

    return emulator


def test_signed_requests_are_served(
    strict: Emulator, connect: Callable[[Emulator], httpx.Client]
) -> None:
    """A GET with a query and a POST with a body pass with the SDK's signatures."""
    body = json.dumps({"pipelineParams": {"text": "é"}}).encode()
    with strict:
        client = connect(strict)
        started = client.send(signed(client, "POST", "/flows/f/run", body))
        assert started.status_code == 200
        path = f"/flows/f/status?taskId={started.json()['taskId']}"
        assert client.send(signed(client, "GET", path)).status_code == 200


def test_unsigned_requests_are_401_if_signatures_are_required(
    strict: Emulator, connect: Callable[[Emulator], httpx.Client]
) -> None:
    """require_signature applies to every request to the API, but not to signed URLs."""
    with strict:
        response = connect(strict).get("/flows/f")
        assert response.status_code == 401
        assert "not signed" in response.json()["message"]
        assert httpx.get(f"{strict.url}/results/x/0").status_code == 403


def test_a_signature_is_accepted_once(
    strict: Emulator, connect: Callable[[Emulator], httpx.Client]
) -> None:
    """The same request is a replay. A reset removes the nonce."""
    with strict:
        client = connect(strict)
        request = signed(client, "GET", "/flows/f")
        assert client.send(request).status_code == 200
        replay = client.send(request)
        assert replay.status_code == 401
        assert "used before" in replay.json()["message"]
        strict.reset()
        assert client.send(request).status_code == 200


def test_a_changed_request_is_401(
    strict: Emulator, connect: Callable[[Emulator], httpx.Client]
) -> None:
    """Another body, another path or another secret does not verify."""
    body = b'{"pipelineParams": {}}'
    with strict:
        client = connect(strict)
        request = signed(client, "POST", "/flows/f/run", body)
        other = client.build_request("POST", "/flows/f/run", content=b"{}", headers=request.headers)
        other.headers["content-length"] = "2"
        assert client.send(other).status_code == 401
        elsewhere = signed(client, "GET", "/flows/f")
        elsewhere.url = elsewhere.url.copy_with(path="/flows/g")
        assert client.send(elsewhere).status_code == 401
        wrong = client.send(signed(client, "GET", "/flows/f", secret="another"))
        assert wrong.status_code == 401
        assert SECRET not in wrong.text


def test_a_signature_without_a_secret_is_401(emulator: Emulator, client: httpx.Client) -> None:
    """The message says that the emulator has no secret."""
    response = client.send(signed(client, "GET", "/flows/shout"))
    assert response.status_code == 401
    assert "api_secret" in response.json()["message"]


def test_a_signature_needs_a_nonce() -> None:
    """Without one, a replay could not be detected."""
    signer = HMACSigner(SECRET, key_id="test", nonce=lambda: "")
    headers = {"authorization": f"Api-Key {KEY}"}
    url = "http://127.0.0.1:1/flows/f"
    headers.update({k.lower(): v for k, v in signer.sign("GET", url, headers, b"").items()})
    with pytest.raises(Refusal, match="no nonce"):
        SignatureCheck(SECRET, required=True).verify("GET", url, headers, b"")


def test_expired_nonces_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nonces of expired signatures are removed if there are many."""
    monkeypatch.setattr("dcipher.emulator.gate.access._MANY_NONCES", 2)
    check = SignatureCheck(SECRET, required=True)
    for number in range(3):
        check._once(f"old{number}", 1000.0, 1001.0)
    check._once("new", 9000.0, None)
    assert set(check._nonces) == {"new"}


def test_the_journal_has_requests_without_secrets(
    emulator: Emulator, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys, cookies and signatures are redacted by name, and the key of the emulator anywhere."""
    caplog.set_level(logging.DEBUG)
    headers = {
        "Idempotency-Key": "k1",
        "Cookie": "session=1234",
        "X-Trace": f"with {emulator.api_key} in it",
    }
    body = {"pipelineParams": {"text": "x"}}
    started = client.post("/flows/shout/run", json=body, headers=headers)
    _ = httpx.get(f"{emulator.url}/flows/shout", headers={"Authorization": "Api-Key live_7d1f"})
    url = started.json()["signedResponseURL"]
    _ = httpx.get(url)
    first, second, third = emulator.requests
    assert (first.method, first.path, first.status) == ("POST", "/flows/shout/run", 200)
    assert first.idempotency_key == first.headers["idempotency-key"] == "k1"
    assert first.request_id == started.headers["x-request-id"]
    assert first.headers["authorization"] == first.headers["cookie"] == "***"
    assert first.headers["x-trace"] == "***"
    assert second.status == 401
    assert third.query.endswith("&Signature=***")
    own = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    seen = f"{emulator.requests!r}{emulator!r}{emulator.runs!r}{[r.getMessage() for r in own]}"
    for secret in (emulator.api_key, "7d1f", "1234", url.rpartition("=")[2]):
        assert secret not in seen


def test_no_part_of_a_request_shows_the_key(
    emulator: Emulator, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Path, query, name of a header, body, method: not in journal, control API, log or response."""
    caplog.set_level(logging.DEBUG, logger="dcipher")
    emulator._service.describe = fails  # type: ignore[method-assign]
    key = emulator.api_key
    hidden = "".join(f"%{byte:02X}" for byte in key.encode())
    responses = [
        client.get(f"/flows/{key}"),
        client.get(f"/flows/shout/{hidden}"),
        client.get("/flows/shout/status", params={"taskId": key, key: "1"}),
        client.get("/flows/shout/status", params={"taskId": hidden}),
        client.get(f"/flows/shout?next=https%3A%2F%2Fh%2F{hidden}"),
        client.post("/flows/shout/run", json={"pipelineParams": {"text": key, key: key}}),
        client.post("/flows/shout/run", json={"pipelineParams": {"text": f"see {key}"}}),
        client.post("/flows/shout/run", content=f"key={hidden}", headers={key: "1"}),
        client.request(key, "/flows/shout"),
        httpx.get(f"{emulator.url}/flows/{key}", headers={"Authorization": f"Api-Key {key}x"}),
    ]
    control = httpx.Client(base_url=emulator.console, headers={"X-Dcipher-Emulator": "1"})
    with control:
        (run,) = emulator.runs
        shown = [
            *(response.text for response in responses),
            repr(emulator.requests),
            *(
                control.get(name).text
                for name in ("state", "runs", "requests", f"runs/{run.task_id}")
            ),
            *(control.get(f"requests/{n}").text for n in range(1, len(responses) + 1)),
            control.get(f"runs/{key}").text,
            control.get(f"{hidden}").text,
            control.post("faults", json={"effects": [{"kind": "raw", "data": key}]}).text,
            control.get("faults").text,
            control.post("faults", json={"effects": [{"kind": key}]}).text,
        ]
    own = [record.getMessage() for record in caplog.records if record.name == "dcipher.emulator"]
    for text in (*shown, *own):
        assert key.lower() not in text.lower()
        assert hidden.lower() not in text.lower()
    assert [record.status for record in emulator.requests][-1] == 401
    assert run.params == {"text": f"see {key}"}  # what the test itself has sent


def fails(flow_id: str) -> bytes:
    raise RuntimeError("this flow cannot be described")


def test_the_body_of_a_request_without_a_key_is_not_stored() -> None:
    """It is read completely, because its client would not receive the 401 otherwise, but takes no memory."""

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("nobody has authorized this")

    async def ask(headers: dict[str, str], path: str) -> int:
        sent = 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(40):
                sent += 1
                yield bytes(1_000_000)

        guard = Guard(KEY, SignatureCheck(None, required=False), None)
        gate = Gate(app, guard, Journal(), Exchanges())
        transport = httpx.ASGITransport(gate)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
            tracemalloc.start()
            try:
                response = await client.post(path, content=body(), headers=headers)
                assert tracemalloc.get_traced_memory()[1] < 10_000_000
            finally:
                tracemalloc.stop()
        assert sent == 40
        return response.status_code

    assert asyncio.run(ask({}, "/flows/f/run")) == 401
    assert asyncio.run(ask({"Authorization": "Api-Key emu_other"}, "/flows/f/run")) == 401
    assert asyncio.run(ask({}, "/results/t/0")) == 500


def test_values_are_redacted_by_name_and_by_value() -> None:
    """A header or parameter is redacted by its name, or if it contains the key."""
    headers = {"x-auth-token": "a", "signature-input": "b", "signature": "c", "accept": "see KEY"}
    assert masked_headers(headers, ["KEY"]) == {
        "x-auth-token": "***",
        "signature-input": "b",
        "signature": "***",
        "accept": "***",
    }
    assert masked_query("taskId=1&X-Amz-Signature=2&empty=") == (
        "taskId=1&X-Amz-Signature=***&empty="
    )
