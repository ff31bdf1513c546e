"""`client.flows`: look at a flow, start it, run it."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

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
from dcipher.calls import FlowCall, flow_id_of
from dcipher.errors import DcipherError, InvalidParamsError
from dcipher.logs import logger
from dcipher.models import Flow, Run

from .outcomes import note_start
from .recent import RecentRuns
from .runs_async import AsyncRuns
from .wait import check_wait_timeout

__all__ = ["AsyncFlows"]


class AsyncFlows:
    """The flows that the API key may use."""

    def __init__(self, api: AsyncAPI, runs: AsyncRuns, recent: RecentRuns) -> None:
        self._api = api
        self._runs = runs
        self._recent = recent

    async def get(self, flow_id: str) -> Flow:
        """The flow: its name, its description, its parameters.

        Raises `NotFoundError` where there is none, `AuthenticationError`, and the other
        `APIError`s; `InvalidParamsError` for an id that cannot be one, before anything is sent.
        """
        return await self._api.call(operations.get_flow(flow_id), flow_of)

    async def start(
        self,
        flow_id: str | FlowCall[Any],
        params: Params | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Run:
        """Submit a run and return at once; `runs.wait(run)` waits for it.

        `params`: a mapping, or a Pydantic model (dumped by alias, in JSON mode). A `FlowCall` takes
        the place of both id and params. `idempotency_key`:
        1 to 255 visible ASCII characters; a new one for each call unless it is given. A start that
        is sent again carries the same key. A repeated key gives the run that it gave first, with
        the URLs as they were issued then, however it ended: another run needs another key.

        Raises `InvalidParamsError` before anything is sent, `UnprocessableEntityError` where the
        service refuses the parameters, `SubmissionUnknownError` where the answer was lost and
        `Resilience(resend_ambiguous=False)` forbids to send it again, and the other `APIError`s.
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
        flow_id: str | FlowCall[Any],
        params: Params | None = None,
        *,
        save_path: str | os.PathLike[str] | None = None,
        wait_timeout: float | None = None,
        on_status: AsyncStatusCallback | None = None,
        idempotency_key: str | None = None,
        overwrite: bool = True,
    ) -> Run:
        """Start a run, wait for its end, and save its results if `save_path` is given.

        `flow_id` and `params` as for `start`. `wait_timeout`: seconds for the run (`None`: until it
        ends). `on_status` is called with the `Run` at each change of its status. One result is saved
        as `save_path` itself, several as `<stem>_<i><suffix>` from 0, and up to four at once;
        `run.files` names them. `overwrite=False` refuses to replace a file.

        Raises what `start`, `runs.wait` and `runs.download` raise. A path that cannot be written to
        is a `LocalStorageError` before the run is started.
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


def _flow_and_params(flow: str | FlowCall[Any], params: Params | None) -> tuple[str, Params | None]:
    """Returns the id of the flow and its params, which a `FlowCall` holds both."""
    if not isinstance(flow, FlowCall):
        return flow, params
    if params is not None:
        raise InvalidParamsError(f"{type(flow).__name__} holds the params: leave out params=….")
    return flow_id_of(type(flow)), flow
