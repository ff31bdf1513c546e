"""Logging in a separate program: records, handlers, and loggers that stay unchanged."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dcipher import Resilience
from tests.faulty import Reply
from tests.results.downloads.stores import result_of
from tests.waiting import HANG

if TYPE_CHECKING:
    from tests.conftest import Connect
    from tests.faulty import FaultyServer

PROGRAM = """
import logging
import sys

root = logging.getLogger()
before = (root.level, list(root.handlers), list(root.filters), logging.lastResort, logging.raiseExceptions)
import dcipher
from dcipher import AsyncDcipher, Dcipher, Settings
after = (root.level, list(root.handlers), list(root.filters), logging.lastResort, logging.raiseExceptions)
assert before == after
assert not logging.getLogger("dcipher").handlers
assert logging.getLogger("dcipher").level == logging.NOTSET
url = sys.argv[1]
for _ in range(3):
    with Dcipher("emu_canary-key", base_url=url) as client:
        client.flows.get("f")
    AsyncDcipher("emu_canary-key", base_url=url)
assert before == (root.level, list(root.handlers), list(root.filters), logging.lastResort, logging.raiseExceptions)
print(logging.getLogger("dcipher").level, len(logging.getLogger("dcipher").handlers))
"""


@pytest.mark.parametrize(
    ("level", "number", "handlers", "lines"),
    [("debug", 10, 1, 3), ("INFO", 20, 1, 0), ("error", 40, 1, 0), ("", 0, 0, 0)],
)
def test_a_program_with_a_log(
    api: FaultyServer, level: str, number: int, handlers: int, lines: int
) -> None:
    """`DCIPHER_LOG` sets the level of the `dcipher` logger, and one handler on stderr. The root is unchanged."""
    root = str(Path(__file__).parents[2])
    environment = {
        **os.environ,
        "DCIPHER_LOG": level,
        "PYTHONPATH": os.pathsep.join([root, *sys.path]),
    }
    done = subprocess.run(  # noqa: S603 - our own lines
        [sys.executable, "-c", PROGRAM, api.url],
        env=environment, capture_output=True, text=True, timeout=5 * HANG, check=False,
    )  # fmt: skip
    assert done.stdout.split() == [str(number), str(handlers)], done.stderr
    output = [line for line in done.stderr.splitlines() if "GET /flows/f" in line]
    assert len(output) == lines
    assert "canary" not in done.stderr + done.stdout


def test_a_download_with_retries(
    connect: Connect, server: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Records about attempts, resumes and missing lengths have the store, but no signature."""
    caplog.set_level(logging.DEBUG, "dcipher")
    lost = Reply(b"1" * 10, 200, {"ETag": '"1"'}, cut=5, after="close")
    whole = Reply(b"1", 200, {"ETag": '"1"'}, framing="none", after="close")
    server.on("/result", Reply(status=500), lost, Reply(status=503), whole)
    policy = Resilience(max_retries=3, backoff_initial=0.002, backoff_max=0.01)
    connect(server, resilience=policy).runs.read(result_of(server), bytes)
    output = [record.getMessage() for record in caplog.records if record.name.startswith("dcipher")]
    assert sum("attempt" in line for line in output) == 3
    assert all(server.url in line for line in output if "download" in line)
    assert "canary" not in "".join(output)
