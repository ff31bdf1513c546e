"""Content-Encoding: decoded completely, verified and bounded."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcipher._wire.messages.encodings import Inflater, encoding_of

MIB = 1024 * 1024


def inflated(chunks: list[bytes], encoding: str = "gzip", limit: int = 64 * MIB) -> bytes:
    inflater = Inflater(encoding, lambda _: limit)
    pieces = [piece for chunk in chunks for piece in inflater.feed(chunk)]
    inflater.finish()
    assert all(0 < len(piece) <= MIB for piece in pieces)
    return b"".join(pieces)


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", None),
        ("identity", None),
        (" Identity , ", None),
        ("gzip", "gzip"),
        ("X-GZip", "gzip"),
        ("deflate", "deflate"),
        ("identity, gzip", "gzip"),
        ("aws-chunked", None),
        ("aws-chunked,gzip", "gzip"),
        ("gzip, AWS-Chunked", "gzip"),
        ("aws-chunked, identity, x-gzip", "gzip"),
        ("UTF-8", None),
        ("utf8,deflate", "deflate"),
        ("none", None),
        ("binary", None),
        ("7bit", None),
        ("null", None),
        ('"gzip"', "gzip"),
        ("gzip;q=1.0", "gzip"),
        ("ISO-8859-1, gzip", "gzip"),
        ("windows-1252", None),
        ("utf-16le", None),
        ("charset=utf-8", None),
        ("application/json; charset=utf-8", None),
    ],
)
def test_encoding_of(header: str, encoding: str | None) -> None:
    """Names have no case; the framing of an upload, a charset and words for none are none."""
    assert encoding_of(header) == encoding


@pytest.mark.parametrize(
    "header",
    [
        "br",
        "zstd",
        "gzip, gzip",
        "deflate, gzip",
        "aws-chunked, br",
        "x-deflate",
        "\x1b",
        "emu_KEY",
    ],
)
def test_encoding_that_was_not_asked_for(header: str) -> None:
    """What was not asked for is refused, in clean words."""
    with pytest.raises(ValueError, match="is not supported") as caught:
        encoding_of(header)
    assert "\x1b" not in str(caught.value)
    assert "emu_key" not in str(caught.value).lower()  # it may repeat anything


@given(st.text())
@settings(deadline=None)
def test_any_header_is_an_encoding_or_refused(header: str) -> None:
    """Whatever the header: one of two names, none, or ValueError."""
    try:
        assert encoding_of(header) in {None, "gzip", "deflate"}
    except ValueError as error:
        assert "is not supported" in str(error)  # noqa: PT017 - either is right


@given(st.lists(st.binary(max_size=200), max_size=4), st.integers(1, 50), st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_was_encoded_comes_back(members: list[bytes], size: int, is_gzip: bool) -> None:
    """Several members (RFC 1952 section 2.2), in chunks of any size, give the whole."""
    encoded = b"".join(map(gzip.compress if is_gzip else zlib.compress, members))
    chunks = [encoded[i : i + size] for i in range(0, len(encoded), size)]
    assert inflated(chunks, "gzip" if is_gzip else "deflate") == b"".join(members)


@given(st.binary(max_size=300), st.data())
@settings(max_examples=150, deadline=None)
def test_a_cut_is_noticed(content: bytes, data: st.DataObject) -> None:
    """A body that ends before its last member does is not taken for whole, wherever it was cut."""
    encoded = gzip.compress(b"first") + gzip.compress(content)
    first = len(gzip.compress(b"first"))
    cut = data.draw(st.integers(1, len(encoded) - 1).filter(lambda n: n != first))
    with pytest.raises(ValueError, match="truncated"):
        inflated([encoded[:cut]])


def test_damage_is_noticed() -> None:
    """A wrong checksum, a wrong length and what is no gzip at all are refused."""
    encoded = bytearray(gzip.compress(b"content"))
    for position in (0, -5, -1):
        damaged = bytearray(encoded)
        damaged[position] ^= 1
        with pytest.raises(ValueError, match="broken"):
            inflated([bytes(damaged)])


def test_what_follows_the_last_member_is_noticed() -> None:
    """Bytes after the end are no silent extra."""
    with pytest.raises(ValueError, match="broken"):
        inflated([gzip.compress(b"content") + b"<html>"])


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]), st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_decoded_or_refused(body: bytes, encoding: str, size: int) -> None:
    """Whatever arrives: bytes, or ValueError, and nothing else."""
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" if encoding == "gzip" else b"\x78\x9c"
    for candidate in (body, header + body):
        chunks = [candidate[i : i + size] for i in range(0, len(candidate), size)]
        try:
            inflated(chunks, encoding)
        except ValueError as error:
            assert "compressed body" in str(error)  # noqa: PT017 - either is right


def test_nothing_is_nothing() -> None:
    """An empty body is no broken one."""
    assert inflated([]) == inflated([b""]) == b""


def test_large_content_comes_in_pieces() -> None:
    """What expands a thousandfold comes in pieces of a megabyte at most, whole."""
    content = b"x" * (3 * MIB + 5)
    assert inflated([gzip.compress(content)]) == content


def test_a_bomb_is_defused() -> None:
    """More than the limit is refused as soon as it is passed, not after."""
    bomb = zlib.compress(b"\0" * 20 * MIB, 9)
    pieces: list[bytes] = []
    with pytest.raises(ValueError, match=rf"\d+ bytes expand to more than {2 * MIB}"):
        pieces.extend(Inflater("deflate", lambda _: 2 * MIB).feed(bomb))
    assert sum(map(len, pieces)) <= 2 * MIB


def test_the_limit_may_grow_with_what_arrived() -> None:
    """A limit in proportion to the encoded bytes lets ordinary text through."""
    content = b"a,b\n" * 1000
    inflater = Inflater("gzip", lambda encoded: encoded * 250)
    assert b"".join(inflater.feed(gzip.compress(content))) == content
