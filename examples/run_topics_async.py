"""Group texts by topic: `python examples/run_topics_async.py [--emulator] [FILE ...]`.

With only DCIPHER_API_KEY set it asks the hosted API (`--flow` names a flow of yours that takes `documents`), with
DCIPHER_BASE_URL an emulator that runs already, with `--emulator` one of its own.
"""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
from pydantic import BaseModel

from dcipher import AsyncDcipher, DcipherError, Run


class Topic(BaseModel):
    """What the documents of one group are about."""

    label: str
    size: int
    share: float


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Group texts by topic.")
    parser.add_argument("files", nargs="*", type=Path, default=[Path("README.md")], metavar="FILE")
    parser.add_argument("--emulator", action="store_true", help="start a local emulator for it")
    parser.add_argument("--flow", default="topics", help="the id of the flow (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("output.json"), help="%(default)s")
    return parser.parse_args()


def divided(file: Path) -> list[str]:
    """Return the file's text, divided by heading."""
    return re.split(r"(?m)^(?=## )", file.read_text("utf-8"))


async def connect(stack: AsyncExitStack, *, emulator: bool) -> AsyncDcipher:
    """Return a client, which the stack closes."""
    if not emulator:
        return await stack.enter_async_context(AsyncDcipher())
    from dcipher.emulator import Emulator

    local = await stack.enter_async_context(Emulator(sample_flows=True))
    return await stack.enter_async_context(AsyncDcipher(local.api_key, base_url=local.url))


def show(run: Run) -> None:
    """Print a change of status."""
    print(f"{run.task_id}: {run.status}")


async def main() -> int:
    """Run the flow, save its result, print its rows."""
    args = arguments()
    documents = [part for file in args.files for part in divided(file)]
    try:
        async with AsyncExitStack() as stack:
            client = await connect(stack, emulator=args.emulator)
            run = await client.flows.run(
                args.flow, {"documents": documents}, save_path=args.output, on_status=show
            )
            for topic in await client.runs.read(run, list[Topic]):
                print(f"{topic.size:4} ({topic.share:.0%})  {topic.label}")
    except DcipherError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(anyio.run(main))
