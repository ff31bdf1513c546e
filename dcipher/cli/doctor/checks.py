"""The checks of `dcipher doctor`, each with a next command. Pure: facts in, checks out."""

from __future__ import annotations

import socket
import ssl
import sys
from dataclasses import asdict, dataclass, field
from enum import Enum
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from dcipher._masking.text import clean
from dcipher._masking.urls import redact_query
from dcipher._urls.hosts import is_this_machine
from dcipher._wire.errors.causes import chain
from dcipher.cli.app.explanations import explain
from dcipher.errors import (
    APIConnectionError,
    AuthenticationError,
    ConfigurationError,
    DcipherError,
    NotFoundError,
    PermissionDeniedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dcipher._wire.proxies.choice import Named
    from dcipher.cli.doctor.settings import Explained

__all__ = [
    "Certificate",
    "Check",
    "ProbeResponse",
    "State",
    "api_check",
    "clock_check",
    "connection_check",
    "key_check",
    "permission_check",
    "settings_check",
    "skipped",
]

DAY = 86400.0
SOON = 14
"""Days before its end at which a certificate is a warning."""
SKEW = 30.0
"""Seconds that a clock may be off. Signatures and signed URLs tolerate little more."""


class State(str, Enum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One check."""

    check: str
    state: State
    detail: str
    next: str | None = None
    """A command to paste."""
    of_key: bool = field(default=False, compare=False)
    """Whether it is about the API key."""

    def record(self) -> dict[str, Any]:
        """Returns the check as a JSON object."""
        record = asdict(self)
        del record["of_key"]
        return {**record, "state": self.state.value}


class Certificate(NamedTuple):
    """The version of TLS, and the certificate of the server."""

    version: str
    issuer: str
    expires: float
    """Seconds since the epoch."""


class ProbeResponse(NamedTuple):
    """The response of the API to a request for a flow that does not exist."""

    outcome: DcipherError | None
    """`None`: the flow exists."""
    milliseconds: float
    local_time: float
    """The local time in the middle of the request, in seconds since the epoch."""
    server: float | None = None
    """The date of the response."""
    certificate: Certificate | None = None


def settings_check(found: Explained) -> Check:
    """Checks whether all settings are valid."""
    if problems := found.all_problems:
        return Check("settings", State.FAILED, " ".join(problems), "dcipher config show")
    if found.unknown:
        detail = " ".join(map(str, found.unknown))
        return Check("settings", State.WARNING, detail, "dcipher config show")
    return Check("settings", State.OK, f"The API is {found.values.base_url}.")


def skipped(why: str, *names: str) -> Iterator[Check]:
    """Yields checks that were skipped."""
    for name in names:
        yield Check(name, State.SKIPPED, f"Skipped: {why}.")


def permission_check(path: Path, mode: int, what: str, wanted: int) -> Check:
    """Checks whether other users of this machine may read a private file. `mode`: of the file."""
    detail = f"{path} ({what}) has mode {mode & 0o777:04o}"
    if mode & 0o077:
        fix = f"chmod {wanted:o} {quote(str(path))}"
        return Check("permissions", State.WARNING, f"{detail}: other users may read it.", fix)
    return Check("permissions", State.OK, f"{detail}.")


def connection_check(response: ProbeResponse, url: str, proxy: Named | None) -> Check:
    """Checks the connection to the API: the proxy, the name, the port and the certificate."""
    route = "Requests are sent directly."
    if proxy is not None:
        route = f"Requests are sent by {proxy.source}, which is {redact_query(proxy.value)}."
    error = response.outcome
    if isinstance(error, ConfigurationError):  # of a proxy, or certificates
        return Check("connection", State.FAILED, _message(error), "dcipher config show")
    if isinstance(error, APIConnectionError):
        detail = f"{route} {_message(error)}"
        return Check("connection", State.FAILED, detail, _next_step(error, url, proxy))
    if response.certificate is None:
        return Check("connection", State.OK, route)
    days = int((response.certificate.expires - response.local_time) / DAY)
    detail = (
        f"{route} {response.certificate.version}, certificate by {clean(response.certificate.issuer)}, "
        f"valid for {days} more days."
    )
    return Check("connection", State.WARNING if days < SOON else State.OK, detail)


def _next_step(error: DcipherError, url: str, proxy: Named | None) -> str:
    """Returns the command that finds the cause."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    causes = [*chain(error)]
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return (
            f"openssl s_client -connect {host}:{parts.port or 443} -servername {host} </dev/null "
            "2>/dev/null | openssl x509 -noout -subject -issuer -dates"
        )
    if proxy is not None:
        return f"env -u {quote(proxy.source)} dcipher doctor"
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return f"nslookup {quote(host)}"
    if is_this_machine(host):
        return "dcipher emulator start"
    return f"curl -v --max-time 10 {quote(url)}"


def api_check(response: ProbeResponse) -> Check:
    """Checks whether the response is from the API."""
    outcome, took = response.outcome, f"after {response.milliseconds:.0f} ms"
    if isinstance(outcome, AuthenticationError | PermissionDeniedError):
        return Check("api", State.OK, f"It responded with {outcome.status_code} {took}.")
    if outcome is None:
        return Check("api", State.OK, f"It responded {took}.")
    if _found_no_flow(outcome):
        detail = f"It responded {took} that the requested flow does not exist, as expected."
        return Check("api", State.OK, detail)
    if isinstance(outcome, NotFoundError):
        detail = f"The response {took} is not from the API: its 404 has no JSON message. Is the base URL right?"
        return Check("api", State.FAILED, detail, "dcipher config show")
    return Check("api", State.FAILED, _message(outcome), "dcipher doctor -v")


def key_check(outcome: DcipherError | None, next_step: str) -> Check:
    """Checks whether the API accepts the key, by its response for a flow that does not exist.

    `next_step`: the advice for a rejected key.
    """
    if isinstance(outcome, AuthenticationError):
        detail = f"The API rejects the key: {_message(outcome)}"
        return Check("key", State.FAILED, detail, next_step, of_key=True)
    if isinstance(outcome, PermissionDeniedError):
        detail = (
            f"The API responded with 403 to a request that any key permits: {_message(outcome)}"
        )
        return Check("key", State.FAILED, detail, next_step, of_key=True)
    if outcome is None or _found_no_flow(outcome):
        detail = (
            "The API accepts the key (assumed: for an invalid key, it would have responded with 401 "
            "before it looked for the flow)."
        )
        return Check("key", State.OK, detail)
    return Check("key", State.SKIPPED, "The response does not tell.")


def _found_no_flow(outcome: DcipherError) -> bool:
    return isinstance(outcome, NotFoundError) and outcome.error is not None


def clock_check(response: ProbeResponse) -> Check:
    """Compares the clock of this machine with that of the API."""
    if response.server is None:
        return Check("clock", State.SKIPPED, "The response has no date.")
    skew = response.local_time - response.server
    off = f"{abs(skew):.0f} s"
    if abs(skew) <= SKEW:
        return Check("clock", State.OK, f"{off} off the API, whose dates have whole seconds.")
    detail = (
        f"This machine is {off} {'ahead of' if skew > 0 else 'behind'} the API: signatures are "
        "rejected, and signed URLs seem to have expired, or expire early."
    )
    return Check("clock", State.FAILED, detail, _SET_CLOCK.get(sys.platform, _SET_CLOCK["linux"]))


def _message(error: DcipherError) -> str:
    return explain(error).message


_SET_CLOCK = {
    "linux": "sudo timedatectl set-ntp true",
    "darwin": "sudo sntp -sS time.apple.com",
    "win32": "w32tm /resync",
}
