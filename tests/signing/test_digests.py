"""Digests of RFC 9530: its examples, malformed headers, and matches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcipher.signing.digests import content_digest, digest_matches, digests


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"hello": "world"}\n',
            "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
        ),
        (
            b'{"hello": "world"}\n',
            (
                "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7y"
                "Z/WkppmM44T3qg==:"
            ),
        ),
        (
            b'{"hello": "world"}',
            "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
        ),
        (
            b'{"hello": "world"}',
            (
                "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVL"
                "vRwEmTHWXvJwew==:"
            ),
        ),
        (b"", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"),
    ],
)
def test_the_digests_of_rfc_9530_are_reproduced(body, expected):
    """The examples of RFC 9530 (and that of no bytes) are reproduced exactly, and match."""
    assert content_digest(body, expected.partition("=")[0]) == expected
    assert digest_matches(expected, body) is True
    assert digest_matches(expected, body + b" ") is False


def test_an_unknown_digest_algorithm_is_rejected():
    """Only the two algorithms that RFC 9530 calls secure are supported."""
    with pytest.raises(ValueError, match="sha-256, sha-512"):
        content_digest(b"", "md5")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", {}),
        ("sha-256", {}),
        ("sha-256=abc", {}),
        ("sha-256=:a:", {}),
        ("sha-256=:a_b:", {}),
        ("SHA-256=:AAAA:", {}),
        ("sha-256=:AAAA:", {"sha-256": b"\0\0\0"}),
        ("sha-256=:AAA:", {"sha-256": b"\0\0"}),
        (" md5=:AAAA:;q=1 ,\tsha-256=:AA==: ", {"md5": b"\0\0\0", "sha-256": b"\0"}),
        ("bad, , sha-256=:AAAA:,", {"sha-256": b"\0\0\0"}),
        ("sha-256=:AAAA:, sha-256=:AQAA:", {"sha-256": b"\1\0\0"}),
        ('x="a\\", sha-256=:AAAA:", md5=:AAAA:', {"md5": b"\0\0\0"}),
        ('md5=:AAAA:;p="never closed, sha-256=:AAAA:', {"md5": b"\0\0\0"}),
    ],
)
def test_digest_headers_are_parsed_leniently(header, expected):
    """Well-formed digests are found by algorithm, malformed ones are ignored."""
    assert digests(header) == expected


DIGEST_FRAGMENTS = st.sampled_from(["sha-256", "=", ":", "AAAA", "A", '"', "\\", ";", ",", " "])


@given(st.text() | st.lists(DIGEST_FRAGMENTS, max_size=20).map("".join))
def test_no_digest_header_raises(header):
    """Any text is parsed without an error."""
    assert all(isinstance(digest, bytes) for digest in digests(header).values())
    assert digest_matches(header, b"") in (True, False, None)


def test_a_match_needs_every_known_digest():
    """One wrong digest is a mismatch. An unknown algorithm is ignored."""
    right, wrong = content_digest(b"x"), content_digest(b"y", "sha-512")
    assert digest_matches(f"{right}, md5=:AAAA:", b"x") is True
    assert digest_matches(f"{right}, {wrong}", b"x") is False
    assert digest_matches("md5=:AAAA:, nonsense", b"x") is None
