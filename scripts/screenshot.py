"""Takes the screenshot of the console for the documentation.

    python scripts/screenshot.py            writes docs/images/console.png

It needs Chromium and the dependency group `browser`. The runs in the picture are real runs of the
emulator's sample flows. Their times and ids differ each time, so that no test compares it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from dcipher import Dcipher, RunFailedError
from dcipher.emulator import Emulator
from dcipher.emulator.faults import Respond

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "console.png"
LARGEST = 200_000
DOCUMENTS = ["Rivers flow into lakes.", "Lakes freeze in a cold winter.", "A winter without snow."]


def main() -> None:
    """Writes the picture, and prints its size."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        raise SystemExit("There is no Chromium: apt install chromium, or set CHROMIUM to its path.")
    with Emulator(port=8787, sample_flows=True, queue_time=0.2) as emulator:
        fill(emulator)
        take(emulator, chromium)
    size = PICTURE.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{PICTURE.name} has {size} bytes: more than {LARGEST}.")
    print(f"{PICTURE.relative_to(ROOT)}: {size} bytes")


def fill(emulator: Emulator) -> None:
    """Starts runs: some that succeed, one that fails, one that continues."""

    @emulator.flow("65cf2f3e", name="Summary", duration=60)
    def summary(text: str) -> str:
        return text[:10]

    @emulator.flow("a41b07c2", name="Sentiment", duration=0.4)
    def sentiment(text: str) -> str:
        raise ValueError(f"the language of {text!r} is not known")

    with Dcipher(emulator.api_key, base_url=emulator.url) as client:
        run = client.flows.run("keywords", {"documents": DOCUMENTS, "top": 1})
        client.runs.read(run)
        emulator.fault("status", Respond(503, headers={"Retry-After": "0.1"}), times=2)
        client.flows.run("topics", {"documents": DOCUMENTS})
        with contextlib.suppress(RunFailedError):
            client.flows.run("a41b07c2", {"text": "qwx"})
        client.flows.run("language-stats", {"documents": DOCUMENTS})
        client.flows.start("65cf2f3e", {"text": "\n".join(DOCUMENTS)})
        emulator.fault("result", Respond(500))


def take(emulator: Emulator, chromium: str) -> None:
    """Takes the list of runs, with the details of one of them."""
    words = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=words)
        page = browser.new_page(viewport={"width": 1180, "height": 940}, color_scheme="light")
        page.goto(emulator.console)
        page.locator("#runs .run", has_text="Keywords").get_by_role("button").click()
        page.get_by_role("group", name="Result").wait_for()
        page.locator("#runs [aria-current=step]", has_text="RUNNING").wait_for()
        page.mouse.move(0, 0)
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
