"""Takes the picture of a notebook that the documentation shows.

    python scripts/notebook_screenshot.py   writes docs/images/notebook.png

It needs Chromium and the dependency groups `browser` and `notebooks`. The cells are run by Jupyter,
against the emulator.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nbformat  # type: ignore[import-not-found]
from nbclient import NotebookClient  # type: ignore[import-not-found]
from nbconvert import HTMLExporter  # type: ignore[import-not-found]
from playwright.sync_api import sync_playwright

from dcipher.emulator import Emulator

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "notebook.png"
CELLS = [
    "from dcipher import Dcipher\n\nclient = Dcipher()\nclient.flows.get('topics')",
    (
        "texts = ['Rivers flow into lakes.', 'Lakes freeze in a cold winter.', 'A winter without snow.']\n"
        "run = client.flows.run('topics', {'documents': texts}, progress=True)\nrun"
    ),
    (
        "rows = [{'id': n, 'documents': texts[:n]} for n in range(1, 4)]\n"
        "client.flows.map('topics', rows, key='id', read=list[dict]).run()"
    ),
]


def main() -> None:
    """Write the picture, and say how large it is."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        raise SystemExit("There is no Chromium: apt install chromium, or set CHROMIUM to its path.")
    with Emulator(sample_flows=True, queue_time=0.2) as emulator:
        os.environ.update(DCIPHER_BASE_URL=emulator.url, DCIPHER_API_KEY=emulator.api_key)
        cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
        notebook: Any = nbformat.v4.new_notebook(cells=cells)
        NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    page, _ = HTMLExporter(template_name="lab").from_notebook_node(notebook)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder, "notebook.html")
        file.write_text(page, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 900, "height": 700})
        tab.goto(file.as_uri())
        tab.screenshot(path=PICTURE, full_page=True)
        browser.close()
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
