"""`client.runs`: look at a run, wait for it, get its results."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import dcipher
from dcipher._concurrency.callables import (
    AsyncProgressCallback,
    AsyncStatusCallback,
    async_call_back,
    async_check_callback,
)
from dcipher._concurrency.sleeping import async_sleep
from dcipher._concurrency.threads import async_in_thread
from dcipher._files import import_errors
from dcipher._libraries import Lazy, library
from dcipher._results.outputs.missing_outputs import without_outputs
from dcipher._results.outputs.row_policy import OnInvalid
from dcipher._results.outputs.targets import targets
from dcipher._results.tables.table import Table, check_size, check_table
from dcipher._wire.api_async import AsyncAPI
from dcipher._wire.messages import operations
from dcipher._wire.messages.parsing import output_secrets, status_of
from dcipher.errors import APIError, InvalidParamsError
from dcipher.models import Run

from . import outcomes
from .recent import RecentRuns
from .wait import Wait, for_a_new_run

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import pandas as pd  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import polars as pl  # type: ignore[import-not-found, unused-ignore]
    import pyarrow as pa  # type: ignore[import-not-found, import-untyped, unused-ignore]

    from dcipher._results.results_async import AsyncResults
    from dcipher.resilience import Resilience
else:
    pa, pd, pl = Lazy("pyarrow"), Lazy("pandas"), Lazy("polars")

__all__ = ["AsyncRuns"]

T = TypeVar("T")


class AsyncRuns:
    """Runs, known by a `Run`, which may come from anywhere.

    From `flows.start`, a database, another process.
    """

    def __init__(self, api: AsyncAPI, recent: RecentRuns) -> None:
        self._api = api
        self._recent = recent

    def _results(self, run: Run) -> AsyncResults:
        # Digests, parsers, temporary files: a program that only starts and waits does not load them.
        with import_errors(run):
            from dcipher._results.results_async import AsyncResults

            return AsyncResults(self._api)

    @property
    def recent(self) -> tuple[Run, ...]:
        """The last 100 runs that this client started, newest first, each as it was last reported.

        With the URLs of their results, in memory only; older ones, too, while they are waited for or
        their results are fetched. A client and those that `with_options` derived
        from it have the same ones; a forked child process begins with none. Those of a closed client
        can still be read, and another client waits for them.
        """
        return self._recent()

    async def get(self, flow_id: str, task_id: str) -> Run:
        """One look at the status of a run.

        Its outputs are not known then: they come only with the answer to the start.

        Raises `NotFoundError` where there is none, `InvalidParamsError` for ids that cannot be any,
        and the other `APIError`s.
        """
        operations.run_status(
            flow_id, task_id
        )  # says what is wrong with an id before Pydantic does
        return await self._poll(Run(flow_id=flow_id, task_id=task_id))

    async def refresh(self, run: Run) -> Run:
        """One look at the status of `run`; what it knows already, such as its outputs, stays.

        Raises as `get` does.
        """
        _check_run(run)
        return await self._poll(run, resilience=for_a_new_run(self._api.options.resilience, run))

    async def wait(
        self,
        run: Run,
        *,
        timeout: float | None = None,
        poll_interval: float | None = None,
        on_status: AsyncStatusCallback | None = None,
    ) -> Run:
        """Wait until `run` has ended; gives it as it ended.

        `timeout`: seconds for the wait (`None`: until the run ends). `poll_interval`: seconds
        between two looks; `None`: by the age of the run, a tenth of it, at most 15. `on_status` is
        called with the `Run` at the first look and at each change. A look that fails does not end
        the wait while time is left.

        Raises `RunFailedError`, `RunCancelledError`, `WaitTimeoutError` (the run goes on),
        `PollingInterruptedError` (the API stayed unreachable for `Resilience.deadline`, 15 minutes
        by default; not while a `timeout` runs), and the `APIError`s that another look would not
        change, such as `AuthenticationError`.
        """
        _check_run(run)
        async_check_callback("on_status", on_status)
        wait = Wait(run, self._api.options.resilience, timeout, poll_interval)
        if not run.is_terminal:
            with self._recent.held(run):
                try:
                    async with aclosing(self._changes(run, wait)) as changes:
                        async for changed in changes:
                            run = changed
                            await async_call_back(on_status, run)
                except BaseException as interruption:
                    self._recent.note(interruption, run)
                    raise
        error = outcomes.failure(run)
        if error is not None:
            raise error
        return run

    async def watch(
        self, run: Run, *, timeout: float | None = None, poll_interval: float | None = None
    ) -> AsyncGenerator[Run]:
        """The run at the first look and at each change of its status.

        The last one has ended, well or not.

        Arguments as for `wait`. Raises what `wait` raises, but for `RunFailedError` and
        `RunCancelledError`.
        """
        _check_run(run)
        wait = Wait(run, self._api.options.resilience, timeout, poll_interval)
        if run.is_terminal:
            yield run
            return
        with self._note_on_error(run):
            async with aclosing(self._changes(run, wait)) as changes:
                async for changed in changes:
                    yield changed

    async def download(
        self,
        run: Run,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = True,
        on_progress: AsyncProgressCallback | None = None,
        require_integrity: bool = False,
        max_connections: int = 4,
    ) -> tuple[Path, ...]:
        """Save the results of a run that has succeeded; gives the paths.

        One result goes to `path` itself, several to `<stem>_<i><suffix>` from 0. Each is written
        beside its target, checked, synced and renamed: a reader never sees half a file, and a
        failure leaves what was there. `on_progress` is called with the bytes that arrived and the
        bytes in all (`None` where a store does not say), at most ten times a second; of several
        results with the sums, of which the second is `None` until all have begun.
        `require_integrity=True` refuses a result that comes with neither a length nor a digest.

        By up to `max_connections` at once: several results, and a result above 64 MiB where the
        store supports it, and where one connection is slow. `1`: one after the other, as through a
        blocking httpx client or transport of yours; an async one of yours brings several results at
        once, each by one connection. The first result that fails ends the others, of which what
        arrived is kept for the next download; those that were saved already stay.

        Raises `ResultExpiredError`, `ResultChangedError`, `IntegrityError`, `LocalStorageError`,
        other `ResultError`s, and `RunFailedError` for a run that failed. A run that is not known to
        have ended is looked at once.
        """
        async_check_callback("on_progress", on_progress)
        _check_max_connections(max_connections)
        with self._note_on_error(run):
            run = await self._ended(run)
            paths = targets(path, len(run.outputs))
            await self._results(run).save_all(
                run,
                paths,
                overwrite=overwrite,
                on_progress=on_progress,
                require_integrity=require_integrity,
                max_connections=max_connections,
            )
        self._recent.report(run.model_copy(update={"files": paths}))
        return paths

    @overload
    async def read(self, run: Run, *, output_index: int | None = None) -> Any: ...

    @overload
    async def read(self, run: Run, type_: type[T], *, output_index: int | None = None) -> T: ...

    @overload
    async def read(self, run: Run, type_: Any, *, output_index: int | None = None) -> Any: ...

    async def read(self, run: Run, type_: object = Any, *, output_index: int | None = None) -> Any:
        """The result of a run that has succeeded, validated as `type_`.

        It is JSON, NDJSON, CSV or, with the extra `arrow`, Parquet; by its Content-Type, the name in
        its URL, or its first bytes. A gzip file, or a Zstandard file where Python can, is read as
        what it holds, up to 250 times its size. `type_` is whatever a `pydantic.TypeAdapter` takes:
        `list[Topic]`, `dict[str, int]`, `bytes` for the file as it is. `output_index` says which of
        several results, from 0.

        Raises `ResultParseError`, which says where, and what `download` raises.
        """
        with self._note_on_error(run):
            run = await self._ended(run)
            return await self._results(run).read(run, _which(run, output_index), type_)

    @overload
    def records(
        self,
        run: Run,
        type_: type[T],
        *,
        on_invalid: OnInvalid = "raise",
        max_invalid: float | None = None,
        keep_raw: bool = False,
        output_index: int | None = None,
    ) -> dcipher.AsyncRecords[T]: ...

    @overload
    def records(
        self,
        run: Run,
        type_: object = Any,
        *,
        on_invalid: OnInvalid = "raise",
        max_invalid: float | None = None,
        keep_raw: bool = False,
        output_index: int | None = None,
    ) -> dcipher.AsyncRecords[Any]: ...

    def records(
        self,
        run: Run,
        type_: object = Any,
        *,
        on_invalid: OnInvalid = "raise",
        max_invalid: float | None = None,
        keep_raw: bool = False,
        output_index: int | None = None,
    ) -> dcipher.AsyncRecords[Any]:
        """The rows of the results one by one, each validated as `type_`, in constant memory.

        A row is an item of a top-level JSON array, a line of NDJSON, a line of CSV, or a row of
        Parquet; compressed or not, as for `read`. The result is fetched whole to a temporary file
        first, so that no row of a damaged one is seen. Several results are read one after the other,
        unless `output_index` names one. What this gives is an iterator and a context manager.

        `on_invalid="drop"` leaves out rows that do not fit, and logs how many; `"collect"` leaves
        them out, too, and keeps in `.rejects` which they were and why, with `keep_raw=True` also the
        rows themselves. Then `max_invalid` says how many are too many: an int is a number of rows, a
        float from 0.0 to 1.0 a share of them, judged from the hundredth row on and at the end.

        Raises `InvalidParamsError` at once; and at the row `ResultParseError`, which says which,
        `TooManyInvalidRowsError`, and what `download` raises.
        """
        _check_run(run)
        with import_errors(run):
            from dcipher._results.outputs.failures import check_type
            from dcipher._results.outputs.row_policy import RowPolicy
            from dcipher._results.records_async import AsyncRecords

        policy = RowPolicy(on_invalid, max_invalid, keep_raw=keep_raw)
        check_type(type_)
        if output_index is not None and run.outputs:
            _which(run, output_index)

        async def begin() -> tuple[Run, Sequence[int]]:
            with self._note_on_error(run):
                ended = await self._ended(run)
                return ended, _indexes(ended, output_index)

        return AsyncRecords(self._results(run), begin, run, type_, policy)

    async def _poll(
        self, run: Run, *, within: float | None = None, resilience: Resilience | None = None
    ) -> Run:
        run = await self._api.call(
            operations.run_status(run.flow_id, run.task_id, output_secrets(run.outputs)),
            lambda answer: status_of(answer, run, datetime.now(timezone.utc)),
            within=within,
            resilience=resilience,
        )
        self._recent.report(run)
        return run

    @contextmanager
    def _note_on_error(self, run: Run) -> Generator[None]:
        """Adds a note on the run to an error of the block; the run is remembered until then."""
        _check_run(run)
        with self._recent.held(run):
            try:
                yield
            except GeneratorExit:  # the caller stopped the iteration
                raise
            except BaseException as error:
                self._recent.note(error, self._recent.latest(run))
                raise

    async def _changes(self, run: Run, wait: Wait) -> AsyncGenerator[Run]:
        """Yields the run after the first poll and at each change of its status, until it has ended."""
        # The wait retries, not each poll: two layers of retries would multiply.
        once = replace(self._api.options.resilience, max_retries=0)
        delay, reported = wait.first(), None
        while True:
            left = wait.left()
            last = left is not None and delay >= left
            await async_sleep(max(0.0, left or 0.0) if last else delay)
            try:
                run = await self._poll(run, within=wait.poll_timeout(), resilience=once)
                delay = wait.after_poll(run)
            except APIError as error:
                delay = wait.after_failure(error, run)
            else:
                if run.status != reported:
                    reported = run.status
                    yield run
                if run.is_terminal:
                    return
            if last:
                raise outcomes.timed_out(
                    run, wait.timeout or 0.0, wait.last_error
                ) from wait.last_error

    async def _ended(self, run: Run) -> Run:
        """`run`, which must have succeeded.

        It is looked at once if it is not known to have ended.
        """
        if not run.is_terminal:
            run = await self.refresh(run)
        error = outcomes.failure(run)
        if error is not None:
            raise error
        if not run.succeeded:
            raise outcomes.not_ended(run)
        if not run.outputs:
            raise without_outputs(run)
        return run

    async def table(self, run: Run, type_: Any = None, *, output_index: int | None = None) -> Table:
        """The results as a `Table`: columns, for polars, pandas, DuckDB and whatever reads Arrow.

        Each row is validated as `type_`: a Pydantic model, a dataclass, a TypedDict. The columns
        come from it, not from the rows. Without one, they are those that hold all rows, or those of
        a Parquet file. The results are fetched now, to a temporary file; several are one table,
        unless `output_index` names one. Close the table, or use it in a `with` statement.

        Raises ImportError without pyarrow (the extra `arrow`), `InvalidParamsError`
        for a type that cannot be a table, and what `download` raises.
        """
        _check_run(run)
        with import_errors(run):
            check_table(type_)
        with self._note_on_error(run):
            run = await self._ended(run)
            return await self._results(run).table(run, _indexes(run, output_index), type_)

    async def batches(
        self,
        run: Run,
        type_: Any = None,
        *,
        size: int = 65536,
        output_index: int | None = None,
    ) -> AsyncGenerator[pa.RecordBatch]:
        """The rows as `pyarrow.RecordBatch`es of at most `size`, in memory that does not grow.

        Arguments as for `table`. Raises what `table` raises, and `ResultParseError`, which says
        which row.
        """
        check_size(size)
        with await self.table(run, type_, output_index=output_index) as table:
            batches = await async_in_thread(table.batches, size)
            while (batch := await async_in_thread(next, batches, None)) is not None:
                yield batch

    async def to_arrow(
        self, run: Run, type_: Any = None, *, output_index: int | None = None
    ) -> pa.Table:
        """The results as a `pyarrow.Table`.

        Arguments as for `table`. Raises what `batches` raises.
        """
        with await self.table(run, type_, output_index=output_index) as table:
            return await async_in_thread(table.to_arrow)

    async def to_pandas(
        self, run: Run, type_: Any = None, *, output_index: int | None = None
    ) -> pd.DataFrame:
        """The results as a `pandas.DataFrame`: `Table.to_pandas` says with which types.

        Arguments as for `table`. Raises what `batches` raises; without pandas, an ImportError
        (the extra `pandas`).
        """
        _check_run(run)
        with import_errors(run):
            library("pandas", "pandas")
            library("pyarrow", "pandas")
        with await self.table(run, type_, output_index=output_index) as table:
            return await async_in_thread(table.to_pandas)

    async def to_polars(
        self, run: Run, type_: Any = None, *, output_index: int | None = None
    ) -> pl.DataFrame:
        """The results as a `polars.DataFrame`.

        Arguments as for `table`. Raises what `batches` raises; without polars, an ImportError
        (the extra `polars`).
        """
        _check_run(run)
        with import_errors(run):
            library("polars", "polars")
            library("pyarrow", "polars")
        with await self.table(run, type_, output_index=output_index) as table:
            return await async_in_thread(table.to_polars)


def _indexes(run: Run, output_index: int | None) -> Sequence[int]:
    """The places of the results that are meant: one, or all."""
    return range(len(run.outputs)) if output_index is None else [_which(run, output_index)]


def _check_run(run: object) -> None:
    if not isinstance(run, Run):
        raise InvalidParamsError(
            f"This takes a Run, not {type(run).__name__}: "
            "what flows.start gave, or Run(flow_id=…, task_id=…)."
        )


def _check_max_connections(number: object) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise InvalidParamsError(f"max_connections must be 1 or more, not {number!r}.")


def _which(run: Run, output_index: int | None) -> int:
    """The place of the one result that is meant."""
    count = len(run.outputs)
    if output_index is None and count == 1:
        return 0
    if (
        isinstance(output_index, int)
        and not isinstance(output_index, bool)
        and 0 <= output_index < count
    ):
        return output_index
    raise InvalidParamsError(
        f"Run {run.task_id} has {count} result(s): say which with output_index=…, below {count}."
    )
