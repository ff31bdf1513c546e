"""`DcipherRunTrigger`: waits in the triggerer for a run to end."""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# Airflow is not installed where the types are checked.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from dcipher.airflow.hook import DcipherHook
from dcipher.airflow.tasks import named_run
from dcipher.errors import APIError, PollingInterruptedError, RunError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["DcipherRunTrigger"]


class DcipherRunTrigger(BaseTrigger):
    """Fires when a run has ended, or when its status cannot be fetched.

    Polls that fail do not end it, for as long as the API is unreachable; the timeout of the
    operator does. It has no key and no URL: its client is made in the triggerer. When somebody ends
    the task, the run continues, because the API cannot cancel runs.

    Args:
        external_id: The ids of the run: `flow_id`, `task_id`, `idempotency_key`.
        dcipher_conn_id: The id of the connection.
        created_at: When the run was started, in ISO 8601. The poll interval grows with its age.
    """

    def __init__(
        self,
        *,
        external_id: dict[str, str],
        dcipher_conn_id: str = DcipherHook.default_conn_name,
        created_at: str | None = None,
    ) -> None:
        super().__init__()
        self.external_id = external_id
        self.dcipher_conn_id = dcipher_conn_id
        self.created_at = created_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Returns the class and its arguments, which Airflow stores."""
        arguments = {
            "external_id": self.external_id,
            "dcipher_conn_id": self.dcipher_conn_id,
            "created_at": self.created_at,
        }
        return "dcipher.airflow.DcipherRunTrigger", arguments

    async def run(self) -> AsyncGenerator[TriggerEvent]:
        """Yields one event. The task then fetches the status itself, and reports what is wrong."""
        run = named_run(self.external_id, created_at=self.created_at)
        async with await DcipherHook(self.dcipher_conn_id).aget_conn() as client:
            while True:
                try:
                    run = await client.runs.wait(run)
                except PollingInterruptedError as error:
                    self.log.warning("%s", error)
                    continue
                except RunError as error:
                    run = error.run
                except APIError as error:
                    self.log.warning("%s", error)
                # With the ids: `dag.test()` passes nothing else to the operator.
                yield TriggerEvent({**self.external_id, "status": str(run.status)})
                return
