"""Asks the network, each question within its seconds: a name, a port, a tunnel, a handshake."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from dcipher._concurrency.clock import monotonic
from dcipher._masking.text import clean
from dcipher.cli.doctor.checks import Certificate

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Place", "connected", "handshake", "place_of", "resolve", "tunnelled"]

_LONGEST_HEAD = 65536


class Place(NamedTuple):
    """Where a connection goes."""

    host: str
    port: int


def place_of(url: str) -> Place:
    """The host and port of a URL."""
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme.lower(), 1080)
    return Place(parts.hostname or "", parts.port or default)


def resolve(place: Place, timeout: float) -> list[str]:
    """The addresses of a host. Raises `OSError`, TimeoutError among them."""
    found: list[Any] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(*place, type=socket.SOCK_STREAM))
        except OSError as error:
            failed.append(error)
        except UnicodeError:  # a name that IDNA refuses
            failed.append(OSError("it is no name that a host can have"))

    # The system's resolver takes no timeout, and cannot be stopped.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError(f"no answer within {timeout:g} s")
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@contextmanager
def connected(addresses: list[str], port: int, timeout: float) -> Generator[socket.socket]:
    """A connection to the first address that takes one, all within `timeout`. Raises `OSError`."""
    ends = monotonic() + timeout
    failure: OSError = TimeoutError("there is no address")
    for number, address in enumerate(addresses):
        share = max(0.1, (ends - monotonic()) / (len(addresses) - number))
        try:
            connection = socket.create_connection((address, port), timeout=share)
        except OSError as error:
            failure = error
            continue
        with connection:
            connection.settimeout(max(0.1, ends - monotonic()))
            yield connection
        return
    raise failure


def tunnelled(connection: socket.socket, place: Place, proxy: str) -> None:
    """Have a proxy connect to `place`. Raises `OSError` with what it says instead.

    RFC 9110 section 9.3.6.
    """
    authority = f"[{place.host}]" if ":" in place.host else place.host
    lines = [f"CONNECT {authority}:{place.port} HTTP/1.1", f"Host: {authority}:{place.port}"]
    parts = urlsplit(proxy)
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_HEAD:
        piece = connection.recv(4096)
        if not piece:
            break
        answer += piece
    status = answer.partition(b"\r\n")[0].split(b" ", 2)
    if len(status) < 2 or not status[0].startswith(b"HTTP/") or not status[1].startswith(b"2"):
        # Its status alone: a proxy may repeat what it was sent.
        said = clean(status[1].decode("latin-1"), 20) if len(status) > 1 else "nothing"
        raise ConnectionError(f"it opened no tunnel, and answered {said}")


def handshake(connection: socket.socket, host: str, context: ssl.SSLContext) -> Certificate:
    """What a server shows of itself. Raises `OSError`, ssl's among them."""
    with context.wrap_socket(connection, server_hostname=host) as secure:
        shown: Any = secure.getpeercert() or {}
        return Certificate(
            version=secure.version() or "TLS",
            issuer=_name(shown.get("issuer", ())),
            expires=float(ssl.cert_time_to_seconds(shown["notAfter"])),
        )


def _name(parts: Any) -> str:
    names = {key: value for part in parts for key, value in part}
    return str(names.get("organizationName") or names.get("commonName") or "an unnamed authority")
