"""The verdicts of `dcipher doctor`, each with a next command. Pure: facts in, checks out."""

from __future__ import annotations

import ssl
import sys
import time
from dataclasses import asdict, dataclass, field
from enum import Enum
from shlex import quote
from typing import TYPE_CHECKING, Any

from dcipher._masking.text import clean, redact_query
from dcipher._urls.hosts import is_this_machine
from dcipher.cli.app.explanations import explain
from dcipher.cli.doctor.connection import certificates, origin_of
from dcipher.errors import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    DcipherError,
    NotFoundError,
    PermissionDeniedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dcipher._wire.proxies.choice import Named
    from dcipher.cli.doctor.connection import Attempt, Certificate
    from dcipher.cli.doctor.setting_sources import Explained

__all__ = [
    "Check",
    "State",
    "api_check",
    "clock_check",
    "connection_checks",
    "key_check",
    "permission_check",
    "settings_check",
    "skipped",
    "tls_check",
    "tls_failure",
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


def connection_checks(attempt: Attempt, url: str) -> Iterator[Check]:
    """Yields the checks of an attempt to connect: proxy, dns, tcp, tls."""
    step = attempt.failed_step
    if attempt.proxy is None:
        yield from _direct_checks(attempt, url)
    else:
        yield from _proxy_checks(attempt, attempt.proxy)
    if step in {"dns", "tcp", "proxy"}:
        yield from skipped("there is no connection", "tls")
    elif step == "tls":
        trusted = certificates()
        named = f"those of {trusted.source} ({trusted.value})"
        yield tls_failure(attempt.reason, *origin_of(url)[1:], named)
    elif attempt.certificate is None:
        yield from skipped("the base URL is http", "tls")
    else:
        yield tls_check(attempt.certificate, time.time())


def _direct_checks(attempt: Attempt, url: str) -> Iterator[Check]:
    _, host, port = origin_of(url)
    step, why = attempt.failed_step, _reason(attempt)
    yield Check("proxy", State.OK, "Requests are sent directly.")
    if step == "dns":
        detail = f"The name {host} cannot be resolved: {why}."
        yield Check("dns", State.FAILED, detail, f"nslookup {quote(host)}")
        yield from skipped("there is no address", "tcp")
        return
    yield Check("dns", State.OK, f"{host} is {attempt.address or 'resolved'}.")
    if step != "tcp":
        detail = f"Port {port} accepts connections ({attempt.milliseconds:.0f} ms)."
        yield Check("tcp", State.OK, detail)
        return
    detail = f"Port {port} of {host} accepts no connection: {why}."
    fix = f"curl -v --max-time 10 {quote(url)}"
    if is_this_machine(host):
        detail, fix = f"{detail} Does the emulator run?", "dcipher emulator start"
    yield Check("tcp", State.FAILED, detail, fix)


def _proxy_checks(attempt: Attempt, proxy: Named) -> Iterator[Check]:
    step = attempt.failed_step
    shown = f"{proxy.source} is {redact_query(proxy.value)}"
    if step in {None, "tls"}:
        detail = f"{shown}, which accepts connections ({attempt.milliseconds:.0f} ms)."
        yield Check("proxy", State.OK, detail)
    else:
        problem = "whose name cannot be resolved" if step == "dns" else "which cannot be used"
        without = f"env -u {quote(proxy.source)} dcipher doctor"
        yield Check("proxy", State.FAILED, f"{shown}, {problem}: {_reason(attempt)}.", without)
    yield from skipped("the proxy does it", "dns", "tcp")


def _reason(attempt: Attempt) -> str:
    error = attempt.reason
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return clean(str(text)).rstrip(".")


def tls_check(found: Certificate, now: float) -> Check:
    """Checks the certificate of a successful handshake."""
    days = int((found.expires - now) / DAY)
    detail = f"{found.version}, certificate by {clean(found.issuer)}, valid for {days} more days."
    return Check("tls", State.WARNING if days < SOON else State.OK, detail)


# OpenSSL's X509_V_ERR_*: not yet valid, expired; and no trusted authority.
_TIMES = {9, 10}
_UNTRUSTED = {2, 18, 19, 20, 21}


def tls_failure(error: BaseException | None, host: str, port: int | None, trusted: str) -> Check:
    """Returns the check of a failed handshake. `trusted`: the trusted authorities."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        said = clean(str(error) or type(error).__name__)
        detail = f"The TLS handshake with {host}:{port} failed: {said}. Is the base URL https, and the port right?"
        return Check("tls", State.FAILED, detail, "dcipher config show")
    detail = f"The certificate of {host}:{port} is not accepted: {clean(error.verify_message)}."
    if error.verify_code in _TIMES:
        detail += " The service has to renew it, unless the clock of this machine is wrong."
    elif error.verify_code in _UNTRUSTED:
        detail += (
            f" Trusted authorities: {trusted}. If a proxy of yours signs certificates, write its "
            "authority to a file, and set SSL_CERT_FILE to that file."
        )
    else:
        detail += " Is the name in the base URL that of the service?"
    show = (
        f"openssl s_client -connect {host}:{port} -servername {host} </dev/null 2>/dev/null "
        "| openssl x509 -noout -subject -issuer -dates"
    )
    return Check("tls", State.FAILED, detail, show)


def api_check(outcome: DcipherError | None, milliseconds: float) -> Check:
    """Checks whether the response is from the API. `outcome=None`: the flow exists."""
    took = f"after {milliseconds:.0f} ms"
    if isinstance(outcome, APIConnectionError):
        return Check("api", State.FAILED, _said(outcome), "dcipher doctor -v")
    if isinstance(outcome, (AuthenticationError, PermissionDeniedError)):
        return Check("api", State.OK, f"It responded with {outcome.status_code} {took}.")
    if isinstance(outcome, NotFoundError) and outcome.error is not None:
        detail = f"It responded {took} that the requested flow does not exist, as expected."
        return Check("api", State.OK, detail)
    if isinstance(outcome, NotFoundError):
        detail = f"The response {took} is not from the API: its 404 has no JSON message. Is the base URL right?"
        return Check("api", State.FAILED, detail, "dcipher config show")
    if outcome is not None:
        return Check("api", State.FAILED, _said(outcome), "dcipher doctor -v")
    return Check("api", State.OK, f"It responded {took}.")


def key_check(outcome: DcipherError | None, next_step: str) -> Check:
    """Checks whether the API accepts the key, by its response for a flow that does not exist.

    `next_step`: the advice for a rejected key.
    """
    if isinstance(outcome, AuthenticationError):
        detail = f"The API rejects the key: {_said(outcome)}"
        return Check("key", State.FAILED, detail, next_step, of_key=True)
    if isinstance(outcome, PermissionDeniedError):
        detail = f"The API responded with 403 to a request that any key permits: {_said(outcome)}"
        return Check("key", State.FAILED, detail, next_step, of_key=True)
    if outcome is None or (isinstance(outcome, NotFoundError) and outcome.error is not None):
        detail = (
            "The API accepts the key (assumed: for an invalid key, it would have responded with 401 "
            "before it looked for the flow)."
        )
        return Check("key", State.OK, detail)
    return Check("key", State.SKIPPED, "The response does not tell.")


def clock_check(outcome: DcipherError | None, server: float | None, here: float) -> Check:
    """Compares the clock of this machine with that of the API; both in seconds since the epoch."""
    if server is None:
        said = (
            "The response has no date." if isinstance(outcome, APIStatusError) else "No response."
        )
        return Check("clock", State.SKIPPED, said)
    skew = here - server
    if abs(skew) <= SKEW:
        return Check(
            "clock", State.OK, f"{abs(skew):.0f} s off the API, whose dates have whole seconds."
        )
    direction = "ahead of" if skew > 0 else "behind"
    detail = (
        f"This machine is {abs(skew):.0f} s {direction} the API: signatures are rejected, and signed URLs "
        "seem to have expired, or expire early."
    )
    return Check("clock", State.FAILED, detail, _SET_CLOCK.get(sys.platform, _SET_CLOCK["linux"]))


def _said(error: DcipherError) -> str:
    return explain(error).message


_SET_CLOCK = {
    "linux": "sudo timedatectl set-ntp true",
    "darwin": "sudo sntp -sS time.apple.com",
    "win32": "w32tm /resync",
}
