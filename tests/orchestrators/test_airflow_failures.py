"""What a task of Airflow does about failures: which are tried again, and when there is a new run."""

from __future__ import annotations

import json
import logging
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("airflow.sdk", reason="nox -s orchestrators installs Airflow")

from airflow.sdk import DAG
from airflow.sdk.api.client import Client
from airflow.sdk.execution_time.supervisor import run_task_in_process
from airflow.serialization.serialized_objects import DagSerialization
from pydantic import BaseModel, SecretStr

from dcipher.airflow import DcipherRunFlowOperator
from dcipher.emulator import Emulator
from dcipher.emulator.faults import ExpireURL, Respond
from tests.conftest import KEY

from .airflow_tries import Airflow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Service

FAILED, AGAIN, DONE = "failed", "up_for_retry", "success"


class Tries:
    """Tries of one task in this process: as the worker makes them, without a process of its own."""

    def __init__(self, airflow: Airflow) -> None:
        self.airflow = airflow
        self.number = 0

    def __call__(self, *, map_index: int = -1, **arguments: Any) -> str:
        words = {"flow_id": "topics", "flow_params": {"text": "x"}, **arguments}
        with DAG("dag"):
            task = DcipherRunFlowOperator(task_id="topics", retries=3, **words)
        self.number += 1
        ti = self.airflow.instance(self.number, map_index)
        with Client(base_url=self.airflow.url, token="") as client:
            result = run_task_in_process(ti, task, client=client)
        self.error = result.error
        return str(result.state.value)


@pytest.fixture
def airflow(service: Service, tmp_path: Path) -> Iterator[Airflow]:
    with Airflow(tmp_path, {"host": service.url, "password": KEY}, dag="") as running:
        yield running


@pytest.fixture
def attempt(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> Tries:
    monkeypatch.setenv("DCIPHER_MAX_RETRIES", "0")
    return Tries(airflow)


@pytest.mark.parametrize(
    ("arguments", "fault", "state"),
    [
        ({"flow_id": "none"}, None, FAILED),
        ({"flow_id": "a/b"}, None, FAILED),
        ({"flow_params": {"other": 1}}, None, FAILED),
        ({"flow_params": {"text": {1}}}, None, FAILED),
        ({}, ("start", Respond(400)), FAILED),
        ({}, ("start", Respond(403)), FAILED),
        ({}, ("start", Respond(429)), AGAIN),
        ({}, ("start", Respond(503)), AGAIN),
        ({}, ("status", Respond(401)), FAILED),
        ({}, ("result", Respond(500)), AGAIN),
        ({}, ("result", ExpireURL()), FAILED),
    ],
    ids=str,
)
def test_what_is_tried_again(
    arguments: Any, fault: Any, state: str, attempt: Tries, service: Service, tmp_path: Path
) -> None:
    """A task is tried again where that can help: not for invalid params, a wrong key, an unknown flow."""
    if fault:
        service.emulator.fault(*fault, times=9)
    assert attempt(**{"save_path": str(tmp_path / "out.json"), **arguments}) == state
    assert service.leaked(f"{attempt.error!r}") == []


@pytest.mark.parametrize("connection", [{"password": None}, {"password": "emu_wrong"}])
def test_a_connection_without_a_valid_key(
    connection: dict[str, Any], attempt: Tries, airflow: Airflow, service: Service
) -> None:
    """A key is never taken from the environment, and a wrong one is not tried again."""
    airflow.connection |= connection
    assert attempt() == FAILED
    assert service.emulator.runs == ()


def test_a_failed_run_fails_the_task(attempt: Tries, service: Service, airflow: Airflow) -> None:
    """A failed run is reported without a retry; the task starts a new one when it is cleared."""
    service.is_broken = True
    assert attempt() == FAILED
    assert "no topics today" in str(attempt.error)
    service.is_broken = False
    assert attempt() == DONE
    first, second = service.emulator.runs
    assert second.idempotency_key == f"{first.idempotency_key}-after-{first.task_id}"
    assert airflow.store["dcipher_run"]["task_id"] == second.task_id


def test_a_failed_run_of_a_deferred_task(
    attempt: Tries, service: Service, airflow: Airflow
) -> None:
    """It is the same after the triggerer, and when the task was resumed because of another error."""
    service.is_broken = True
    assert attempt(deferrable=True) == "deferred"
    airflow.resume({**airflow.store["dcipher_run"], "status": "PENDING"})
    assert attempt(deferrable=True) == FAILED
    assert "no topics today" in str(attempt.error)
    service.is_broken = False
    assert attempt(deferrable=True) == "deferred"
    airflow.resume({**airflow.store["dcipher_run"], "status": "SUCCEEDED"})
    assert attempt(deferrable=True) == DONE
    assert len(service.emulator.runs) == 2


def test_a_failed_run_is_retried_if_asked(attempt: Tries, service: Service) -> None:
    """With `retry_failed`, each try after a failed run has a new run."""
    service.is_broken = True
    assert [attempt(retry_failed=True) for _ in range(2)] == [AGAIN, AGAIN]
    service.is_broken = False
    assert attempt(retry_failed=True) == DONE
    assert len({run.idempotency_key for run in service.emulator.runs}) == 3


def test_a_run_that_failed_unseen_is_reported_first(attempt: Tries, service: Service) -> None:
    """A run that failed while nobody waited fails the task: no new run is started unasked."""
    service.go.clear()
    assert attempt(wait_timeout=0.1) == AGAIN
    service.is_broken = True
    service.go.set()
    assert attempt() == FAILED
    assert len(service.emulator.runs) == 1


def test_a_wait_that_timed_out_is_resumed(attempt: Tries, service: Service) -> None:
    """After `wait_timeout`, the next try waits for the same run."""
    service.go.clear()
    assert attempt(wait_timeout=0.1) == AGAIN
    service.go.set()
    assert attempt() == DONE
    assert len(service.emulator.runs) == 1


def test_a_trigger_that_timed_out_is_resumed(
    attempt: Tries, service: Service, airflow: Airflow
) -> None:
    """After `wait_timeout` in the triggerer, the next try waits for the same run."""
    assert attempt(deferrable=True, wait_timeout=60) == "deferred"
    assert airflow.states[-1]["trigger_timeout"] == "PT1M"
    airflow.fail_trigger("Trigger timeout")
    assert attempt(deferrable=True) == AGAIN
    assert attempt() == DONE
    assert len(service.emulator.runs) == 1


def test_a_result_that_expired(attempt: Tries, service: Service, tmp_path: Path) -> None:
    """A task whose URL has expired starts a new run when it is cleared."""
    service.emulator.fault("result", ExpireURL())
    path = str(tmp_path / "out.json")
    assert attempt(save_path=path) == FAILED
    assert attempt(save_path=path) == DONE
    assert len(service.emulator.runs) == 2


def test_mapped_tasks_have_runs_of_their_own(attempt: Tries, service: Service) -> None:
    """Each map index is a run; a cleared task that has succeeded returns the same run."""
    assert [attempt(map_index=n) for n in (0, 1)] == [DONE, DONE]
    assert len(service.emulator.runs) == 2
    assert attempt(map_index=1) == DONE
    assert len(service.emulator.runs) == 2


def test_a_key_of_ones_own(attempt: Tries, service: Service, airflow: Airflow) -> None:
    """`idempotency_key` replaces that of the task, and `durable=False` starts a run for each try."""
    assert attempt(idempotency_key="v1-{{ ti.task_id }}") == DONE
    assert [run.idempotency_key for run in service.emulator.runs] == ["v1-topics"]
    assert [attempt(durable=False) for _ in range(2)] == [DONE, DONE]
    assert len(service.emulator.runs) == 3


def test_a_service_without_idempotency_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A second run that the service started all the same is named, instead of its result."""
    with Emulator(api_key=KEY, queue_time=0.0, idempotency=False) as emulator:
        emulator.flow("topics")(lambda text: [text])
        with Airflow(tmp_path, {"host": emulator.url, "password": KEY}, dag="") as airflow:
            attempt = Tries(airflow)
            assert attempt() == DONE
            assert attempt(save_path=str(tmp_path / "out.json")) == FAILED
        assert emulator.runs[1].task_id in str(attempt.error)


def test_templates(attempt: Tries, service: Service, tmp_path: Path) -> None:
    """Flow, params and path are templates."""
    state = attempt(
        flow_id="{{ ti.task_id }}",
        flow_params={"text": "{{ run_id }}"},
        save_path=str(tmp_path / "{{ ds }}.json"),
    )
    assert state == DONE
    (run,) = service.emulator.runs
    assert run.params == {"text": "manual__1"}
    assert (tmp_path / "2026-01-01.json").exists()


def test_what_the_browser_shows(attempt: Tries, airflow: Airflow, service: Service) -> None:
    """Rendered fields and XCom are small JSON, without the key and the URLs."""
    assert attempt() == DONE
    value = airflow.xcoms["return_value"]
    assert set(value) == {"flow_id", "task_id", "status"}
    assert service.leaked("\n".join(airflow.requests)) == []


def test_nothing_is_sent_when_a_dag_is_parsed() -> None:
    """An operator, its hook and its trigger are made without a connection, and without a socket."""
    opened: list[str] = []
    is_on = [True]

    def audit(event: str, _: object) -> None:
        if is_on[0] and event.startswith("socket."):
            opened.append(event)

    sys.addaudithook(audit)
    socket.socket().close()
    assert opened.pop() == "socket.__new__"
    task = DcipherRunFlowOperator(task_id="t", flow_id="f", dcipher_conn_id="there-is-none")
    is_on[0] = False
    assert opened == []
    assert "there-is-none" not in repr(task)


def test_the_run_continues_when_the_task_is_ended(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """`on_kill` sends nothing: there is no way to cancel a run."""
    with caplog.at_level(logging.INFO):
        DcipherRunFlowOperator(task_id="t", flow_id="f").on_kill()
    assert service.emulator.requests == ()
    assert json.dumps(caplog.messages)


def test_params_as_a_model(attempt: Tries, airflow: Airflow, service: Service) -> None:
    """Params may be a model; what Airflow keeps of it has no secret of it."""

    class Params(BaseModel):
        text: SecretStr

    params = Params(text=SecretStr("canary-param"))
    assert attempt(flow_params=params) == DONE
    (run,) = service.emulator.runs
    assert run.params == {"text": "canary-param"}
    task = DcipherRunFlowOperator(task_id="t", flow_id="f", flow_params=params, dag=DAG("other"))
    stored = json.dumps(DagSerialization.to_dict(task.dag))
    assert "canary-param" not in "\n".join([*airflow.requests, stored])
