"""The connection of Airflow: its form in the browser, its test, and what it shows of the key."""

from __future__ import annotations

import json
import runpy
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("airflow.sdk", reason="nox -s orchestrators installs Airflow")

from airflow.dag_processing.dagbag import BundleDagBag
from airflow.providers_manager import ProvidersManager
from airflow.sdk import Connection
from airflow.serialization.serialized_objects import DagSerialization

from dcipher.airflow import DcipherHook, DcipherRunFlowOperator
from tests.conftest import KEY
from tests.faulty import FaultyServer, Reply

from .recipes import write_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Service


def test_the_form(service: Service) -> None:
    """Airflow finds the connection type by the entry point, with its fields; the secret is masked."""
    manager = ProvidersManager()
    assert manager.providers["dcipher"].data["name"] == "Dcipher"
    hook = manager.hooks["dcipher"]
    assert hook is not None
    assert (hook.hook_name, hook.connection_id_attribute_name) == ("Dcipher", "dcipher_conn_id")
    widget = manager.connection_form_widgets["extra__dcipher__api_secret"]
    assert widget.is_sensitive
    fields = manager.field_behaviours["dcipher"]
    assert fields["relabeling"] == {"host": "Base URL", "password": "API key"}
    assert service.leaked(json.dumps([fields, str(widget)])) == []


def test_the_test_of_a_connection(
    service: Service, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A valid key is accepted; a wrong one, none, and a server that is not the API are reported."""
    with FaultyServer() as other:
        other.on("*", Reply(b"<html>no such page</html>", 404))
        fields = [
            {"host": service.url, "password": KEY},
            {"host": service.url, "password": "emu_wrong"},
            {"host": service.url},
            {"host": other.url, "password": KEY},
        ]
        found = []
        for words in fields:
            text = json.dumps({"conn_type": "dcipher", **words})
            monkeypatch.setenv("AIRFLOW_CONN_MINE", text)
            connection = Connection.from_json(text, conn_id="mine")
            found.append(connection.test_connection())
    assert [is_valid for is_valid, _ in found] == [True, False, False, False]
    assert found[0][1] == "The API accepts the key."
    assert "returned 401" in found[1][1]
    assert "Check the password of the connection 'mine', and the API secret" in found[1][1]
    assert "no API key" in found[2][1]
    out = capfd.readouterr()
    assert service.leaked(repr([found, DcipherHook("mine")]) + out.out + out.err) == []


def test_the_dag_of_the_guide(tmp_path: Path) -> None:
    """The dag of the guide is valid, and has its task with its templates."""
    write_recipe("topics_dag.py", tmp_path)
    bag = BundleDagBag(tmp_path, bundle_path=tmp_path, bundle_name="dags")
    assert bag.import_errors == {}
    task = bag.dags["topics"].get_task("topics")
    assert isinstance(task, DcipherRunFlowOperator)
    assert task.flow_id == "65cf2f3e"
    stored = json.dumps(DagSerialization.to_dict(bag.dags["topics"]))
    assert DagSerialization.from_dict(json.loads(stored)).task_dict["topics"].task_id == "topics"
    # All that the context of a run has that somebody triggers: it has no logical date, so no `ds`.
    task.render_template_fields({"dag_run": SimpleNamespace(run_after=datetime(2026, 1, 2))})
    assert task.save_path.endswith("/topics-2026-01-02.json")


def test_the_task_of_the_guide(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task of one's own has the client of the connection."""
    service.emulator.flow("65cf2f3e", name="Topics")(lambda text: [])
    text = json.dumps({"conn_type": "dcipher", "host": service.url, "password": KEY})
    monkeypatch.setenv("AIRFLOW_CONN_DCIPHER_DEFAULT", text)
    names = runpy.run_path(str(write_recipe("flow_name_task.py", tmp_path)))
    assert names["flow_name"].function("65cf2f3e") == "Topics"
