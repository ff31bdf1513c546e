"""`dcipher doctor` and `dcipher whoami` find problems, each with real servers."""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
import socket
import subprocess
import threading
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
import trustme

pytest.importorskip("click", reason="the extra `cli` is not installed")

from dcipher._extras.installation import install
from dcipher.cli import main
from dcipher.cli.doctor import diagnosis
from dcipher.cli.doctor.checks import Certificate, ProbeResponse, connection_check
from dcipher.cli.doctor.diagnosis import fingerprint
from tests.conftest import KEY
from tests.faulty import NOTHING, FaultyServer, Reply, json_reply
from tests.wire.transport.test_connecting import (
    Peer,
    black_hole,
    context_of,
    says,
    tunnel_to,
    unused_port,
)

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher.emulator import Emulator

CANARY = "canary-proxy-password"
AWAY = "https://api.dcipher.invalid"
NO_FLOW = '{"message": "There is no such flow."}'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder and an empty state folder; a key; no certificates of the machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DCIPHER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("DCIPHER_API_KEY", KEY)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine trusts the authority, by SSL_CERT_FILE."""
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))


def found(
    capsys: pytest.CaptureFixture[str], url: str | None, code: int, *options: str
) -> dict[str, dict[str, Any]]:
    """Returns the checks by name. A failed one has a command, a skipped one a reason. No secret is printed."""
    given = [] if url is None else ["--base-url", url]
    assert main(["doctor", "--json", *given, *options]) == code
    output, noted = capsys.readouterr()
    checks = json.loads(output)
    for check in checks:
        assert check["detail"]
        assert check["state"] != "failed" or check["next"]
        assert check["state"] != "skipped" or check["next"] is None
    for secret in (KEY, KEY[4:], CANARY):
        assert secret not in output + noted
    return {check["check"]: check for check in checks}


def states(checks: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: check["state"] for name, check in checks.items()}


NAMES = [
    "versions",
    "extras",
    "settings",
    "permissions",
    "connection",
    "api",
    "key",
    "clock",
]


def test_nothing_fails(capsys: pytest.CaptureFixture[str], server: FaultyServer) -> None:
    """With a server that responds like the API, nothing fails. One request is sent, and nothing is started."""
    server.on("*", json_reply(NO_FLOW, 404, Date=formatdate(usegmt=True)))
    checks = found(capsys, server.url, 0)
    assert list(checks) == NAMES
    assert states(checks) == dict.fromkeys(NAMES, "ok")
    assert [request.method for request in server.requests] == ["GET"]
    assert "assumed" in checks["key"]["detail"]


@pytest.mark.usefixtures("trusted")
def test_a_valid_certificate(capsys: pytest.CaptureFixture[str], authority: trustme.CA) -> None:
    """The check names the version of TLS, the issuer of the certificate, and its validity."""
    with FaultyServer(tls=context_of(authority)) as server:
        server.on("*", json_reply(NO_FLOW, 404))
        checks = found(capsys, server.url, 0)
    assert checks["connection"]["state"] == "ok"
    for word in ("sent directly", "TLSv1.", "trustme", "more days"):
        assert word in checks["connection"]["detail"]


@pytest.mark.usefixtures("trusted")
def test_a_certificate_that_ends_soon(
    capsys: pytest.CaptureFixture[str], authority: trustme.CA
) -> None:
    """Two weeks before its end it is a warning, and no failure."""
    soon = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None) + dt.timedelta(days=3)
    with FaultyServer(tls=context_of(authority, not_after=soon)) as server:
        server.on("*", json_reply(NO_FLOW, 404))
        checks = found(capsys, server.url, 0)
    assert checks["connection"]["state"] == "warning"


@pytest.mark.parametrize(
    ("trusts", "options", "words"),
    [
        (True, {"host": "other.example"}, "IP address mismatch"),
        (True, {"not_after": dt.datetime(2020, 1, 1)}, "certificate has expired"),
        (False, {}, "set SSL_CERT_FILE"),
    ],
    ids=["wrong host", "expired", "unknown authority"],
)
def test_an_invalid_certificate(
    capsys: pytest.CaptureFixture[str],
    authority: trustme.CA,
    request: pytest.FixtureRequest,
    trusts: bool,
    options: dict[str, Any],
    words: str,
) -> None:
    """Each cause has its own message, with advice. The key is not sent."""
    if trusts:
        request.getfixturevalue("trusted")
    with FaultyServer(tls=context_of(authority, **options)) as server:
        checks = found(capsys, server.url, 1)
        assert server.requests == []
    assert words in checks["connection"]["detail"]
    assert checks["connection"]["next"].startswith(
        f"openssl s_client -connect 127.0.0.1:{server.port}"
    )
    assert states(checks)["api"] == states(checks)["key"] == "skipped"


def test_a_port_without_tls(capsys: pytest.CaptureFixture[str]) -> None:
    """HTTPS to a port with plain HTTP, or to one that closes the connection, has its own message."""
    plain = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    for response, words in ((plain, "is not secure"), (b"", "There was no response")):
        with Peer(says(response)) as peer:
            checks = found(capsys, f"https://127.0.0.1:{peer.port}", 1)
        assert words in checks["connection"]["detail"]


def test_certificates_that_cannot_be_loaded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """The variable whose path has no certificates is named."""
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "missing.pem"))
    with Peer(says()) as peer:
        checks = found(capsys, f"https://127.0.0.1:{peer.port}", 1)
    assert "SSL_CERT_FILE" in checks["connection"]["detail"]
    assert "missing.pem" in checks["connection"]["detail"]


def test_an_unknown_host(capsys: pytest.CaptureFixture[str]) -> None:
    """Checks that need the name are skipped, with the reason."""
    checks = found(capsys, AWAY, 1)
    assert checks["connection"]["state"] == "failed"
    assert checks["connection"]["next"] == "nslookup api.dcipher.invalid"
    assert [states(checks)[name] for name in ("api", "key", "clock")] == ["skipped"] * 3


def test_a_closed_port(capsys: pytest.CaptureFixture[str]) -> None:
    """On this machine, the advice is to start the emulator."""
    checks = found(capsys, f"http://127.0.0.1:{unused_port()}", 1)
    assert "refused" in checks["connection"]["detail"]
    assert checks["connection"]["next"] == "dcipher emulator start"


def test_no_response(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a response, it ends in time."""
    monkeypatch.setattr(diagnosis, "REQUEST_TIMEOUT", 0.3)
    began = time.monotonic()
    with black_hole() as port:
        checks = found(capsys, f"http://127.0.0.1:{port}", 1)
    assert "connect timeout" in checks["connection"]["detail"]
    assert time.monotonic() - began < 60


def test_a_remote_host_that_refuses_connections(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For another host, the next step is curl."""
    monkeypatch.setattr(diagnosis, "REQUEST_TIMEOUT", 0.3)
    checks = found(capsys, "https://192.0.2.1", 1)  # RFC 5737: nobody has it
    assert checks["connection"]["next"] == "curl -v --max-time 10 https://192.0.2.1"


def test_the_total_time_is_limited() -> None:
    """Without any response, it ends within 15 seconds."""
    assert diagnosis.REQUEST_TIMEOUT < diagnosis.TOTAL_TIMEOUT < 15


def test_a_resolver_without_a_response(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver has no timeout, so the request is abandoned."""
    monkeypatch.setattr(diagnosis, "TOTAL_TIMEOUT", 0.1)
    hang = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hang.wait(60) and [])
    try:
        checks = found(capsys, AWAY, 1)
    finally:
        hang.set()
    assert "No response within 0.1 s" in checks["connection"]["detail"]


# The answer.


@pytest.mark.parametrize(
    ("reply", "code", "api", "key", "words"),
    [
        (json_reply('{"message": "no"}', 401), 4, "ok", "failed", "The API rejects the key"),
        (json_reply('{"message": "no"}', 403), 4, "ok", "failed", "responded with 403"),
        (json_reply(f'{{"message": "bad: {KEY}"}}', 401), 4, "ok", "failed", "rejects the key"),
        (json_reply('{"id": "x"}'), 0, "ok", "ok", "accepts the key"),
        (json_reply('{"message": "oh"}', 500), 1, "failed", "skipped", "does not tell"),
        (Reply(b"<html>", 404), 1, "failed", "skipped", "does not tell"),
        (Reply(b"<html>login</html>"), 1, "failed", "skipped", "does not tell"),
        (NOTHING, 1, "skipped", "skipped", "there is no connection"),
    ],
    ids=[
        "401",
        "403",
        "401 that repeats the key",
        "200",
        "500",
        "another 404",
        "a page",
        "nothing",
    ],
)
def test_responses_of_the_api(
    capsys: pytest.CaptureFixture[str],
    server: FaultyServer,
    reply: Reply,
    code: int,
    api: str,
    key: str,
    words: str,
) -> None:
    """Each response determines the checks of the API and the key. Only a rejected key is exit code 4."""
    server.on("*", reply)
    checks = found(capsys, server.url, code)
    assert (checks["api"]["state"], checks["key"]["state"]) == (api, key)
    assert words in checks["key"]["detail"]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("off", "state", "words"),
    [
        (-3600, "failed", "3600 s ahead of the API"),
        (3600, "failed", "s behind the API"),
        (-5, "ok", "whole seconds"),
        (None, "skipped", "no date"),
    ],
)
def test_the_clock(
    capsys: pytest.CaptureFixture[str],
    server: FaultyServer,
    off: int | None,
    state: str,
    words: str,
) -> None:
    """A server whose date is an hour off is a failure of the clock, which no key has a part in."""
    date = {} if off is None else {"Date": formatdate(time.time() + off, usegmt=True)}
    server.on("*", json_reply(NO_FLOW, 404, **date))
    checks = found(capsys, server.url, 1 if state == "failed" else 0)
    assert checks["clock"]["state"] == state
    assert words in checks["clock"]["detail"].replace("3599", "3600").replace("3601", "3600")


def test_no_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: FaultyServer
) -> None:
    """Without a key, the request has an invalid one: the network and the clock are checked; exit code 4."""
    monkeypatch.delenv("DCIPHER_API_KEY")
    date = formatdate(time.time() - 3600, usegmt=True)
    server.on("*", json_reply('{"message": "no"}', 401, Date=date))
    checks = found(capsys, server.url, 1)
    assert [states(checks)[name] for name in NAMES[4:]] == ["ok", "ok", "failed", "failed"]
    assert checks["key"]["next"].startswith("export DCIPHER_API_KEY=")
    assert server.requests[0].headers["authorization"] == f"Api-Key {diagnosis.NO_KEY}"
    server.on("*", json_reply('{"message": "no"}', 401))
    assert found(capsys, server.url, 4)["key"]["state"] == "failed"
    assert found(capsys, f"http://127.0.0.1:{unused_port()}", 1)["key"]["state"] == "failed"


def test_no_key_and_a_url_of_a_file(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    server: FaultyServer,
) -> None:
    """The invalid key may be sent to a base URL from any source."""
    monkeypatch.delenv("DCIPHER_API_KEY")
    (folder / "local.env").write_text(f"DCIPHER_BASE_URL={server.url}\n")
    server.on("*", json_reply('{"message": "no"}', 401))
    assert states(found(capsys, None, 4, "--env-file", "local.env"))["connection"] == "ok"


# Proxies.


def test_a_proxy_that_is_not_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named with its variable and without its password, and the route around it is the command."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{CANARY}@127.0.0.1:{unused_port()}")
    checks = found(capsys, AWAY, 1)
    assert "by HTTPS_PROXY, which is http://127.0.0.1:" in checks["connection"]["detail"]
    assert "refused" in checks["connection"]["detail"]
    assert checks["connection"]["next"] == "env -u HTTPS_PROXY dcipher doctor"
    assert states(checks)["api"] == "skipped"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (f"http://user:{CANARY}@nowhere.invalid:3128", "Name or service not known"),
        (f"nonsense://user:{CANARY}@h", "HTTPS_PROXY is not a valid proxy"),
    ],
)
def test_invalid_proxies(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, value: str, words: str
) -> None:
    """An unknown host and an invalid proxy have different messages."""
    monkeypatch.setenv("HTTPS_PROXY", value)
    assert words in found(capsys, AWAY, 1)["connection"]["detail"]


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407 Proxy Authentication"),
        (b"garbage\r\n\r\n", "did not open a tunnel (illegal status line"),
        (b"", "did not open a tunnel (Server disconnected"),
    ],
)
def test_a_proxy_that_rejects_the_tunnel(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, response: bytes, words: str
) -> None:
    """Its response is reported."""
    with Peer(says(response)) as peer:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{CANARY}@127.0.0.1:{peer.port}")
        checks = found(capsys, AWAY, 1)
    assert words in checks["connection"]["detail"]
    assert checks["connection"]["next"] == "env -u HTTPS_PROXY dcipher doctor"


@pytest.mark.usefixtures("trusted")
def test_a_proxy_that_works(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, authority: trustme.CA
) -> None:
    """Through a tunnel, the service's own certificate is checked."""
    context = context_of(authority, "api.dcipher.invalid")
    with FaultyServer(tls=context) as server, Peer(tunnel_to(server.port)) as proxy:
        server.on("*", json_reply(NO_FLOW, 404))
        monkeypatch.setenv("https_proxy", f"http://user:{CANARY}@127.0.0.1:{proxy.port}")
        checks = found(capsys, AWAY, 0)
    assert "https_proxy, which is http://127.0.0.1:" in checks["connection"]["detail"]
    assert "more days" in checks["connection"]["detail"]
    assert states(checks)["connection"] == states(checks)["key"] == "ok"


def test_a_proxy_with_tls(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed handshake with it is a failed connection, with the command that avoids the proxy."""
    with Peer(says()) as peer:
        monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{peer.port}")
        checks = found(capsys, AWAY, 1)
    assert checks["connection"]["next"] == "env -u HTTPS_PROXY dcipher doctor"
    assert checks["api"]["state"] == "skipped"


# Settings and files.


def test_invalid_settings_send_no_request(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With invalid settings, nothing is sent."""
    monkeypatch.setenv("DCIPHER_TIMEOUT", "soon")
    checks = found(capsys, None, 1)
    assert checks["settings"]["next"] == "dcipher config show"
    assert {states(checks)[name] for name in NAMES[4:]} == {"skipped"}


def test_an_unknown_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: FaultyServer
) -> None:
    """An unknown variable is a warning."""
    server.on("*", json_reply(NO_FLOW, 404))
    monkeypatch.setenv("DCIPHER_APIKEY", "x")
    checks = found(capsys, server.url, 0)
    assert checks["settings"]["state"] == "warning"
    assert "Is it DCIPHER_API_KEY?" in checks["settings"]["detail"]


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_permissions(
    folder: Path, capsys: pytest.CaptureFixture[str], server: FaultyServer
) -> None:
    """Files that others may read are a warning, each with the command that ends it; then all is well."""
    server.on("*", json_reply(NO_FLOW, 404))
    state = folder / "state"
    state.mkdir(mode=0o755)
    for path in (folder / "it's.env", folder / "key", state / "runs.sqlite3"):
        path.write_text(KEY if path.name == "key" else "")
        path.chmod(0o644)
    options = ("--env-file", "it's.env", "--api-key-file", "key")
    assert main(["doctor", "--json", "--base-url", server.url, *options]) == 0
    checks = [c for c in json.loads(capsys.readouterr().out) if c["check"] == "permissions"]
    assert [check["state"] for check in checks] == ["warning"] * 4
    for check in checks:
        subprocess.run(shlex.split(check["next"]), check=True)  # noqa: S603
    assert (folder / "it's.env").stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700
    assert found(capsys, server.url, 0, *options)["permissions"]["state"] == "ok"


def test_no_home(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: FaultyServer
) -> None:
    """Without a folder for the list of runs, the check is a warning."""

    def nowhere() -> Path:
        raise FileNotFoundError("Could not determine home directory.")

    server.on("*", json_reply(NO_FLOW, 404))
    monkeypatch.setattr(diagnosis, "state_folder", nowhere)
    assert main(["doctor", "--json", "--base-url", server.url]) == 0
    checks = json.loads(capsys.readouterr().out)
    assert any("There is no folder" in check["detail"] for check in checks)


def test_missing_extras(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: FaultyServer
) -> None:
    """A missing extra is not a failure. The check has the command that installs it."""
    server.on("*", json_reply(NO_FLOW, 404))
    monkeypatch.setattr(diagnosis, "_EXTRAS", {"other": ("no-such-distribution",)})
    checks = found(capsys, server.url, 0)
    assert checks["extras"]["state"] == "ok"
    assert checks["extras"]["next"] == install("other")
    monkeypatch.setattr(diagnosis, "_EXTRAS", {"all": ("httpx",)})
    assert found(capsys, server.url, 0)["extras"]["next"] is None


def test_the_text_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json, each check is a line, and the advice follows a failed one."""
    assert main(["doctor", "--base-url", f"http://127.0.0.1:{unused_port()}"]) == 1
    output, noted = capsys.readouterr()
    lines = output.splitlines()
    failed = next(n for n, line in enumerate(lines) if line.startswith("failed"))
    assert lines[failed + 1].split(maxsplit=1) == ["next", "dcipher emulator start"]
    assert "1 failed." in noted
    assert "pasted into a ticket" in noted


def test_a_certificate_with_a_foreign_name() -> None:
    """The names in a certificate are escaped."""
    certificate = Certificate("TLSv1.3", "A\x1b[2J", 86400.0 * 40)
    check = connection_check(ProbeResponse(None, 1.0, 0.0, None, certificate), "https://h", None)
    assert "\x1b" not in check.detail


# whoami


def test_whoami_with_an_emulator(capsys: pytest.CaptureFixture[str], emulator: Emulator) -> None:
    """It shows the key, its target, that this is an emulator, and that the key is accepted."""
    assert main(["whoami", "--json", "--base-url", emulator.url]) == 0
    output, noted = capsys.readouterr()
    assert json.loads(output) == {
        "key": f"set, {len(KEY)} characters",
        "key_source": "DCIPHER_API_KEY",
        "fingerprint": fingerprint(KEY),
        "base_url": emulator.url,
        "base_url_source": "--base-url",
        "service": "an emulator",
        "accepted": True,
    }
    assert KEY not in output + noted


def test_a_rejected_key(
    capsys: pytest.CaptureFixture[str], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known values are printed, and the exit code is 4."""
    monkeypatch.setenv("DCIPHER_API_KEY", "emu_other")
    assert main(["whoami", "--jsonl", "--base-url", emulator.url]) == 4
    output, noted = capsys.readouterr()
    assert json.loads(output)["accepted"] is False
    assert json.loads(output)["fingerprint"] is None
    assert "the api_key of that emulator" in noted
    assert "emu_other" not in output + noted


def test_a_key_that_was_not_checked(
    capsys: pytest.CaptureFixture[str], server: FaultyServer
) -> None:
    """Without a response of the API, it is unknown whether the key is accepted: exit code 1."""
    server.on("*", Reply(b"<html>", 404))
    assert main(["whoami", "--json", "--base-url", server.url]) == 1
    output, noted = capsys.readouterr()
    assert json.loads(output)["accepted"] is None
    assert json.loads(output)["service"] == "unknown"
    assert "dcipher doctor" in noted
    server.on("*", Reply(b"<html>"))
    assert main(["whoami", "--base-url", server.url]) == 1
    assert "service\tunknown" in capsys.readouterr().out
    assert main(["whoami", "--base-url", f"http://127.0.0.1:{unused_port()}"]) == 1


def test_whoami_with_the_hosted_service(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a base URL, the hosted service is used (here it is unreachable)."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused_port()}")
    assert main(["whoami", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["service"] == "the hosted service"


def test_who_without_a_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key it is exit code 4, with settings that cannot be used 2; nothing is sent."""
    monkeypatch.delenv("DCIPHER_API_KEY")
    assert main(["whoami", "--base-url", AWAY]) == 4
    assert "There is no API key" in capsys.readouterr().err
    monkeypatch.setenv("DCIPHER_TIMEOUT", "soon")
    assert main(["whoami", "--base-url", AWAY]) == 2
    assert "positive, finite number" in capsys.readouterr().err


def test_fingerprints() -> None:
    """The fingerprint of a key is stable. It has no part of the key, and a short key has none."""
    assert fingerprint(KEY) == fingerprint(KEY)
    assert fingerprint(KEY) != fingerprint(KEY + "x")
    assert fingerprint("short") is None
    assert KEY[:4] not in str(fingerprint(KEY))
