"""Finds the cause of an exception."""

from __future__ import annotations

import errno
import re
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["chain", "client_certificate_cause", "has_too_many_files", "tls_cause"]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an exception and its causes, the outermost first; of a group, the first exception."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        group: Sequence[BaseException] = getattr(error, "exceptions", ())
        error = error.__cause__ or error.__context__ or (group[0] if group else None)


_TOO_MANY = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS}


def has_too_many_files(error: BaseException) -> bool:
    """Returns whether this process, or this machine, cannot open another file or socket."""
    return any(isinstance(one, OSError) and one.errno in _TOO_MANY for one in chain(error))


# A connection that ended during a handshake; anyio 4.9 reports SSLWantRead for it.
_CUT_OFF = (
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
    ssl.SSLSyscallError,
    ssl.SSLWantReadError,
    ssl.SSLWantWriteError,
)


def tls_cause(error: BaseException) -> ssl.SSLError | None:
    """Returns the failed handshake that caused an exception. httpx raises a ConnectError (observed)."""
    for behind in chain(error):
        cut_off = isinstance(behind, _CUT_OFF)
        if isinstance(behind, ssl.SSLError) and not cut_off:
            return behind
    return None


# The alerts of a server about the client's certificate (RFC 8446 section 6.2), as OpenSSL names them.
_OF_CERTIFICATES = re.compile(
    "ALERT_(CERTIFICATE_|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|NO_CERTIFICATE|UNKNOWN_CA)"
)


def client_certificate_cause(error: BaseException) -> ssl.SSLError | None:
    """Returns the alert of a server that rejected or requires a client certificate.

    With TLS 1.3, it comes after the handshake, instead of the first response. The request was not
    read: a server reads nothing before it has accepted the client's handshake (RFC 8446 section
    4.4.2.4).
    """
    for behind in chain(error):
        # It has a `reason` only if OpenSSL created it; the text is the same.
        if isinstance(behind, ssl.SSLError) and _OF_CERTIFICATES.search(str(behind)):
            return behind
    return None
