"""A real Chromium, and a page of it that lets no error and no foreign request pass."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.waiting import HANG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page

    from dcipher.emulator import Emulator

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
WAIT = HANG * 1000  # milliseconds


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt install chromium, or set CHROMIUM to its path")
    from playwright.sync_api import sync_playwright

    # A browser of root, as in a container, has no sandbox.
    words = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=words)
        yield launched
        launched.close()


@dataclass
class Seen:
    """Errors and requests of a page."""

    origin: str
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()
    """Words of the errors that the browser itself logs for answers that a test provokes."""

    def log(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(message.text)

    def check(self) -> None:
        """Checks that there was no error, and no request to another host."""
        left = [e for e in self.errors if not any(words in e for words in self.expected)]
        assert left == []
        assert [
            url for url in self.requests if not url.startswith(f"{self.origin}/_emulator/")
        ] == []


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    from dcipher.emulator import Emulator

    with Emulator(sample_flows=True, queue_time=0.05) as running:
        yield running


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., tuple[Page, Seen]]]:
    """Opens the console of an emulator in its own window, and checks it at the end."""
    opened: list[Seen] = []
    contexts = []

    def open_page(emulator: Emulator, *, width: int = 1200, **options: object) -> tuple[Page, Seen]:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        seen = Seen(emulator.url)
        opened.append(seen)
        page.on("console", seen.log)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("dialog", lambda dialog: (seen.errors.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: seen.requests.append(request.url))
        page.goto(emulator.console)
        return page, seen

    yield open_page
    for context in contexts:
        context.close()
    for seen in opened:
        seen.check()
