"""Which proxy of the environment a request goes by, if any. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, NamedTuple

from dcipher._urls.hosts import address_of, ascii_host, is_this_machine
from dcipher.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Named", "Origin", "Proxies", "is_exempt"]


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

        Raises `ConfigurationError` for a NO_PROXY that cannot be understood, where it counts.
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
    entries = re.split(r"[,\s]+", no_proxy.strip(", \t\r\n"))
    # Each is read: whether one is understood does not depend on those before it.
    covered = [_covers(number, entry, origin) for number, entry in enumerate(entries, 1) if entry]
    return any(covered)


def _covers(number: int, entry: str, origin: Origin) -> bool:
    scheme, with_scheme, rest = entry.rpartition("://")
    try:
        if not with_scheme and "/" in entry:
            return _is_within(origin.host, _network(entry))
        host, port = _split_port(rest.rstrip("/"))
    except ValueError:
        # Not shown: what stands in the wrong variable may be a proxy with its password.
        raise ConfigurationError(
            f"NO_PROXY: its entry {number} is neither a host nor a block of addresses."
        ) from None
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


def _network(entry: str) -> IPv4Network | IPv6Network:
    block, _, length = entry.partition("/")
    block = block.strip("[]")
    if ":" not in block:  # 169.254/16, as macOS writes it
        block += ".0" * (3 - block.count("."))
    return ip_network(f"{block}/{length}", strict=False)


def _is_within(host: str, network: IPv4Network | IPv6Network) -> bool:
    address = address_of(host)
    return address is not None and address in network
