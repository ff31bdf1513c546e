"""Dcipher in Airflow 3.3 or newer: a hook, an operator that survives a killed worker, its trigger.

Example:
    ```python
    from airflow.sdk import DAG

    from dcipher.airflow import DcipherRunFlowOperator

    with DAG("topics"):
        DcipherRunFlowOperator(
            task_id="topics",
            flow_id="65cf2f3e",
            flow_params={"text": "Rivers flow into lakes."},
            save_path="/data/topics/{{ dag_run.run_after | ds }}.json",
            deferrable=True,
        )
    ```

The package has no extra for it: install it where Airflow is. Its metadata for Airflow (the entry point
`apache_airflow_provider`) is read without importing Airflow or the names below.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcipher.airflow.hook import DcipherHook
    from dcipher.airflow.operator import DcipherRunFlowOperator
    from dcipher.airflow.trigger import DcipherRunTrigger

__all__ = ["DcipherHook", "DcipherRunFlowOperator", "DcipherRunTrigger"]

_MODULES = {
    "DcipherHook": ".hook",
    "DcipherRunFlowOperator": ".operator",
    "DcipherRunTrigger": ".trigger",
}


def __getattr__(name: str) -> object:
    # Airflow's processes import the metadata of every provider, which is in this folder.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value: object = getattr(import_module(_MODULES[name], __name__), name)
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "airflow":
            raise
        raise ImportError(
            "dcipher.airflow needs Airflow 3.3 or newer: pip install 'apache-airflow>=3.3'",
            name=error.name,
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
