"""What the guide to notebooks promises, in real kernels of Jupyter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tests.docs.examples import ROOT, examples, language
from tests.waiting import HANG, until

if TYPE_CHECKING:
    from dcipher.emulator import Emulator

nbclient: Any = pytest.importorskip("nbclient", reason="nox -s notebooks installs Jupyter")
nbformat: Any = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

GUIDE = ROOT / "docs" / "guides" / "notebooks.md"
CLIENT = "from dcipher import AsyncDcipher, Dcipher\nclient = Dcipher()"


def executed(*sources: str) -> list[list[Any]]:
    """Runs these cells in a kernel; returns the outputs of each."""
    notebook = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, sources)])
    nbclient.NotebookClient(notebook, timeout=HANG, kernel_name="python3").execute()
    return [cell.outputs for cell in notebook.cells]


def html(output: Any) -> str:
    return str(output.data["text/html"])


@pytest.mark.usefixtures("service")
def test_the_guide() -> None:
    """The blocks of the guide are cells that run, in one kernel."""
    blocks = [str(e.parsed) for e in examples(GUIDE) if language(e) == "python"]
    assert len(blocks) >= 2
    for outputs in executed(*blocks):
        assert not [output for output in outputs if output.output_type == "error"]


@pytest.mark.usefixtures("service")
def test_cards() -> None:
    """An object at the end of a cell is a card: no script, no key, no signed URL."""
    results = executed(
        CLIENT,
        "client.flows.get('65cf2f3e')",
        "run = client.flows.run('65cf2f3e', {'text': 'Rivers flow'})\nrun",
        "from pydantic import BaseModel\nclass Topic(BaseModel):\n    label: str\n    share: float",
        "client.runs.table(run, Topic)",
        "batch = client.flows.map('65cf2f3e', [{'text': f't{n}'} for n in range(3)], progress=False)\n"
        "batch.run()",
        "client.close()",
    )
    cards = [html(outputs[-1]) for outputs in results[1:6] if outputs]
    for card, text in zip(cards, ("Topics of a text", "SUCCEEDED", "label", "3 done"), strict=True):
        assert text in card
        assert "<script" not in card
        assert KEY not in card
        assert "Signature" not in card


@pytest.mark.parametrize(
    ("cell", "last"),
    [
        (
            "client.flows.run('65cf2f3e', {'text': 'a b'}, save_path='t.json', progress=True);",
            "bytes",
        ),
        (
            (
                "rows = [{'text': f't{n}'} for n in range(20)]\n"
                "client.flows.map('65cf2f3e', rows, progress='auto').run();"
            ),
            "20 of 20 rows",
        ),
    ],
)
@pytest.mark.usefixtures("service")
def test_progress_is_one_card(cell: str, last: str) -> None:
    """Progress is one display, which is updated in its place, and nothing on stderr."""
    _, [shown], _ = executed(CLIENT, cell, "client.close()")
    assert shown.output_type == "display_data"
    assert last in html(shown)
    assert "<progress" in html(shown)


@pytest.mark.usefixtures("service")
def test_await_in_a_cell() -> None:
    """A cell awaits the async client."""
    _, outputs, _ = executed(
        "from dcipher import AsyncDcipher\nclient = AsyncDcipher()",
        "run = await client.flows.run('65cf2f3e', {'text': 'a b'})\nlen(await client.runs.read(run))",
        "await client.aclose()",
    )
    assert outputs[-1].data["text/plain"] == "2"


def test_an_interrupted_cell(service: Emulator) -> None:
    """The stop button ends the wait; the error says how to go on, and the next cell has the run."""
    jupyter: Any = pytest.importorskip("jupyter_client.manager")
    manager, kernel = jupyter.start_new_kernel(kernel_name="python3")
    try:

        def cell(source: str) -> dict[str, Any]:
            reply: dict[str, Any] = kernel.execute_interactive(
                source, timeout=HANG, output_hook=lambda _: None
            )["content"]
            return reply

        assert cell(CLIENT)["status"] == "ok"
        kernel.execute("client.flows.run('endless', {'text': 'a'}, save_path='kept.json')")
        assert until(lambda: len(service.requests) >= 2)  # the start was answered
        manager.interrupt_kernel()
        reply = kernel.get_shell_msg(timeout=HANG)["content"]
        assert reply["ename"] == "KeyboardInterrupt"
        [run] = service.runs
        assert run.task_id in re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(reply["traceback"]))
        assert cell(f"assert client.runs.recent[0].task_id == {run.task_id!r}")["status"] == "ok"
        assert cell("client.close()")["status"] == "ok"
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)
