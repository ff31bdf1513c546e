"""What `dcipher doctor` finds, judged: facts in, a verdict and one next command out. Nothing is asked here."""

from __future__ import annotations

import ssl
import sys
from dataclasses import asdict, dataclass, field
from enum import Enum
from shlex import quote
from typing import TYPE_CHECKING, Any

from dcipher._masking.text import clean
from dcipher.cli.app.explanations import explain
from dcipher.errors import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    DcipherError,
    NotFoundError,
    PermissionDeniedError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher.cli.doctor.setting_sources import Explained

__all__ = [
    "Certificate",
    "Check",
    "State",
    "api_check",
    "clock_check",
    "key_check",
    "no_key_check",
    "permission_check",
    "settings_check",
    "tls_check",
    "tls_failure",
]

DAY = 86400.0
SOON = 14
"""Days before its end from which on a certificate is warned of."""
SKEW = 30.0
"""Seconds that a clock may be off: signatures and signed URLs allow for little more."""


class State(str, Enum):
    """What a check came to."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    check: str
    state: State
    detail: str
    next: str | None = None
    """A command that can be pasted."""
    of_key: bool = field(default=False, compare=False)
    """Whether it is about the API key."""

    def record(self) -> dict[str, Any]:
        """For the output."""
        record = asdict(self)
        del record["of_key"]
        return {**record, "state": self.state.value}


def settings_check(found: Explained) -> Check:
    """Whether all settings can be used."""
    if problems := found.all_problems:
        return Check("settings", State.FAILED, " ".join(problems), "dcipher config show")
    if found.unknown:
        detail = " ".join(map(str, found.unknown))
        return Check("settings", State.WARNING, detail, "dcipher config show")
    return Check("settings", State.OK, f"The API is {found.values.base_url}.")


def no_key_check(found: Explained, next_step: str) -> Check | None:
    """Whether there is a key at all. `next_step`: how there will be one."""
    if found.values.api_key is not None:
        return None
    detail = "There is no API key: not in the environment, nor in a file that was named."
    return Check("key", State.FAILED, detail, next_step, of_key=True)


def permission_check(path: Path, mode: int, what: str, wanted: int) -> Check:
    """Whether others on this machine may read what is for its owner alone. `mode` is of the file."""
    detail = f"{path} ({what}) has mode {mode & 0o777:04o}"
    if mode & 0o077:
        fix = f"chmod {wanted:o} {quote(str(path))}"
        return Check("permissions", State.WARNING, f"{detail}: others may read it.", fix)
    return Check("permissions", State.OK, f"{detail}.")


@dataclass(frozen=True)
class Certificate:
    """What a server showed of itself."""

    version: str
    """Of TLS."""
    issuer: str
    expires: float
    """Seconds since the epoch."""


def tls_check(found: Certificate, now: float) -> Check:
    """A handshake that went well."""
    days = int((found.expires - now) / DAY)
    detail = f"{found.version}, certificate by {clean(found.issuer)}, valid for {days} days more."
    return Check("tls", State.WARNING if days < SOON else State.OK, detail)


# OpenSSL's X509_V_ERR_*: not yet valid, expired; and what there is when nobody who is trusted signed.
_TIMES = {9, 10}
_STRANGERS = {2, 18, 19, 20, 21}


def tls_failure(error: OSError, host: str, port: int, trusted: str) -> Check:
    """A handshake that failed. `trusted`: which authorities are."""
    look = (
        f"openssl s_client -connect {host}:{port} -servername {host} </dev/null 2>/dev/null "
        "| openssl x509 -noout -subject -issuer -dates"
    )
    if not isinstance(error, ssl.SSLCertVerificationError):
        said = clean(str(error) or type(error).__name__)
        detail = f"{host}:{port} does not speak TLS as it should ({said}). Is the base URL https, and the port right?"
        return Check("tls", State.FAILED, detail, "dcipher config show")
    detail = f"The certificate of {host}:{port} is not accepted: {clean(error.verify_message)}."
    if error.verify_code in _TIMES:
        detail += " Its service has to renew it, unless the clock of this machine is wrong."
    elif error.verify_code in _STRANGERS:
        detail += (
            f" Trusted are: {trusted}. Where a proxy of yours signs certificates, put its authority "
            "into a file, and name the file by SSL_CERT_FILE."
        )
    else:
        detail += " Is the name in the base URL that of the service?"
    return Check("tls", State.FAILED, detail, look)


def api_check(outcome: DcipherError | None, milliseconds: float) -> Check:
    """Whether what answered is the API. `None`: it knew the flow that no one has."""
    took = f"in {milliseconds:.0f} ms"
    if isinstance(outcome, APIConnectionError):
        return Check("api", State.FAILED, _said(outcome), "dcipher doctor -v")
    if isinstance(outcome, (AuthenticationError, PermissionDeniedError)):
        return Check("api", State.OK, f"It answered {outcome.status_code} {took}.")
    if isinstance(outcome, NotFoundError) and outcome.error is not None:
        detail = (
            f"It answered {took}: it has no flow of the name that was asked for, as it should be."
        )
        return Check("api", State.OK, detail)
    if isinstance(outcome, NotFoundError):
        detail = f"What answered {took} is not the API: its 404 has no message in JSON. Is the base URL right?"
        return Check("api", State.FAILED, detail, "dcipher config show")
    if outcome is not None:
        return Check("api", State.FAILED, _said(outcome), "dcipher doctor -v")
    return Check("api", State.OK, f"It answered {took}.")


def key_check(outcome: DcipherError | None, next_step: str) -> Check:
    """Whether the API takes the key, by what it answered to a question about a flow that is not there.

    `next_step` is for a key that it refuses.
    """
    if isinstance(outcome, AuthenticationError):
        detail = f"The API refuses the key: {_said(outcome)}"
        return Check("key", State.FAILED, detail, next_step, of_key=True)
    if isinstance(outcome, PermissionDeniedError):
        detail = f"The API answered 403 to a question that any key may ask: {_said(outcome)}"
        return Check("key", State.FAILED, detail, next_step, of_key=True)
    if outcome is None or (isinstance(outcome, NotFoundError) and outcome.error is not None):
        detail = (
            "The API takes the key (assumed: it would have said 401 to a wrong one before it looked "
            "for the flow)."
        )
        return Check("key", State.OK, detail)
    return Check("key", State.SKIPPED, "The API gave no answer that tells.")


def clock_check(outcome: DcipherError | None, server: float | None, here: float) -> Check:
    """Whether this machine's clock is that of the API; both in seconds since the epoch."""
    if server is None:
        said = "The answer had no date." if isinstance(outcome, APIStatusError) else "No answer."
        return Check("clock", State.SKIPPED, said)
    skew = here - server
    if abs(skew) <= SKEW:
        return Check(
            "clock", State.OK, f"{abs(skew):.0f} s from the API's, which says whole seconds."
        )
    direction = "ahead of" if skew > 0 else "behind"
    detail = (
        f"This machine is {abs(skew):.0f} s {direction} the API: signatures are refused, and signed URLs "
        "seem to have expired, or do so early."
    )
    return Check("clock", State.FAILED, detail, _SET_CLOCK.get(sys.platform, _SET_CLOCK["linux"]))


def _said(error: DcipherError) -> str:
    return explain(error).message


_SET_CLOCK = {
    "linux": "sudo timedatectl set-ntp true",
    "darwin": "sudo sntp -sS time.apple.com",
    "win32": "w32tm /resync",
}
