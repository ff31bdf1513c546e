"""The recipe for Prefect: a retried task is one run, and Prefect keeps no secret in plain text."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("prefect", reason="nox -s orchestrators installs Prefect")

from dcipher.emulator.faults import Respond
from tests.conftest import KEY

from .recipes import everything, write_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Service

DRIVER = """
import json
import os

from prefect.testing.utilities import prefect_test_harness

from prefect_topics import DcipherCredentials, topics

with prefect_test_harness(server_startup_timeout=120):
    block = DcipherCredentials(api_key=os.environ["KEY"], base_url=os.environ["URL"])
    block.save("dcipher")
    print("repr:", repr(block), block)
    print("returned:", json.dumps(topics("Rivers flow.")))
"""


def test_a_retried_task_is_one_run(service: Service, tmp_path: Path) -> None:
    """The wait fails, and the retried task has the run of its first try."""
    write_recipe("prefect_topics.py", tmp_path)
    (tmp_path / "driver.py").write_text(DRIVER, encoding="utf-8")
    service.emulator.flow("65cf2f3e")(lambda text: [{"label": text}])
    service.emulator.fault("status", Respond(400))
    ours = {name: value for name, value in os.environ.items() if "DCIPHER" not in name}
    environment = {
        **ours,
        "KEY": KEY,
        "URL": service.url,
        "HOME": str(tmp_path),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    done = subprocess.run(
        [sys.executable, "driver.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=400,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    (run,) = service.emulator.runs
    assert run.task_id in said
    assert service.sent("/run") > 1
    service.emulator.check_faults()
    assert (tmp_path / "topics.json").exists()
    assert service.leaked(said + everything(tmp_path)) == []
