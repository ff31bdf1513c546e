"""What is behind an exception."""

from __future__ import annotations

import errno
import re
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["chain", "client_certificate_cause", "has_too_many_files", "tls_cause"]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and all that are behind it, the outermost first; of a group, the first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        group: Sequence[BaseException] = getattr(error, "exceptions", ())
        error = error.__cause__ or error.__context__ or (group[0] if group else None)


_TOO_MANY = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS}


def has_too_many_files(error: BaseException) -> bool:
    """Whether this process, or this machine, has no room for another file or socket."""
    return any(isinstance(one, OSError) and one.errno in _TOO_MANY for one in chain(error))


# A connection that ended within a handshake; to wait for more of it is what anyio 4.9 says of one.
_CUT_OFF = (
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
    ssl.SSLSyscallError,
    ssl.SSLWantReadError,
    ssl.SSLWantWriteError,
)


def tls_cause(error: BaseException) -> ssl.SSLError | None:
    """The failed handshake behind an exception. httpx calls it a ConnectError like any other (observed)."""
    for behind in chain(error):
        cut_off = isinstance(behind, _CUT_OFF)
        if isinstance(behind, ssl.SSLError) and not cut_off:
            return behind
    return None


# What a server says of a client's certificate, or of none (RFC 8446 section 6.2), as OpenSSL writes
# it.
_OF_CERTIFICATES = re.compile(
    "ALERT_(CERTIFICATE_|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|NO_CERTIFICATE|UNKNOWN_CA)"
)


def client_certificate_cause(error: BaseException) -> ssl.SSLError | None:
    """The alert of a server that refused the client's certificate, or wants one, behind an exception.

    With TLS 1.3 it comes after the handshake, in place of the first answer. The request was not
    read: a server reads nothing before it is content with the client's handshake (RFC 8446 section
    4.4.2.4).
    """
    for behind in chain(error):
        # Its `reason` is there only where OpenSSL made it; the words of it are the same.
        if isinstance(behind, ssl.SSLError) and _OF_CERTIFICATES.search(str(behind)):
            return behind
    return None
