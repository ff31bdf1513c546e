"""Tasks of Airflow that are killed: each is one run of the service, and no secret is left behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("airflow.sdk", reason="nox -s orchestrators installs Airflow")

from airflow.sdk.serde import deserialize

from dcipher.airflow import DcipherRunTrigger
from dcipher.emulator.faults import Stall
from tests.conftest import KEY

from .airflow_tries import Airflow
from .test_airflow_trigger import fire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Service

DAG = """
from airflow.sdk import DAG
from dcipher.airflow import DcipherRunFlowOperator

with DAG("dag"):
    DcipherRunFlowOperator(
        task_id="topics",
        flow_id="topics",
        flow_params={{"text": "{{{{ run_id }}}}"}},
        save_path="{folder}/{{{{ run_id }}}}.json",
        deferrable={deferrable},
        retries=3,
    )
"""


def dag_source(folder: Path, *, deferrable: bool = False) -> str:
    return DAG.format(folder=folder, deferrable=deferrable)


@pytest.fixture
def airflow(service: Service, tmp_path: Path) -> Iterator[Airflow]:
    connection = {"host": service.url, "password": KEY}
    with Airflow(tmp_path, connection, dag=dag_source(tmp_path)) as running:
        yield running


def check_result(airflow: Airflow, service: Service) -> None:
    """One run, its rows on disk, ids and a digest in the XCom, and no secret anywhere."""
    (run,) = service.emulator.runs
    value = airflow.xcoms["return_value"]
    assert value["task_id"] == run.task_id
    assert value["rows"] == 2000
    rows = json.loads((airflow.folder / "manual__1.json").read_bytes())
    assert [row["label"] for row in rows] == ["manual__1"] * 2000
    assert len(json.dumps(value)) < 500
    assert set(airflow.store["dcipher_run"]) == {"flow_id", "task_id", "idempotency_key"}
    everything = airflow.everything()
    assert "resumable_job.resume_decision" in everything
    assert service.leaked(everything) == []


def in_the_server(part: str) -> Any:
    def arm(airflow: Airflow, service: Service) -> None:
        airflow.kill_at = part

    return arm


def after_the_request(airflow: Airflow, service: Service) -> None:
    service.emulator.fault("start", Stall())
    service.at(lambda: service.emulator.runs, airflow.kill)


def while_waiting(airflow: Airflow, service: Service) -> None:
    service.go.clear()
    service.at(lambda: service.sent("/status") > 1, lambda: (airflow.kill(), service.go.set()))


def during_the_download(airflow: Airflow, service: Service) -> None:
    service.emulator.fault("result", Stall(part="body", at=20_000))
    service.at(lambda: service.sent("/results/"), airflow.kill)


@pytest.mark.parametrize(
    "arm",
    [
        pytest.param(in_the_server("/connections/"), id="before the start"),
        pytest.param(after_the_request, id="after the request"),
        pytest.param(in_the_server("PUT /execution/store/"), id="after the answer"),
        pytest.param(while_waiting, id="while waiting"),
        pytest.param(during_the_download, id="during the download"),
        pytest.param(in_the_server("POST /execution/xcoms/"), id="before the result is reported"),
    ],
)
def test_a_killed_task_is_one_run(arm: Any, airflow: Airflow, service: Service) -> None:
    """A task that is killed (SIGKILL) at any point and tried again starts exactly one run."""
    arm(airflow, service)
    assert airflow.try_task() == "killed"
    assert airflow.try_task() == "success"
    check_result(airflow, service)


def test_a_deferred_task_is_one_run(service: Service, tmp_path: Path) -> None:
    """A task that waits in the triggerer, and is killed after it, starts exactly one run."""
    connection = {"host": service.url, "password": KEY}
    with Airflow(tmp_path, connection, dag=dag_source(tmp_path, deferrable=True)) as airflow:
        service.go.clear()
        assert airflow.try_task() == "deferred"
        stored = airflow.states[-1]
        assert stored["classpath"] == "dcipher.airflow.DcipherRunTrigger"
        trigger = DcipherRunTrigger(**deserialize(stored["trigger_kwargs"]))
        service.at(lambda: service.sent("/status") > 1, service.go.set)
        event = fire(trigger, connection)
        assert event["status"] == "SUCCEEDED"
        airflow.resume(event)
        during_the_download(airflow, service)
        assert airflow.try_task() == "killed"
        assert airflow.try_task() == "success"
        check_result(airflow, service)
        assert service.leaked(repr(trigger) + json.dumps(event)) == []
