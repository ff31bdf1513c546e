"""`DcipherRunFlowOperator`: one run of a flow for each instance of a task, however often it is tried."""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnusedParameter=false
# Airflow is not installed where the types are checked, and decides the parameters.

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, ResumableJobMixin
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException

from dcipher.airflow.hook import DcipherHook
from dcipher.airflow.tasks import (
    explained,
    external_id,
    idempotency_key,
    is_over,
    is_retryable,
    named_run,
    report,
)
from dcipher.airflow.trigger import DcipherRunTrigger
from dcipher.errors import DcipherError
from dcipher.models import Run, RunStatus

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from pydantic import BaseModel

__all__ = ["DcipherRunFlowOperator"]

_OVER = "OVER"


class DcipherRunFlowOperator(ResumableJobMixin, BaseOperator):
    """Starts a run, waits for it, and saves its results.

    A task that is killed and tried again waits for the same run: Airflow keeps the ids of the run,
    and before it has them, the service returns the run of the idempotency key. That key is made of
    the ids of the dag, its run and the task, and of the map index.

    It returns the ids and the status of the run; with `save_path` also the path, size and SHA-256 of
    each file, and the number of rows. It never returns a URL.

    A failed or cancelled run fails the task, without a retry. If the task is cleared, it starts a new
    run. When somebody ends the task, the run continues, because the API cannot cancel runs; the next
    try resumes it.

    Args:
        flow_id: The id of the flow. A template.
        flow_params: The params of the run: a mapping or a model. A template. (`params` are Airflow's.)
        save_path: Where to save the results, on a disk that the tasks share. A template. `None`:
            they are not downloaded.
        dcipher_conn_id: The id of the connection.
        wait_timeout: Seconds that one try waits. `None`: no limit.
        retry_failed: Start a new run at the next try if the run failed, was cancelled or has expired.
        idempotency_key: Another key than that of the task, such as one for each version of a dag. A
            template. The try number must not be in it.
        deferrable: Wait in the triggerer. Default: `[operators] default_deferrable`.
        **kwargs: The arguments of every operator; `durable=False` starts a new run for each try.
    """

    external_id_key: str = "dcipher_run"
    template_fields: Sequence[str] = ("flow_id", "flow_params", "save_path", "idempotency_key")
    template_fields_renderers = {"flow_params": "json"}  # noqa: RUF012 - Airflow reads it so

    def __init__(
        self,
        *,
        flow_id: str,
        flow_params: Mapping[str, Any] | BaseModel | None = None,
        save_path: str | None = None,
        dcipher_conn_id: str = DcipherHook.default_conn_name,
        wait_timeout: float | None = None,
        retry_failed: bool = False,
        idempotency_key: str | None = None,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flow_id = flow_id
        self.flow_params = flow_params
        self.save_path = save_path
        self.dcipher_conn_id = dcipher_conn_id
        self.wait_timeout = wait_timeout
        self.retry_failed = retry_failed
        self.idempotency_key = idempotency_key
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable: bool = bool(deferrable)

    def execute(self, context: Any) -> dict[str, Any]:
        """Starts the run, or finds that of an earlier try, and waits for it."""
        with self._connected(context):
            # What it returns depends on how the run was found.
            self.execute_resumable(context)
            return self._saved()

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Continues after the triggerer: the status is fetched here, with its error if there is one."""
        with self._connected(context):
            self._run = self._client.runs.wait(named_run(event), timeout=self.wait_timeout)
            return self._saved()

    def on_kill(self) -> None:
        """Leaves the run alone: the API cannot cancel runs, and the next try resumes it."""
        self.log.info("The run continues. The next try of the task resumes it.")

    @contextmanager
    def _connected(self, context: Any) -> Generator[None]:
        """Has a client in the block, and raises the block's errors as Airflow's."""
        try:
            with DcipherHook(self.dcipher_conn_id).get_conn() as self._client:
                yield
        except DcipherError as error:
            if is_over(error) and (stored := self._stored(context)):
                # Reported now: whoever tries again after this wants a new run.
                context["task_state_store"].set(self.external_id_key, {**stored, "over": True})
            if is_retryable(error, retry_failed=self.retry_failed):
                raise
            raise AirflowFailException(explained(error, self.dcipher_conn_id)) from error

    def _stored(self, context: Any) -> dict[str, Any] | None:
        store = context.get("task_state_store") if self.durable else None
        return store.get(self.external_id_key) if store is not None else None

    def _saved(self) -> dict[str, Any]:
        run = self._run
        if self.save_path is None:
            return report(run)
        if not run.outputs:
            run = self._with_urls(run)
        files = self._client.runs.download(run, self.save_path)
        return report(run, files)

    def _with_urls(self, run: Run) -> Run:
        """Asks for the run once more: only the response to the start has its URLs, which are secrets."""
        again = self._client.flows.start(
            run.flow_id, self.flow_params, idempotency_key=run.idempotency_key
        )
        if again.task_id != run.task_id:
            raise AirflowFailException(
                f"The service started run {again.task_id}, although run {run.task_id} has the same "
                "idempotency key. Without a deferral and a retry, the URLs are not asked for again."
            )
        return again.model_copy(update={"status": run.status})

    # ---- What the mixin asks for

    def submit_job(self, context: Any) -> dict[str, str]:
        """Starts the run. The same key starts no second one if the answer or the id was lost."""
        key = None
        if self.durable:
            ti, stored = context["ti"], self._stored(context)
            key = idempotency_key(
                [ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index],
                base=self.idempotency_key,
                replaced=stored["task_id"] if stored else None,
            )
        self._run = self._client.flows.start(self.flow_id, self.flow_params, idempotency_key=key)
        return external_id(self._run)

    def get_job_status(self, external_id: dict[str, Any], context: Any) -> str:
        """Returns the status of the run of an earlier try."""
        if external_id.get("over"):
            return _OVER
        self._run = self._client.runs.refresh(named_run(external_id))
        return str(self._run.status)

    def is_job_active(self, status: str) -> bool:
        """Whether to wait: also for a run that failed, so that its failure is reported before a new one."""
        return status not in {_OVER, RunStatus.SUCCEEDED.value}

    def is_job_succeeded(self, status: str) -> bool:
        """Whether the run has succeeded."""
        return status == RunStatus.SUCCEEDED.value

    def poll_until_complete(self, external_id: dict[str, str], context: Any) -> None:
        """Waits for the run, here or in the triggerer."""
        run = self._run
        if self.deferrable and not run.is_terminal:
            self.defer(
                trigger=DcipherRunTrigger(
                    external_id=external_id,
                    dcipher_conn_id=self.dcipher_conn_id,
                    created_at=run.created_at.isoformat() if run.created_at else None,
                ),
                method_name="execute_complete",
                timeout=self.wait_timeout and timedelta(seconds=self.wait_timeout),
            )
        self._run = self._client.runs.wait(run, timeout=self.wait_timeout)

    def get_job_result(self, external_id: dict[str, str], context: Any) -> None:
        """Returns nothing: `execute` saves the results, however the run was found."""
