"""`client.flows`: fetches a flow, starts it, runs it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload
from uuid import uuid4

from typing_extensions import Unpack

import dcipher
from dcipher._client.waiting.recent import RecentRuns
from dcipher._client.waiting.run_errors import failure, note_start
from dcipher._client.waiting.wait import check_wait_timeout
from dcipher._concurrency.callables import (
    AsyncStatusCallback,
    async_call_back,
    async_check_callback,
)
from dcipher._progress.runs import RunProgress, check_progress, run_display
from dcipher._telemetry import spans
from dcipher._telemetry.context import traceparent
from dcipher._typing.lazy import Lazy
from dcipher._wire.api_async import AsyncAPI
from dcipher._wire.messages import operations
from dcipher._wire.messages.params import Params
from dcipher._wire.messages.parsing import flow_of, started_run
from dcipher.errors import DcipherError, InvalidParamsError
from dcipher.logs import logger
from dcipher.models import Flow, Run

from .arguments import flow_and_params
from .runs_async import AsyncRuns

if TYPE_CHECKING:
    from concurrent import futures

    from dcipher._batch import options as map_options
else:
    futures, map_options = Lazy("concurrent.futures"), Lazy("dcipher._batch.options")

__all__ = ["AsyncFlows"]

R = TypeVar("R")
T = TypeVar("T")


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

    async def check(self, call: type[dcipher.FlowCall[Any]]) -> dcipher.FlowDrift:
        """Compares a `FlowCall` with the current declaration of its flow, for example when an application starts.

        Args:
            call: The class, not an instance.

        Returns:
            The differences; falsy if there are none.

        Raises:
            InvalidParamsError: The class names no flow. Nothing was sent.
            NotFoundError: There is no such flow.
            APIError: The request failed, for example with `AuthenticationError`.
        """
        from dcipher._flow_types.drift import drift_of
        from dcipher.calls import flow_id_of

        return drift_of(call, await self.get(flow_id_of(call)))

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
        flow_id, params = flow_and_params(flow_id, params)
        operation = operations.start_run(flow_id, params, key)
        try:
            run = await self._api.call(
                operation,
                lambda response: started_run(
                    response, operation, datetime.now(timezone.utc), traceparent()
                ),
            )
            self._recent.add(run)
        except BaseException as error:
            note_start(error, operation)
            del operation  # its body may contain a secret of the params
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
        progress: RunProgress = False,
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
            progress: "auto" or `True` displays the status, then the bytes received: on a terminal,
                in a notebook as a card that is updated, elsewhere as lines on stderr.
                DCIPHER_PROGRESS=0 turns it off.

        Returns:
            The finished run. `run.files` has the paths of the saved files.

        Raises:
            LocalStorageError: `save_path` cannot be written to. This is checked before the start.
            DcipherError: As `start`, `runs.wait` and `runs.download` do.
        """
        check_wait_timeout(wait_timeout, "wait_timeout")
        async_check_callback("on_status", on_status)
        check_progress(progress)
        if save_path is not None:
            from dcipher._results.outputs.targets import check_targets

            check_targets(save_path, overwrite=overwrite)
            # An import may fail, too, and no run is to be paid for that cannot be saved then.
            from dcipher._results.results_async import AsyncResults

            AsyncResults(self._api)
        key = str(uuid4()) if idempotency_key is None else idempotency_key
        flow_id, params = flow_and_params(flow_id, params)
        self._api.check_ids(flow_id)
        run: Run | None = None

        async def reported(changed: Run) -> None:
            nonlocal run
            run = changed  # for the error, should the callback raise
            display.status(changed)
            await async_call_back(on_status, changed)

        try:
            with spans.flow_run(flow_id), run_display(progress) as display:
                run = await self.start(flow_id, params, idempotency_key=key)
                with self._recent.held(run):
                    run = await self._runs.wait(run, timeout=wait_timeout, on_status=reported)
                    if save_path is None:
                        return run
                    files = await self._runs.download(
                        run, save_path, overwrite=overwrite, on_progress=display.on_progress()
                    )
        except BaseException as error:
            # Ctrl-C may arrive between the end of the start and its record here.
            run = run or self._recent.started_with(flow_id, key)
            if run is None:
                raise
            if type(error) is DcipherError and self._api.is_closed:  # during the call
                raise self._recent.closed(error, run) from None
            self._recent.note(error, run)
            raise
        return run.model_copy(update={"files": files})

    @overload
    def map(
        self,
        flow_id: AsyncIterable[dcipher.FlowCall[R]] | Iterable[dcipher.FlowCall[R]],
        rows: None = None,
        *,
        read: None = None,
        **options: Unpack[map_options.MapOptions],
    ) -> dcipher.AsyncBatch[R]: ...

    @overload
    def map(
        self, flow_id: str, rows: Any, *, read: type[T], **options: Unpack[map_options.MapOptions]
    ) -> dcipher.AsyncBatch[T]: ...

    @overload
    def map(
        self,
        flow_id: Any,
        rows: Any = None,
        *,
        read: Any = None,
        **options: Unpack[map_options.MapOptions],
    ) -> dcipher.AsyncBatch[Any]: ...

    def map(
        self,
        flow_id: Any,
        rows: Any = None,
        *,
        key: str | Callable[[Any], object] | None = None,
        params: Sequence[str] | Callable[[Any], object] | None = None,
        journal: str | os.PathLike[str] | None = None,
        read: Any = None,
        save: str | os.PathLike[str] | None = None,
        in_flight: int | None = None,
        starts_per_second: float | None = None,
        max_failures: float | None = None,
        retry_failed: bool = False,
        on_unknown: Literal["resend", "hold"] = "resend",
        ordered: bool = False,
        progress: map_options.Progress = "auto",
        executor: futures.Executor | None = None,
        shard: int = 500,
    ) -> dcipher.AsyncBatch[Any]:
        """Runs a flow once for each row. Iterate over the batch, or call its `run()`.

        Args:
            flow_id: The id of the flow; or the rows, if they are `FlowCall`s, which name the flow.
            rows: Mappings, Pydantic models or dataclasses, from any iterable; or a table of pandas,
                polars or pyarrow. An iterator is never read into memory as a whole.
            key: The column, or a function of the row, that identifies a row by text or an integer.
                Default: the SHA-256 of its params.
            params: The columns of the row, or a function of it, that become its params. Default: the
                whole row, without the column of the key.
            journal: A file that records the state of each row. The same call with the same journal
                resumes, even after a crash. It contains the params, and the results that were read.
            read: The type that each result is validated as. Default: that of the `FlowCall`.
            save: The folder that each result is saved to, as `<key><suffix>`.
            in_flight: The number of concurrent runs. Default: adapted, from 20 to 200.
            starts_per_second: The rate of starts. Default: adapted.
            max_failures: How many rows may fail: a number, or a share from 0.0 to 1.0, which is checked from the
                hundredth row on. Default: any number.
            retry_failed: Whether to start another run for rows that failed or expired, according to the journal.
            on_unknown: Whether a start whose response was lost is retried with the same
                idempotency key, or held for a person: `dcipher journal resolve`.
            ordered: Whether the outcomes come in the order of the rows.
            progress: `"auto"`, `False`, or a function of a `BatchProgress`. DCIPHER_PROGRESS=0 takes
                precedence.
            executor: Runs the rows in the workers of a `concurrent.futures.Executor`, or of a similar
                object: in shards, each with its own journal in the folder `journal`. The workers
                read the API key from their own environment. Progress is the sum over all shards.
            shard: Rows that one worker runs at a time.

        Raises:
            InvalidParamsError: An argument is invalid. Rows are read when the batch runs.
        """
        from dcipher._batch.batch_async import AsyncBatch
        from dcipher._batch.engine.plan import planned
        from dcipher._batch.engine.steps_async import AsyncService
        from dcipher._batch.shards_async import AsyncShards

        identity: dict[str, Any] = {"key": key, "params": params}
        options: dict[str, Any] = {
            "save": save,
            "in_flight": in_flight,
            "starts_per_second": starts_per_second,
            "retry_failed": retry_failed,
            "on_unknown": on_unknown,
        }
        plan = planned(
            flow_id=flow_id,
            rows=rows,
            **identity,
            journal=journal,
            read=read,
            **options,
            max_failures=max_failures,
            ordered=ordered,
            progress=progress,
            nonce=uuid4().hex,
        )
        self._api.check_ids(plan.flow_id)
        if callable(progress):
            async_check_callback("progress", progress)
        service = AsyncService(self._api, failure, self._recent.add)
        if executor is None:
            return AsyncBatch(service, plan)
        if journal is None:
            raise InvalidParamsError(
                "executor=… needs journal=…, a folder for those of its shards."
            )
        part = self._partition(plan.flow_id or "", journal, read, identity, options)
        return AsyncBatch(service, plan, AsyncShards(part, plan, executor, shard))

    def partition(
        self,
        flow_id: str,
        *,
        key: str | Callable[[Any], object],
        params: Sequence[str] | Callable[[Any], object] | None = None,
        journal: str | os.PathLike[str],
        read: Any = None,
        in_flight: int | None = None,
        starts_per_second: float | None = None,
        max_failures: float | None = None,
        retry_failed: bool = False,
        on_unknown: Literal["resend", "hold"] = "resend",
    ) -> dcipher.Partition:
        """Returns a function that runs a flow for each row of a part, in workers of Dask, Ray or Spark.

        The arguments mean the same as in `map`; `journal` is a folder for the journals of the parts. The function can
        be pickled. It creates its own client where it is called, with the API key of that environment.
        """
        from dcipher._batch.engine.plan import planned

        options: dict[str, Any] = {
            "in_flight": in_flight,
            "starts_per_second": starts_per_second,
            "max_failures": max_failures,
            "retry_failed": retry_failed,
            "on_unknown": on_unknown,
        }
        identity: dict[str, Any] = {"key": key, "params": params}
        self._api.check_ids(flow_id)
        # A folder, as that of the results is.
        folder: dict[str, Any] = {"journal": None, "save": journal}
        unused: dict[str, Any] = {"ordered": True, "progress": False, "nonce": ""}
        planned(flow_id=flow_id, rows=(), read=read, **folder, **identity, **options, **unused)
        return self._partition(flow_id, journal, read, identity, options)

    def _partition(
        self,
        flow_id: str,
        folder: str | os.PathLike[str],
        read: Any,
        identity: dict[str, Any],
        options: dict[str, Any],
    ) -> dcipher.Partition:
        from dcipher._batch.partition import Partition

        return Partition(
            flow_id=flow_id,
            folder=os.fspath(folder),
            read=read,
            base_url=self._api.base_url,
            resilience=self._api.options.resilience,
            allow_insecure=self._api.allow_insecure,
            options=options,
            **identity,
        )
