"""`dcipher demo`: runs a sample flow against an emulator on this machine."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from dcipher import Dcipher
from dcipher._concurrency.clock import monotonic
from dcipher.cli.app.layers import Layered
from dcipher.cli.emulator.launch import missing_extra
from dcipher.cli.terminal.errors import UsageError
from dcipher.cli.terminal.output import Form

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher import Run
    from dcipher.cli.app.invocation import Invocation
    from dcipher.emulator import Emulator

__all__ = ["demonstrate"]

TEXT = """\
The river rises in the hills, and its water is cold. Other rivers flow into it, and it flows into the lake.

A lake without a river that leaves it grows salty: the water goes, and what was in the water stays.

In spring the rivers carry the snow of the hills as water, and the lakes are full to their shores.

Bread needs flour, water, salt and time. The baker leaves the dough alone for a night.

A dough that was left alone has more taste: the flour takes up the water, and the yeast has time.

The baker lights the oven at three, and at five the first bread is sold. Flour is everywhere.

The train leaves the station at noon. At each station on its way passengers wait, and others leave it.

When a train is late, the passengers on the platform of the next station hear of it first.

Between the stations the train is quick; at a platform it stands longer than the passengers like.
"""


class Topic(BaseModel):
    """The topic of a group of paragraphs."""

    label: str
    terms: list[str]
    documents: list[int]
    share: float


def demonstrate(call: Invocation, file: Path | None) -> None:
    """Starts an emulator, runs its flow, and prints the result."""
    documents = _paragraphs(TEXT if file is None else call.read(file, "demo"))
    if not documents:
        raise UsageError("The text has no words.")
    note = call.output.note
    with _emulator() as emulator, _client(emulator) as client:
        note(f"An emulator of the service runs on this machine: {emulator.url}")
        flow = client.flows.get("topics")
        params = ", ".join(param.name for param in flow.params)
        note(f"Its flow {flow.id!r} groups documents by topic. Its params are {params}.")
        note(f"Its run is started with {len(documents)} paragraphs:")
        began = monotonic()

        def on_status(run: Run) -> None:
            note(f"  {monotonic() - began:4.1f} s  {run.status}")

        run = client.flows.run(
            "topics", {"documents": documents}, wait_timeout=60, on_status=on_status
        )
        topics = client.runs.read(run, list[Topic])
    note("The result, each row validated with a model:")
    call.output.data(
        [topic.model_dump() for topic in topics],
        columns=["label", "share", "terms", "documents"],
        key="label",
    )
    if call.output.form is Form.TEXT:
        note(_recipe(file))


def _emulator() -> Emulator:
    from dcipher.emulator import Emulator

    try:
        # Without these times, the run would end at once.
        return Emulator(sample_flows=True, queue_time=0.2, min_run_time=0.3)
    except ImportError as error:
        raise missing_extra(error) from None


def _client(emulator: Emulator) -> Dcipher:
    # Without the settings of the user, which may be invalid.
    given = {"api_key": emulator.api_key, "base_url": emulator.url}
    settings: Any = Layered((("argument", given),))
    return Dcipher(settings=settings)


def _paragraphs(text: str) -> list[str]:
    parts = (" ".join(part.split()) for part in re.split(r"\n[ \t\r]*\n", text))
    return [part for part in parts if re.search(r"\w", part)]


def _recipe(file: Path | None) -> str:
    """Returns the same steps as lines to paste."""
    documents = json.dumps(["Rivers flow into lakes.", "Lakes feed rivers.", "Bread needs flour."])
    python = documents
    if file is not None and str(file) != "-":
        python = f"Path({str(file)!r}).read_text('utf-8').split('\\n\\n')"
    return f"""\

The same in Python (with an account: Dcipher(), and DCIPHER_API_KEY in the environment):

    from pathlib import Path
    from dcipher import Dcipher
    from dcipher.emulator import Emulator

    documents = {python}
    with Emulator(sample_flows=True) as emulator:
        with Dcipher(emulator.api_key, base_url=emulator.url) as client:
            run = client.flows.run("topics", {{"documents": documents}}, save_path="topics.json")
            for topic in client.runs.read(run):
                print(topic["share"], topic["label"])

In the shell (with an account: what follows --):

    dcipher emulator exec -- dcipher flows run topics -p 'documents:={documents}' -o topics.json
    dcipher results head topics.json
"""
