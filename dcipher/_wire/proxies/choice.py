"""Chooses the proxy of the environment for a request, if any. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from dcipher._urls.hosts import address_of, ascii_host, is_this_machine
from dcipher.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Named", "Origin", "Proxies", "is_exempt", "unreadable"]

Block: TypeAlias = "IPv4Network | IPv6Network"

_NAME = re.compile(r"(?!(?:.*\.)?[0-9]+\Z)[a-z0-9_.-]+", re.ASCII)
"""A name whose last label is not a number, as that of no name is."""
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_MAPPED = 96
"""Bits before an IPv4 address that is mapped into IPv6 (RFC 4291 section 2.5.5.2)."""


class Origin(NamedTuple):
    """The origin of a URL."""

    scheme: str
    host: str
    port: int | None
    """`None`: the default port of the scheme."""


class Named(NamedTuple):
    """A value, and the variable that it comes from."""

    value: str
    source: str


@dataclass(frozen=True)
class Proxies:
    """The proxies of the environment."""

    by_scheme: Mapping[str, Named] = field(default_factory=dict[str, Named], repr=False)
    """The proxy for `http`, `https` and `all`."""
    no_proxy: str = ""

    def of(self, origin: Origin) -> Named | None:
        """Returns the proxy for a request to `origin`; `None`: the request is sent directly.

        Raises `ConfigurationError` if NO_PROXY contains a proxy with a password.
        """
        named = self.by_scheme.get(origin.scheme) or self.by_scheme.get("all")
        # A remote proxy cannot reach this machine, and would receive the plain text of the request.
        if named is None or is_this_machine(origin.host):
            return None
        return None if is_exempt(origin, self.no_proxy) else named


def is_exempt(origin: Origin, no_proxy: str) -> bool:
    """Returns whether NO_PROXY exempts requests to `origin` from the proxy.

    Its entries are separated by commas or blanks: names, which include their subdomains, with or
    without a leading dot or `*.`; addresses; blocks of addresses (CIDR); or `*` for everything. A
    name or an address may have a port, as for curl and requests, and a scheme, as for httpx.
    """
    # Every entry is parsed: an error does not depend on the entries before it.
    covered = [_covers(number, entry, origin) for number, entry in _entries(no_proxy)]
    return any(covered)


def unreadable(no_proxy: str) -> list[int]:
    """Returns the numbers of the entries, from 1, that are not hosts, such as the path of a socket."""
    return [number for number, entry in _entries(no_proxy) if _read(entry) is None]


def _entries(no_proxy: str) -> list[tuple[int, str]]:
    entries = re.split(r"[,\s]+", no_proxy.strip(", \t\r\n"))
    return [(number, entry) for number, entry in enumerate(entries, 1) if entry]


def _read(entry: str) -> Block | tuple[str, int | None] | None:
    """Parses a block of addresses, or a host and its port. Returns `None` for anything else."""
    _, with_scheme, rest = entry.rpartition("://")
    rest = rest.rstrip("/")
    try:
        return _split_port(rest) if with_scheme or "/" not in rest else _network(rest)
    except ValueError:
        return None


def _covers(number: int, entry: str, origin: Origin) -> bool:
    read = _read(entry)
    if read is None and "@" in entry:
        # A proxy with its password, in the wrong variable: the message must not contain it.
        raise ConfigurationError(
            f"NO_PROXY: entry {number} is neither a host nor a block of addresses."
        )
    if not isinstance(read, tuple):
        return read is not None and _is_within(origin.host, read)
    host, port = read
    scheme, with_scheme, _ = entry.rpartition("://")
    if scheme.lower() not in {"", "all", origin.scheme} or port not in {None, _port_of(origin)}:
        return False
    return host == "*" or (with_scheme and not host) or _is_named(origin.host, host)


def _port_of(origin: Origin) -> int | None:
    return origin.port or {"http": 80, "https": 443}.get(origin.scheme)


def _is_named(host: str, entry: str) -> bool:
    address = address_of(host)
    if address is not None:
        return address == address_of(entry)
    name, known = _name(entry), ascii_host(host)
    return name != "" and (known == name or known.endswith(f".{name}"))


def _split_port(text: str) -> tuple[str, int | None]:
    if address_of(text) is not None:  # ::1 has colons, and no port
        return text, None
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, ""
    # A `*` or a `;` within a name would silently exempt nothing.
    elif not _PORT.fullmatch(port) or (":" in host and address_of(host) is None):
        raise ValueError
    if host not in {"", "*"} and address_of(host) is None and not _NAME.fullmatch(_name(host)):
        raise ValueError
    return host, int(port) if port else None


def _name(entry: str) -> str:
    return ascii_host(entry.removeprefix("*").lstrip("."))


def _network(entry: str) -> Block:
    block, _, length = entry.replace("[", "").replace("]", "").partition("/")
    if ":" not in block:  # 169.254/16, as macOS writes it
        block += ".0" * (3 - block.count("."))
    network = ip_network(f"{block}/{length}", strict=False)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED))  # as `address_of` reads an address


def _is_within(host: str, network: Block) -> bool:
    address = address_of(host)
    return address is not None and address in network
