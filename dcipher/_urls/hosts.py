"""Classifies hosts: this machine, an address, a name. Pure: nothing is resolved.

The one definition of "this machine", for plain http, for proxies and for signed URLs.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias
from urllib.parse import urlsplit

__all__ = ["Address", "address_of", "ascii_host", "is_this_machine", "leads_here", "resolvable"]

Address: TypeAlias = "IPv4Address | IPv6Address"

# RFC 6761 section 6.3: these names always resolve to loopback addresses.
_LOCALHOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*localhost", re.ASCII)


def is_this_machine(host: str) -> bool:
    """Returns whether `host` is this machine: `localhost`, `*.localhost`, 127.0.0.0/8, ::1.

    An unspecified address (0.0.0.0, ::) is not a destination (RFC 1122 section 3.2.1.3), and resolvers
    differ in reading a short or numeric spelling of an address (127.1, 2130706433): neither counts.
    """
    address = address_of(host)
    if address is not None:
        return address.is_loopback
    return _LOCALHOST.fullmatch(_bare(host)) is not None


def leads_here(url: str) -> bool:
    """Returns whether the host of `url` is this machine."""
    return is_this_machine(urlsplit(url).hostname or "")


def resolvable(host: str) -> str:
    """Returns the name to resolve for `host`: for this machine, one that needs no DNS.

    RFC 6761 section 6.3: a name below `localhost` is not looked up in DNS. Not every resolver obeys. For
    most, an address with a trailing dot or an invalid zone is a name.
    """
    if _LOCALHOST.fullmatch(_bare(host)):
        return "localhost"
    address = address_of(host)
    return str(address) if address is not None and address.is_loopback else host


def address_of(host: str) -> Address | None:
    """Returns the address of `host`, without brackets and zone; `None`: it is a name.

    An IPv4 address that is mapped into IPv6 (RFC 4291 section 2.5.5.2) is that IPv4 address.
    """
    bare, percent, _ = _bare(host).partition("%")
    if percent and ":" not in bare:  # only IPv6 has zones (RFC 4007 section 11)
        return None
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def ascii_host(host: str) -> str:
    """Returns the normalized name, as in DNS: lower case, no trailing dot, IDNA 2008 as in httpx."""
    bare = _bare(host)
    if bare.isascii():
        return bare
    import idna

    try:
        return idna.encode(bare).decode()
    except idna.IDNAError:
        return bare


def _bare(host: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host.removesuffix(".").lower()
