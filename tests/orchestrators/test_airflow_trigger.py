"""The trigger of Airflow: it outlives polls that fail, and blocks no other trigger."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

pytest.importorskip("airflow.sdk", reason="nox -s orchestrators installs Airflow")

from dcipher._client.waiting import poll_intervals
from dcipher.airflow import DcipherRunTrigger
from dcipher.emulator.faults import Drop, Html, Respond
from tests.conftest import KEY
from tests.faulty import FaultyServer, json_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .conftest import Service


def fire(trigger: DcipherRunTrigger, connection: Mapping[str, Any]) -> dict[str, Any]:
    """Run a trigger as the triggerer does, from what Airflow stored of it; its event."""
    name, arguments = trigger.serialize()
    assert name == "dcipher.airflow.DcipherRunTrigger"
    copy = DcipherRunTrigger(**json.loads(json.dumps(arguments)))

    async def run() -> dict[str, Any]:
        async for event in copy.run():
            assert isinstance(event.payload, dict)
            return event.payload
        raise AssertionError

    text = json.dumps({"conn_type": "dcipher", **connection})
    with patch.dict(os.environ, {"AIRFLOW_CONN_DCIPHER_DEFAULT": text}):
        return asyncio.run(asyncio.wait_for(run(), 60))


def trigger_of(task_id: str) -> DcipherRunTrigger:
    stored = {"flow_id": "topics", "task_id": task_id, "idempotency_key": "k"}
    return DcipherRunTrigger(external_id=stored)


def started(service: Service) -> DcipherRunTrigger:
    from dcipher import Dcipher

    with Dcipher() as client:
        return trigger_of(client.flows.start("topics", {"text": "x"}).task_id)


def test_outlives_polls_that_fail(service: Service) -> None:
    """A busy service, pages of a proxy and lost connections do not end the wait."""
    for effect in (Respond(503), Html(502), Drop(), Respond(429)):
        service.emulator.fault("status", effect)
    event = fire(started(service), {"host": service.url, "password": KEY})
    assert event["status"] == "SUCCEEDED"
    service.emulator.check_faults()


def test_waits_until_the_service_is_back(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is unreachable for longer than a wait lasts does not end the trigger."""
    monkeypatch.setattr(poll_intervals, "UNREACHABLE_LIMIT", 0.1)
    service.emulator.fault("status", Respond(503), times=4)
    event = fire(started(service), {"host": service.url, "password": KEY})
    assert event["status"] == "SUCCEEDED"
    service.emulator.check_faults()


def test_a_run_that_failed_is_an_event(service: Service) -> None:
    """A failed run fires, and so does one whose status cannot be fetched: the task reports the error."""
    service.is_broken = True
    connection = {"host": service.url, "password": KEY}
    assert fire(started(service), connection)["status"] == "FAILED"
    wrong = {"host": service.url, "password": "emu_wrong"}
    assert fire(started(service), wrong)["status"] == "PENDING"


def test_blocks_no_other_trigger() -> None:
    """While the service does not answer, the event loop runs other coroutines."""
    ticked = threading.Event()

    def held(_: object) -> Any:
        assert ticked.wait(60)
        return json_reply('{"status": "SUCCEEDED"}')

    async def both() -> Any:
        async def tick() -> None:
            await asyncio.to_thread(server.arrived, "/flows/topics/status")
            ticked.set()  # only a loop that is free comes here

        ticking = asyncio.create_task(tick())
        event = await anext(trigger_of("t").run())
        await ticking
        return event.payload

    with FaultyServer() as server:
        server.on("/flows/topics/status", held)
        text = json.dumps({"conn_type": "dcipher", "host": server.url, "password": KEY})
        with patch.dict(os.environ, {"AIRFLOW_CONN_DCIPHER_DEFAULT": text}):
            payload = asyncio.run(asyncio.wait_for(both(), 60))
    ids = {"flow_id": "topics", "task_id": "t", "idempotency_key": "k"}
    assert payload == {**ids, "status": "SUCCEEDED"}
