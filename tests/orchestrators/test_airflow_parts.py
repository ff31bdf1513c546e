"""The parts of `dcipher.airflow` that need no Airflow: its metadata, and what a task decides."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import dcipher
from dcipher import (
    APIConnectionError,
    ConfigurationError,
    InvalidParamsError,
    MissingAPIKeyError,
    ResultExpiredError,
    Run,
    RunFailedError,
    RunStatus,
    TLSError,
    WaitTimeoutError,
)
from dcipher._wire.messages.operations import start_run
from dcipher.airflow.provider_info import get_provider_info
from dcipher.airflow.tasks import (
    client_options,
    external_id,
    idempotency_key,
    is_over,
    is_retryable,
    named_run,
    report,
)
from dcipher.models import Output

RUN = Run(flow_id="f", task_id="t", idempotency_key="k", outputs=(Output(url="https://x/?sig=1"),))


def python(code: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(dcipher.__file__).parents[1])},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done.stdout + done.stderr


def test_the_entry_point_needs_no_airflow() -> None:
    """The metadata is read without Airflow, and imports neither it nor a client."""
    code = (
        "import sys; sys.modules['airflow'] = None\n"
        "from dcipher.airflow.provider_info import get_provider_info\n"
        "print(get_provider_info()['package-name'], sorted({'httpx', 'pydantic', 'anyio'} & {*sys.modules}))"
    )
    assert python(code) == "dcipher []\n"


@pytest.mark.parametrize("name", ["DcipherHook", "DcipherRunFlowOperator", "DcipherRunTrigger"])
def test_without_airflow_the_line_that_installs_it_is_named(name: str) -> None:
    """The package works without Airflow, and says what brings it."""
    said = python(f"import sys; sys.modules['airflow'] = None\nfrom dcipher.airflow import {name}")
    assert "ImportError: dcipher.airflow needs Airflow 3.3 or newer: pip install" in said


def test_names_are_these() -> None:
    """The names are those of the guide, and no other one is an attribute."""
    assert set(dcipher.airflow.__all__) <= {*dir(dcipher.airflow)}
    assert dcipher.airflow.__all__ == ["DcipherHook", "DcipherRunFlowOperator", "DcipherRunTrigger"]
    with pytest.raises(AttributeError, match="no attribute 'hooks'"):
        _ = dcipher.airflow.hooks


def test_the_form_hides_the_secret() -> None:
    """In the form of the connection, key and secret are fields for passwords."""
    (form,) = get_provider_info()["connection-types"]
    assert form["conn-fields"]["api_secret"]["schema"]["format"] == "password"
    assert (
        form["ui-field-behaviour"]["relabeling"]["password"] == "API key"
    )  # the form has it as one


@pytest.mark.parametrize(
    ("host", "port", "schema", "extra", "url"),
    [
        (None, None, None, {}, None),
        ("api.example", None, None, {}, "https://api.example"),
        ("api.example", 8443, "http", {}, "http://api.example:8443"),
        ("http://127.0.0.1", 99, None, {}, "http://127.0.0.1:99"),
        ("https://api.example/v1", 99, None, {}, "https://api.example:99/v1"),
        ("http://127.0.0.1:98/", 99, None, {}, "http://127.0.0.1:98/"),
        ("", None, None, {"base_url": "https://x"}, "https://x"),
        ("https://y", None, None, {"base_url": "https://x"}, "https://y"),
    ],
)
def test_base_url(host: str, port: int, schema: str, extra: Any, url: str) -> None:
    """The base URL is the host of the connection, or in its extra; the key is not in the `repr`."""
    connection = SimpleNamespace(password="emu_key", host=host, port=port, schema=schema)
    options = client_options(connection, {**extra, "api_secret": "hidden"})
    assert options.get("base_url") == url
    assert options["api_key"].get_secret_value() == "emu_key"
    assert options["api_secret"].get_secret_value() == "hidden"
    assert "emu_key" not in repr(options)
    assert "hidden" not in repr(options)


def test_a_connection_without_a_password() -> None:
    """The key of the environment is not used for the host of a connection."""
    connection = SimpleNamespace(conn_id="mine", password="", host="https://x")
    with pytest.raises(MissingAPIKeyError, match=r"'mine' has no API key\. Set its password"):
        client_options(connection, {})


def test_keys() -> None:
    """The key depends on each part; that of a new run also on the run before it."""
    parts: list[list[str | int]] = [["a", "b", "c", -1], ["a", "b", "c", 0], ["ab", "", "c", -1]]
    keys = [idempotency_key(part) for part in parts]
    assert len({*keys}) == 3
    assert keys[0] == idempotency_key(["a", "b", "c", -1])
    long = idempotency_key(["ä b" * 250, "manual__2026-01-01T00:00:00+00:00", "c", -1])
    assert all(start_run("f", None, key).idempotency_key == key for key in [*keys, long])
    assert idempotency_key(["ä b"], base="mine") == "mine"
    assert idempotency_key(["a"], base="mine", replaced="t") == "mine-after-t"


def test_the_external_id_has_no_url() -> None:
    """Airflow keeps three ids, from which the run can be waited for."""
    stored = json.loads(json.dumps(external_id(RUN)))
    assert stored == {"flow_id": "f", "task_id": "t", "idempotency_key": "k"}
    assert named_run({**stored, "over": True, "status": "SUCCEEDED"}) == RUN.model_copy(
        update={"outputs": ()}
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (APIConnectionError("x"), True),
        (TLSError("x"), False),
        (ConfigurationError("x"), False),
        (InvalidParamsError("x"), False),
        (WaitTimeoutError("x", run=RUN), True),
        (RunFailedError("x", run=RUN), None),
        (ResultExpiredError("x", run=RUN), None),
    ],
)
def test_what_is_retryable(error: Any, expected: bool | None) -> None:
    """What cannot be otherwise is not tried again; a failed run only if that is asked for."""
    found = [is_retryable(error, retry_failed=asked) for asked in (False, True)]
    assert found == ([False, True] if expected is None else [expected, expected])


def test_when_a_run_is_over() -> None:
    """A new run is needed after a failed one and an expired result, not after a lost connection."""
    over = [RunFailedError("x", run=RUN), ResultExpiredError("x", run=RUN)]
    goes_on = [WaitTimeoutError("x", run=RUN), APIConnectionError("x"), ConfigurationError("x")]
    assert [is_over(error) for error in [*over, *goes_on]] == [True, True, False, False, False]


def test_report(tmp_path: Path) -> None:
    """The value has ids; of files the path, size and digest; and rows, if the results have any."""
    run = RUN.model_copy(update={"status": RunStatus.SUCCEEDED})
    ids = {"flow_id": "f", "task_id": "t", "status": "SUCCEEDED"}
    assert report(run) == ids
    texts = {"a.json": b"[1, 2]", "b.ndjson": b"{}\n"}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    value = report(run, [tmp_path / name for name in texts])
    assert value["rows"] == 3
    assert value["files"][1] == {
        "path": str(tmp_path / "b.ndjson"),
        "bytes": 3,
        "sha256": hashlib.sha256(b"{}\n").hexdigest(),
    }
    (tmp_path / "c.txt").write_text("words")
    assert report(run, [tmp_path / "c.txt"])["rows"] is None
