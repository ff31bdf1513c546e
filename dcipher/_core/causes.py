"""What is behind an exception."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["chain", "tls_cause"]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and all that are behind it, the outermost first; of a group, the first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        group: Sequence[BaseException] = getattr(error, "exceptions", ())
        error = error.__cause__ or error.__context__ or (group[0] if group else None)


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
