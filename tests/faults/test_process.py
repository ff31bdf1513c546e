"""A client that its program forgets, in a separate process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faulty import json_reply
from tests.waiting import HANG

if TYPE_CHECKING:
    from tests.faulty import FaultyServer

PROGRAM = """
import asyncio
import gc
import sys
from dcipher import AsyncDcipher, Dcipher

url, kind = sys.argv[1:]

def forget():
    client = Dcipher("emu_canary-key", base_url=url)
    client.flows.get("f")

async def async_forget():
    client = AsyncDcipher("emu_canary-key", base_url=url)
    await asyncio.gather(*(client.flows.get("f") for _ in range(3)))
    del client
    gc.collect()
    await asyncio.sleep(0.1)

if kind == "sync":
    forget()
    gc.collect()
else:
    asyncio.run(async_forget())
print("done")
"""


def test_an_unclosed_client(kind: str, server: FaultyServer) -> None:
    """Stderr has one line about the unclosed client, with advice, and nothing else."""
    server.on("*", json_reply('{"id": "f"}'))
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])}
    done = subprocess.run(  # noqa: S603 - our own lines
        [sys.executable, "-W", "always", "-c", PROGRAM, server.url, kind],
        env=environment, capture_output=True, text=True, timeout=5 * HANG, check=False,
    )  # fmt: skip
    assert done.stdout == "done\n", done.stderr
    output = [line for line in done.stderr.splitlines() if "Warning" in line]
    assert len(output) == 1, done.stderr
    assert "never closed: use" in output[0]
    assert "canary" not in done.stderr
