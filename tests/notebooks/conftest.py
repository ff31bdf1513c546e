"""A service for notebooks: its address and key are in the environment of their kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dcipher.emulator import Emulator
from tests.conftest import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(api_key=KEY, queue_time=0.0) as running:

        @running.flow("65cf2f3e", name="Topics of a text")
        def topics(text: str, top: int = 5) -> list[dict[str, object]]:
            """The words of a text."""
            return [{"label": word, "share": 0.5} for word in text.split()[:top]]

        @running.flow("endless", duration=3600)
        def endless(text: str) -> str:
            return text

        monkeypatch.setenv("DCIPHER_BASE_URL", running.url)
        monkeypatch.setenv("DCIPHER_API_KEY", KEY)
        monkeypatch.chdir(tmp_path)
        yield running
