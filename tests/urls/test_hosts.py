"""The kinds of hosts: this machine, an address, a name."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcipher._urls.hosts import address_of, ascii_host, is_this_machine, resolvable

HERE = [
    "localhost",
    "LOCALHOST.",
    "api.localhost",
    "a.b-c.Localhost.",
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "127.0.0.1.",
    "::1",
    "[::1]",
    "[::1%lo]",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    "[::FFFF:7f00:2]",
]
ELSEWHERE = [
    "",
    ".",
    "10.0.0.1",
    "128.0.0.1",
    "::2",
    "fe80::1%lo",
    "::ffff:10.0.0.1",
    "localhost.example.com",
    "notlocalhost",
    "local",
    "localhost..",
    ".localhost",
    "a b.localhost",
    "evil.example\\.localhost",
    "evil.example%2e.localhost",
    "é.localhost",
    "127.0.0.1.example.com",
    "127.0.0.1%x.example.com",
    "127.0.0.1%25x",
    "[127.0.0.1%lo]",
    "127.0.0.1%",
    # No destination.
    "0.0.0.0",  # noqa: S104 - a text
    "::",
    "::ffff:0.0.0.0",
    # No spelling that every resolver reads alike.
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "127.1",
    "0177.0.0.1",
    "127.0.0.01",
    "::127.0.0.1",
]


@pytest.mark.parametrize("host", HERE)
def test_this_machine(host: str) -> None:
    """This machine by name, by any loopback address, and in every spelling of these."""
    assert is_this_machine(host)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_elsewhere(host: str) -> None:
    """A name that only resembles this machine is another host."""
    assert not is_this_machine(host)


@given(st.ip_addresses())
@settings(max_examples=200)
def test_addresses(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """An address is this machine if the standard library calls it loopback, mapped or not."""
    # Before Python 3.13, a mapped address is not loopback there.
    plain = getattr(address, "ipv4_mapped", None) or address
    assert is_this_machine(str(address)) is plain.is_loopback
    if isinstance(address, ipaddress.IPv4Address):
        mapped = f"[::ffff:{address}]"
        assert address_of(mapped) == address
        assert is_this_machine(mapped) is address.is_loopback


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("EXAMPLE.com.", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("[::1]", "::1"),
    ],
)
def test_names_are_compared_as_in_dns(host: str, name: str) -> None:
    """Case, a trailing dot and the alphabet make no difference."""
    assert ascii_host(host) == name


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("localhost.", "localhost"),
        ("api.LOCALHOST", "localhost"),
        ("127.0.0.1.", "127.0.0.1"),
        ("::1%25lo", "::1"),
        ("::1%example.com", "::1"),
        ("[::1]", "::1"),
        ("::ffff:127.0.0.2", "127.0.0.2"),
        ("api.example", "api.example"),
        ("10.0.0.1.", "10.0.0.1."),
    ],
)
def test_this_machine_is_not_resolved_by_dns(host: str, asked: str) -> None:
    """It is connected to as `localhost`, or by its address, so that no resolver can redirect it."""
    assert resolvable(host) == asked


@given(st.text(max_size=20))
def test_any_text_is_a_host_or_none(text: str) -> None:
    """No text raises an exception."""
    is_this_machine(text)
    is_this_machine(f"{text}.localhost")
    ascii_host(text)
