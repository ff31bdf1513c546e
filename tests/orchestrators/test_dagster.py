"""The recipe for Dagster: an asset of one run, its invalid rows as a check, and no secret in the event log."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("dagster", reason="nox -s orchestrators installs Dagster")

import dagster as dg

from dcipher.emulator.faults import Drop, Respond

from .recipes import everything, write_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from .conftest import Service


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    write_recipe("dagster_topics.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("dagster_topics")
    del sys.modules["dagster_topics"]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as running:
        yield running


def materialize(recipe: ModuleType, instance: Any, **words: Any) -> Any:
    job = recipe.defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, raise_on_error=False, **words)


def test_an_asset_is_one_run(
    recipe: ModuleType, instance: Any, service: Service, tmp_path: Path
) -> None:
    """A retried step has the run of its first try, and its rows are checked."""
    service.emulator.flow("65cf2f3e")(
        lambda text: [{"label": text, "share": 0.5}, {"label": "no share"}]
    )
    # The client sends the start twice, and the second try of the step once more.
    service.emulator.fault("start", Drop("after"))
    service.emulator.fault("status", Respond(400))
    result = materialize(recipe, instance)
    assert result.success
    assert service.sent("/run") == 3
    service.emulator.check_faults()
    assert len(service.emulator.runs) == 1
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.metadata["valid"].value == 1
    assert "share" in check.metadata["rejects"].value
    metadata = result.asset_materializations_for_node("topics")[0].metadata
    assert metadata["task_id"].value == service.emulator.runs[0].task_id
    assert service.leaked(everything(tmp_path)) == []


def test_valid_rows_pass_the_check(recipe: ModuleType, instance: Any, service: Service) -> None:
    """The check passes if each row is valid; another run of Dagster is another run of the flow."""
    service.emulator.flow("65cf2f3e")(lambda text: [{"label": text, "share": 0.5}])
    for _ in range(2):
        result = materialize(recipe, instance)
        assert [check.passed for check in result.get_asset_check_evaluations()] == [True]
    assert len(service.emulator.runs) == 2
