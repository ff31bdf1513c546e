"""The statuses of each operation in the shipped document."""

from __future__ import annotations

import pytest

from dcipher._wire.messages.contract import is_documented


@pytest.mark.parametrize(
    ("method", "path", "code", "documented"),
    [
        ("GET", "/flows/f", 200, True),
        ("get", "/flows/f", 404, True),
        ("POST", "/flows/f/run", 422, True),
        ("GET", "/flows/f/status", 503, True),
        ("GET", "/flows/f/status", 206, False),
        ("GET", "/flows/f", 418, False),
        ("GET", "/flows/f", 302, False),
        ("GET", "/elsewhere", 206, True),
        ("DELETE", "/flows/f", 200, True),
        ("GET", "/elsewhere", 418, False),
    ],
)
def test_is_documented(method: str, path: str, code: int, documented: bool) -> None:
    """By the operation, where it is known; else by any of them."""
    assert is_documented(method, path, code) is documented


def test_a_path_is_matched_whole() -> None:
    """A parameter is one segment: a longer path is another one, judged by all the operations."""
    assert is_documented("GET", "/flows/f", 206) is False
    assert is_documented("GET", "/flows/f/g/h", 206) is True
