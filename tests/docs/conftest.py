"""The service of the documentation's examples: the emulator, with their flow."""

from __future__ import annotations

import logging
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.util._once import Once

from dcipher._client.waiting import poll_intervals
from dcipher.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(queue_time=0.0, sample_flows=True) as running:

        @running.flow("65cf2f3e", name="Topics of a text")
        def topics(text: str, top: int = 5) -> list[dict[str, object]]:
            """The words that a text is about, and how often each occurs among them."""
            words = Counter(re.findall(r"[a-z]{4,}", text.lower()))
            total = words.total()
            return [{"label": w, "share": n / total} for w, n in words.most_common(top)]

        @running.flow("several", outputs=2)
        def several(text: str) -> tuple[str, str]:
            """Two files."""
            return text.upper(), text.lower()

        yield running


@pytest.fixture
def hosted(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Emulator]:
    """The environment of a reader, and an empty folder. Loggers are restored."""
    # The runs of the documents end at once: there is no need to wait half a second for each.
    monkeypatch.setattr(poll_intervals, "FIRST_INTERVAL", 0.05)
    monkeypatch.setenv("DCIPHER_BASE_URL", emulator.url)
    monkeypatch.setenv("DCIPHER_API_KEY", emulator.api_key)
    monkeypatch.chdir(tmp_path)
    logger, root = logging.getLogger("dcipher"), logging.getLogger()
    # The guide to OpenTelemetry sets a tracer, as a program does once.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    before = logger.level, list(logger.handlers), root.level, list(root.handlers)
    yield emulator
    logger.level, logger.handlers, root.level, root.handlers = before
