"""The cells of the guide in marimo, as its export runs them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import KEY
from tests.waiting import HANG

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("marimo", reason="nox -s notebooks installs marimo")

NOTEBOOK = """
import marimo

app = marimo.App()


@app.cell
def _():
    from dcipher import Dcipher

    client = Dcipher()
    flow = client.flows.get("65cf2f3e")
    flow
    return client, flow


@app.cell
def _(client):
    run = client.flows.run("65cf2f3e", {"text": "Rivers flow"}, progress=True)
    run
    return (run,)


@app.cell
def _(client, run):
    rows = client.runs.read(run)
    client.close()
    rows
    return (rows,)
"""


@pytest.mark.usefixtures("service")
def test_an_export(tmp_path: Path) -> None:
    """The notebook runs, and its page has the cards, without a key or a signed URL."""
    file, page = tmp_path / "notebook.py", tmp_path / "page.html"
    file.write_text(NOTEBOOK, encoding="utf-8")
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "marimo", "-y", "export", "html", str(file), "-o", str(page)],
        capture_output=True,
        text=True,
        timeout=2 * HANG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = page.read_text(encoding="utf-8")
    for text in ("Topics of a text", "SUCCEEDED", "Rivers"):
        assert text in shown
    assert KEY not in shown
    assert "Signature=" not in shown
