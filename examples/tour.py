"""The topics of this project's own documentation, found by a flow: run it in the repository's root, or `make demo`."""

# %% What it needs: pip install '.[emulator]'
import re
import time
from pathlib import Path

from pydantic import BaseModel

from dcipher import Dcipher, Run
from dcipher.emulator import Emulator

# %% A local Dcipher service: no account, no network. Against the hosted API, leave this out.
# A run is queued and computed in no time here; so that there is something to see, it takes a little longer.
emulator = Emulator(sample_flows=True, queue_time=0.4, min_run_time=0.6)
emulator.start()
print(f"listening on {emulator.url}")

# %% The documents: the prose of README.md and of the guides, divided by heading.
folders = Path("docs/guides"), Path("docs/concepts")
files = [Path("README.md"), *sorted(file for folder in folders for file in folder.glob("*.md"))]
prose = [re.sub(r"```.*?```", "", file.read_text("utf-8"), flags=re.DOTALL) for file in files]
documents = [part for text in prose for part in re.split(r"(?m)^(?=## )", text)]
print(f"{len(documents)} documents from {len(files)} files")

# %% The client. Against the hosted API: Dcipher(), with DCIPHER_API_KEY in the environment.
client = Dcipher(emulator.api_key, base_url=emulator.url)
for param in client.flows.get("topics").params:
    print(f"{param.name}: {param.type}, {'required' if param.required else 'optional'}")

# %% Start the flow, wait for its end, save its result.
started = time.monotonic()


def show(run: Run) -> None:
    """Say what became of the run."""
    print(f"{time.monotonic() - started:5.2f} s  {run.status}")


run = client.flows.run(
    "topics", {"documents": documents}, save_path="output.json", wait_timeout=60, on_status=show
)
print(f"saved to {run.files[0]}")


# %% Read the result again, each row validated.
class Topic(BaseModel):
    """What the documents of one group are about."""

    label: str
    terms: list[str]
    size: int
    share: float


topics = client.runs.read(run, list[Topic])

# %% Print it.
print(f"{'documents':>9}  {'share':>5}  terms")
for topic in topics:
    print(f"{topic.size:9}  {topic.share:5.0%}  {', '.join(topic.terms[:6])}")

# %% Give everything back.
client.close()
emulator.stop()
