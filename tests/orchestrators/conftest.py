"""A Dcipher service for the orchestrators, and a search for its secrets in what they keep."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest

from dcipher import Dcipher
from dcipher.emulator import Emulator
from tests.conftest import KEY
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Service:
    """An emulator. Its flow `topics` returns 2,000 rows, and waits for `go` before it does."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.url = emulator.url
        self.go = threading.Event()
        self.go.set()
        self.is_broken = False
        emulator.flow("topics")(self._topics)

    def _topics(self, text: str) -> list[dict[str, object]]:
        self.go.wait(60)
        if self.is_broken:
            message = "no topics today"
            raise ValueError(message)
        return [{"label": text, "number": n} for n in range(2000)]

    def sent(self, path: str) -> int:
        """Return how many requests there were whose path has this part."""
        return sum(path in request.path for request in self.emulator.requests)

    def at(self, reached: Callable[[], object], act: Callable[[], object]) -> threading.Thread:
        """Act as soon as something is so, in a thread."""
        thread = threading.Thread(target=lambda: until(reached) and act(), daemon=True)
        thread.start()
        return thread

    def secrets(self) -> list[str]:
        """Return the key, and the signature of each signed URL. The path alone opens nothing."""
        found = [KEY]
        with Dcipher(KEY, base_url=self.url) as client:
            for run in self.emulator.runs:
                key = run.idempotency_key
                outputs = client.flows.start(run.flow_id, run.params, idempotency_key=key).outputs
                urls = [o.url.get_secret_value() for o in outputs if o.url is not None]
                values = [value for url in urls for _, value in parse_qsl(urlsplit(url).query)]
                found += [value for value in values if len(value) > 20]
                assert len(found) > 1
        return found

    def leaked(self, text: str) -> list[str]:
        """Return the secrets in a text, which must not be empty."""
        assert text
        return [secret for secret in self.secrets() if secret in text]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The environment of the test names it, too."""
    with Emulator(api_key=KEY, queue_time=0.0) as emulator:
        monkeypatch.setenv("DCIPHER_BASE_URL", emulator.url)
        monkeypatch.setenv("DCIPHER_API_KEY", KEY)
        running = Service(emulator)
        yield running
        running.go.set()
