"""`client.flows`: fetches a flow, starts it, runs it."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

import dcipher
from dcipher._concurrency.callables import (
    AsyncStatusCallback,
    async_call_back,
    async_check_callback,
)
from dcipher._results.outputs.targets import check_targets
from dcipher._wire.api_async import AsyncAPI
from dcipher._wire.messages import operations
from dcipher._wire.messages.params import Params
from dcipher._wire.messages.parsing import flow_of, started_run
from dcipher.errors import DcipherError, InvalidParamsError
from dcipher.logs import logger
from dcipher.models import Flow, Run

from .outcomes import note_start
from .recent import RecentRuns
from .runs_async import AsyncRuns
from .wait import check_wait_timeout

__all__ = ["AsyncFlows"]


class AsyncFlows:
    """The flows that the API key can access."""

    def __init__(self, api: AsyncAPI, runs: AsyncRuns, recent: RecentRuns) -> None:
        self._api = api
        self._runs = runs
        self._recent = recent

    async def get(self, flow_id: str) -> Flow:
        """Fetches a flow.

        Args:
            flow_id: The id of the flow.

        Returns:
            The flow, with its name, description and parameters.

        Raises:
            InvalidParamsError: The id is malformed. Nothing was sent.
            NotFoundError: There is no such flow.
            APIError: The request failed, for example with `AuthenticationError`.
        """
        return await self._api.call(operations.get_flow(flow_id), flow_of)

    async def start(
        self,
        flow_id: str | dcipher.FlowCall[Any],
        params: Params | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Run:
        """Starts a run, and returns without waiting for it. To wait, call `runs.wait(run)`.

        Every attempt of a start has the same idempotency key. For a key that was used before, the
        service returns the first run, with the URLs that it issued then, even if that run failed.
        For a new run, use a new key.

        Args:
            flow_id: The id of the flow, or a `FlowCall`, which has the parameters, too.
            params: The parameters of the flow: a mapping, or a Pydantic model, which is dumped by
                alias and in JSON mode.
            idempotency_key: 1 to 255 visible ASCII characters. Default: a new UUID for each call.

        Returns:
            The run, with the signed URLs of its results. No later response contains the URLs.

        Raises:
            InvalidParamsError: The arguments cannot be sent. Nothing was sent.
            UnprocessableEntityError: The service rejected the parameters.
            SubmissionUnknownError: The response was lost, and `Resilience(resend_ambiguous=False)`
                forbids a retry.
            APIError: The request failed for another reason.
        """
        key = str(uuid4()) if idempotency_key is None else idempotency_key
        flow_id, params = _flow_and_params(flow_id, params)
        operation = operations.start_run(flow_id, params, key)
        try:
            run = await self._api.call(
                operation, lambda answer: started_run(answer, operation, datetime.now(timezone.utc))
            )
            self._recent.add(run)
        except BaseException as error:
            note_start(error, operation)
            del operation  # its body may hold a secret of the params
            raise
        logger.info("flow %s: run %s started", run.flow_id, run.task_id)
        return run

    async def run(
        self,
        flow_id: str | dcipher.FlowCall[Any],
        params: Params | None = None,
        *,
        save_path: str | os.PathLike[str] | None = None,
        wait_timeout: float | None = None,
        on_status: AsyncStatusCallback | None = None,
        idempotency_key: str | None = None,
        overwrite: bool = True,
    ) -> Run:
        """Starts a run, waits until it has ended, and saves its results if `save_path` is given.

        Args:
            flow_id: The id of the flow, or a `FlowCall`, which has the parameters, too.
            params: The parameters of the flow: a mapping, or a Pydantic model.
            save_path: The file to save the result to. Its folder must exist. Several results are
                saved as `<stem>_<i><suffix>`, counted from 0.
            wait_timeout: Seconds to wait for the run. `None`: no limit.
            on_status: Called with the `Run` at the first poll and at each change of status.
            idempotency_key: As for `start`.
            overwrite: Whether a file at `save_path` may be replaced.

        Returns:
            The finished run. `run.files` has the paths of the saved files.

        Raises:
            LocalStorageError: `save_path` cannot be written to. This is checked before the start.
            DcipherError: As `start`, `runs.wait` and `runs.download` do.
        """
        check_wait_timeout(wait_timeout, "wait_timeout")
        async_check_callback("on_status", on_status)
        if save_path is not None:
            check_targets(save_path, overwrite=overwrite)
            # An import may fail, too, and no run is to be paid for that cannot be saved then.
            from dcipher._results.results_async import AsyncResults

            AsyncResults(self._api)
        key = str(uuid4()) if idempotency_key is None else idempotency_key
        flow_id, params = _flow_and_params(flow_id, params)
        run: Run | None = None

        async def reported(changed: Run) -> None:
            nonlocal run
            run = changed  # for the error, should the callback raise
            await async_call_back(on_status, changed)

        try:
            run = await self.start(flow_id, params, idempotency_key=key)
            with self._recent.held(run):
                run = await self._runs.wait(run, timeout=wait_timeout, on_status=reported)
                if save_path is None:
                    return run
                files = await self._runs.download(run, save_path, overwrite=overwrite)
        except BaseException as error:
            # Ctrl-C may come between the end of the start and what is noted of it here.
            run = run or self._recent.started_with(flow_id, key)
            if run is None:
                raise
            if type(error) is DcipherError:  # the client was closed meanwhile
                raise self._recent.closed(error, run) from None
            self._recent.note(error, run)
            raise
        return run.model_copy(update={"files": files})


def _flow_and_params(
    flow: str | dcipher.FlowCall[Any], params: Params | None
) -> tuple[str, Params | None]:
    """Returns the id of the flow and its params, which a `FlowCall` holds both."""
    if isinstance(flow, str):  # most are: nothing is imported for them
        return flow, params
    from dcipher.calls import FlowCall, flow_id_of

    if not isinstance(flow, FlowCall):
        return flow, params
    if params is not None:
        raise InvalidParamsError(f"{type(flow).__name__} holds the params: leave out params=….")
    return flow_id_of(type(flow)), flow
