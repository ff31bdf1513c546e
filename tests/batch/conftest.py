"""Fixtures for batches: rows, and a fast initial rate."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator takes any rate: what is not about the pace does not wait for it."""
    monkeypatch.setattr("dcipher._batch.pacing.gate.FIRST_RATE", 500.0)
    monkeypatch.setattr("dcipher._batch.pacing.durations.FIRST_UNKNOWN", 0.1)


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [{"id": f"row-{n}", "text": f"t{n}"} for n in range(12)]
