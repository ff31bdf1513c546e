"""The three kinds of downloads, and an existing file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anyio.from_thread import BlockingPortal

    from tests.conftest import Connect


@pytest.fixture(params=["sync", "async", "through a client of the user's"])
def kind(request: pytest.FixtureRequest) -> str:
    """Async downloads run in a thread, whose requests may go by an async httpx client of the user's."""
    return str(request.param)


@pytest.fixture
def connect(connect: Connect, kind: str, portal: BlockingPortal) -> Iterator[Connect]:
    """Returns a client of one of the three kinds."""
    given: list[httpx.AsyncClient] = []

    def make(server: Any = None, **kwargs: Any) -> Any:
        if kind not in {"sync", "async"} and "http_client" not in kwargs:
            given.append(httpx.AsyncClient(follow_redirects=True))
            kwargs["http_client"] = given[-1]
        return connect(server, **kwargs)

    yield make
    for client in given:
        portal.call(client.aclose)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file that is there before the download."""
    path = tmp_path / "result.bin"
    path.write_bytes(b"old")
    return path
