"""Which proxy of the environment a request goes by, if any. Pure."""

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


class Origin(NamedTuple):
    """Where a request goes."""

    scheme: str
    host: str
    port: int | None
    """`None`: the port that the scheme has anyway."""


class Named(NamedTuple):
    """A value, and the variable that it stands in."""

    value: str
    source: str


@dataclass(frozen=True)
class Proxies:
    """The proxies that the environment names."""

    by_scheme: Mapping[str, Named] = field(default_factory=dict[str, Named], repr=False)
    """`http`, `https` or `all` → the proxy."""
    no_proxy: str = ""

    def of(self, origin: Origin) -> Named | None:
        """The proxy of a request to `origin`; `None`: it goes directly.

        Raises `ConfigurationError` where NO_PROXY holds what belongs into another variable.
        """
        named = self.by_scheme.get(origin.scheme) or self.by_scheme.get("all")
        # A proxy elsewhere cannot reach this machine, and would see what is sent to it in the clear.
        if named is None or is_this_machine(origin.host):
            return None
        return None if is_exempt(origin, self.no_proxy) else named


def is_exempt(origin: Origin, no_proxy: str) -> bool:
    """Whether NO_PROXY says that requests to `origin` go directly.

    It lists, between commas or blanks: names, which stand for all below them, too, with or without
    a leading dot or `*.`; addresses; blocks of addresses (CIDR); or `*` for everything. A name or an
    address may have a port, as for curl and requests, and a scheme, as for httpx.
    """
    # Each is read: whether one is understood does not depend on those before it.
    covered = [_covers(number, entry, origin) for number, entry in _entries(no_proxy)]
    return any(covered)


def unreadable(no_proxy: str) -> list[int]:
    """The numbers of the entries, from 1, that no host can be: the path of a socket, say."""
    return [number for number, entry in _entries(no_proxy) if _read(entry) is None]


def _entries(no_proxy: str) -> list[tuple[int, str]]:
    entries = re.split(r"[,\s]+", no_proxy.strip(", \t\r\n"))
    return [(number, entry) for number, entry in enumerate(entries, 1) if entry]


def _read(entry: str) -> Block | tuple[str, int | None] | None:
    """A block of addresses, or a host and its port; `None`: neither."""
    _, with_scheme, rest = entry.rpartition("://")
    rest = rest.rstrip("/")
    try:
        return _split_port(rest) if with_scheme or "/" not in rest else _network(rest)
    except ValueError:
        return None


def _covers(number: int, entry: str, origin: Origin) -> bool:
    read = _read(entry)
    if read is None and "@" in entry:
        # A proxy with its password, in the wrong variable: not shown, and not ignored.
        raise ConfigurationError(
            f"NO_PROXY: its entry {number} is neither a host nor a block of addresses."
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
    name, known = ascii_host(entry.removeprefix("*").removeprefix(".")), ascii_host(host)
    return known == name or (name != "" and known.endswith(f".{name}"))


def _split_port(text: str) -> tuple[str, int | None]:
    if address_of(text) is not None:  # ::1 has colons, and no port
        return text, None
    host, colon, port = text.rpartition(":")
    if not colon:
        return text, None
    if ":" in host and address_of(host) is None:
        raise ValueError
    return host, int(port)


def _network(entry: str) -> Block:
    block, _, length = entry.partition("/")
    block = block.strip("[]")
    if ":" not in block:  # 169.254/16, as macOS writes it
        block += ".0" * (3 - block.count("."))
    return ip_network(f"{block}/{length}", strict=False)


def _is_within(host: str, network: Block) -> bool:
    address = address_of(host)
    return address is not None and address in network
