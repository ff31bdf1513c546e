"""The proxy of the environment for a request."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcipher._wire.proxies.choice import Named, Origin, Proxies, is_exempt, unreadable
from dcipher.errors import ConfigurationError

HTTP, HTTPS, ALL = (Named(f"http://{name}", f"{name}_PROXY") for name in ("HTTP", "HTTPS", "ALL"))


def origin(host: str, scheme: str = "https", port: int | None = None) -> Origin:
    return Origin(scheme, host, port)


def test_the_scheme_takes_precedence_over_all() -> None:
    """ALL_PROXY is for the schemes that have no proxy of their own."""
    proxies = Proxies({"http": HTTP, "all": ALL})
    assert proxies.of(origin("h", "http")) == HTTP
    assert proxies.of(origin("h")) == ALL
    assert Proxies({"https": HTTPS}).of(origin("h", "http")) is None


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host", ["localhost", "x.localhost", "127.0.0.2", "::1", "::ffff:127.9.9.9"]
)
def test_this_machine_has_no_proxy(host: str, scheme: str) -> None:
    """A proxy would see what is sent to this machine in the clear; NO_PROXY is not asked."""
    proxies = Proxies({"http": HTTP, "https": HTTPS, "all": ALL}, "::::")
    assert proxies.of(origin(host, scheme, 9)) is None


@pytest.mark.parametrize(
    ("no_proxy", "host", "exempt"),
    [
        ("", "a.example", False),
        (" , ,", "a.example", False),
        ("*", "a.example", True),
        ("b.example, *", "a.example", True),
        ("a.example", "a.example", True),
        ("A.Example.", "a.example", True),
        ("a.example", "A.EXAMPLE.", True),
        ("example", "a.example", True),
        (".example", "a.example", True),
        ("*.example", "a.example", True),
        (".a.example", "a.example", True),
        ("ample", "a.example", False),
        ("xa.example", "a.example", False),
        ("a.example.com", "a.example", False),
        (".", "a.example", False),
        ("x,a.example", "a.example", True),
        ("x a.example", "a.example", True),
        ("x ,\ta.example ", "a.example", True),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("xn--bcher-kva.example", "bücher.example", True),
        # Addresses and blocks.
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.11", False),
        ("0.0.1", "10.0.0.1", False),
        ("10.0.0.0/8", "10.2.3.4", True),
        ("10.2.3.4/8", "10.9.9.9", True),
        ("10.0.0.0/255.0.0.0", "10.2.3.4", True),
        ("10.0.0.0/8", "11.2.3.4", False),
        ("10.0.0.0/8", "::ffff:10.2.3.4", True),
        ("10.0.0.0/8", "10.example", False),
        ("0.0.0.0/0", "8.8.8.8", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("169.254/16", "169.254.7.7", True),
        ("2001:db8::/32", "2001:db8:1::5", True),
        ("[2001:db8::]/32", "[2001:db8:1::5]", True),
        ("2001:db8::/32", "2001:db9::5", False),
        ("2001:DB8::1", "[2001:db8:0::1]", True),
        ("[2001:db8::1]", "2001:db8::1", True),
        ("[2001:db8::/32]", "2001:db8::1", True),
        # Blocks of IPv4 addresses that are mapped into IPv6; `::/0` is IPv6 alone.
        ("::ffff:10.0.0.0/104", "10.2.3.4", True),
        ("::ffff:10.0.0.0/104", "::ffff:10.2.3.4", True),
        ("[::FFFF:a00:0]/104", "10.2.3.4", True),
        ("::ffff:10.0.0.0/104", "11.2.3.4", False),
        ("::ffff:0:0/96", "10.2.3.4", True),
        ("::/0", "10.2.3.4", False),
        ("::/0", "2001:db8::1", True),
        # IDNA 2008, as httpx sends it: two names, of which IDNA 2003 made one.
        ("xn--strae-oqa.example", "straße.example", True),
        ("strasse.example", "straße.example", False),
        ("..a.example", "b.a.example", True),
    ],
)
def test_exemptions(no_proxy: str, host: str, exempt: bool) -> None:
    """Names with what is below them, addresses, blocks of addresses, everything; as curl and requests."""
    assert is_exempt(origin(host), no_proxy) is exempt
    proxies = Proxies({"https": HTTPS}, no_proxy)
    assert (proxies.of(origin(host)) is None) is exempt


@pytest.mark.parametrize(
    ("no_proxy", "where", "exempt"),
    [
        ("a.example:8080", origin("a.example", port=8080), True),
        ("a.example:8080", origin("a.example"), False),
        ("a.example:443", origin("a.example"), True),
        ("a.example:80", origin("a.example", "http"), True),
        ("a.example:80", origin("a.example"), False),
        ("*:8080", origin("a.example", port=8080), True),
        ("*:8080", origin("a.example"), False),
        ("10.0.0.1:8080", origin("10.0.0.1", port=8080), True),
        ("[2001:db8::1]:8080", origin("2001:db8::1", port=8080), True),
        ("[2001:db8::1]:8080", origin("2001:db8::1"), False),
        ("https://a.example", origin("a.example"), True),
        ("https://a.example/", origin("a.example"), True),
        ("http://a.example", origin("a.example"), False),
        ("ALL://a.example", origin("a.example", "http"), True),
        ("https://", origin("a.example"), True),
        ("https://a.example:8443", origin("a.example"), False),
    ],
)
def test_exemptions_of_a_port_or_a_scheme(no_proxy: str, where: Origin, exempt: bool) -> None:
    """A port is compared with the one that the scheme has, where the URL names none."""
    assert is_exempt(where, no_proxy) is exempt


UNREADABLE = [
    *("::::", "10.0.0.0/99", "10.0.0.0/x", "a.example/24", "a.example:port", "a:b:80", "/8"),
    *("/var/run/docker.sock", "unix:///var/run/docker.sock:x", "a.b.c:*", "C:\\pipe:x"),
    # Other programs' lists: they would exempt nothing, in silence.
    *("10.*", "a.*.example", "x;a.example", "x|a.example", "<local>", "'a.example'", "10.1-10.9"),
    *("192.168.", "a.example:+443", "a.example:٤٤٣", "a.example#", "*."),
]


@pytest.mark.parametrize("entry", UNREADABLE)
def test_an_entry_that_is_none(entry: str) -> None:
    """It exempts nothing, whatever else is listed does, and its number is known."""
    listed = f"localhost,{entry} b.example"
    assert not is_exempt(origin("a.example"), listed)
    assert is_exempt(origin("b.example"), listed)
    assert unreadable(listed) == [2]


@pytest.mark.parametrize("entry", ["a.example/", "10.0.0.0/8/", "[::1]/", "a.example:80/"])
def test_an_entry_with_a_slash_at_its_end(entry: str) -> None:
    """It is the entry without it."""
    assert unreadable(entry) == []
    assert is_exempt(origin("a.example", "http"), entry) is ("a.example" in entry)


@pytest.mark.parametrize("entry", ["u:p@h:9", "http://u:p@h:9", "u:p@h/8"])
def test_a_proxy_among_the_exemptions(entry: str) -> None:
    """It is not ignored in silence, and not shown; but nobody asks for it where there is no proxy."""
    with pytest.raises(ConfigurationError, match="NO_PROXY: entry 2") as caught:
        is_exempt(origin("a.example"), f"a.example,{entry}")
    assert entry not in str(caught.value)
    assert Proxies({"http": HTTP}, entry).of(origin("a.example")) is None


@given(st.text(max_size=30), st.text(max_size=15))
@settings(max_examples=200)
def test_any_list_is_read_or_refused(no_proxy: str, host: str) -> None:
    """Whatever is listed: an answer, or a `ConfigurationError`."""
    with suppress(ConfigurationError):
        assert is_exempt(origin(host), no_proxy) in {True, False}


def test_a_proxy_is_not_in_the_repr() -> None:
    """A proxy may have a password."""
    assert "canary" not in repr(Proxies({"http": Named("http://u:canary@h", "HTTP_PROXY")}))
