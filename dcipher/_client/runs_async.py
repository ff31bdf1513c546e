"""`client.runs`: fetches a run, waits for it, reads its results."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import dcipher
from dcipher._client.waiting.recent import RecentRuns
from dcipher._client.waiting.wait import Wait, for_a_new_run
from dcipher._concurrency.callables import (
    AsyncProgressCallback,
    AsyncStatusCallback,
    async_call_back,
    async_check_callback,
)
from dcipher._concurrency.sleeping import async_sleep
from dcipher._concurrency.tasks.threads import async_in_thread
from dcipher._extras.libraries import library
from dcipher._files.storage_errors import import_errors
from dcipher._progress.runs import RunProgress, check_progress, run_display
from dcipher._results.outputs.missing_outputs import without_outputs
from dcipher._results.outputs.row_policy import OnInvalid
from dcipher._results.outputs.targets import targets
from dcipher._results.tables.table import Table, check_size, check_table
from dcipher._typing.lazy import Lazy
from dcipher._wire.api_async import AsyncAPI
from dcipher._wire.messages import operations
from dcipher._wire.messages.parsing import output_secrets, status_of
from dcipher.errors import APIError, InvalidParamsError
from dcipher.models import Run

from .waiting import outcomes

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
    """The runs of the service, and their results.

    Every method accepts a `Run` from anywhere: from `flows.start`, a database, or another process.
    """

    def __init__(self, api: AsyncAPI, recent: RecentRuns) -> None:
        self._api = api
        self._recent = recent

    def _results(self, run: Run) -> AsyncResults:
        # Digests, parsers, temporary files: a program that only starts and waits does not load them.
        with import_errors(run):
            from dcipher._results.results_async import AsyncResults

            return AsyncResults(self._api, self._recent.saved)

    @property
    def recent(self) -> tuple[Run, ...]:
        """The last 100 runs that this client started, newest first, each as last reported.

        They have the URLs of their results, and are kept in memory only. An older run is kept while
        a call waits for it or reads its results. Clients that `with_options` derived share this
        list; a forked child process starts with an empty one. The list of a closed client remains
        readable, and another client can wait for its runs.
        """
        return self._recent()

    async def get(self, flow_id: str, task_id: str) -> Run:
        """Fetches the status of a run once.

        Args:
            flow_id: The id of the flow.
            task_id: The id of the run.

        Returns:
            The run, without its outputs: only the response to the start has their URLs.

        Raises:
            InvalidParamsError: An id is malformed. Nothing was sent.
            NotFoundError: There is no such run.
            APIError: The request failed for another reason.
        """
        operations.run_status(flow_id, task_id)  # refuses a malformed id before Pydantic does
        return await self._poll(Run(flow_id=flow_id, task_id=task_id))

    async def refresh(self, run: Run) -> Run:
        """Fetches the status of `run` once, and keeps what `run` holds, such as its outputs.

        Args:
            run: The run, from anywhere.

        Returns:
            The updated run.

        Raises:
            APIError: As `get` does.
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
        progress: RunProgress = False,
    ) -> Run:
        """Polls until `run` has ended.

        A poll that fails does not end the wait, as long as a retry may succeed.

        Args:
            run: The run, from anywhere.
            timeout: Seconds to wait. `None`: no limit. 0: poll once.
            poll_interval: Seconds between two polls. `None`: a tenth of the age of the run, at most
                15 seconds.
            on_status: Called with the `Run` at the first poll and at each change of status.
            progress: "auto" or `True` displays the status: on a terminal, in a notebook as a card
                that is updated, elsewhere as lines on stderr. DCIPHER_PROGRESS=0 turns it off.

        Returns:
            The finished run. A run that has already ended is returned at once.

        Raises:
            RunFailedError: The run failed.
            RunCancelledError: The run was cancelled.
            WaitTimeoutError: The timeout has passed. The run continues.
            PollingInterruptedError: The API was unreachable for `Resilience.deadline` seconds
                (default: 15 minutes), and no `timeout` was given. The run may continue.
            APIError: A poll failed for good, for example with `AuthenticationError`.
        """
        _check_run(run)
        async_check_callback("on_status", on_status)
        check_progress(progress)
        wait = Wait(run, self._api.options.resilience, timeout, poll_interval)
        if not run.is_terminal:
            with self._recent.held(run), run_display(progress) as display:
                try:
                    async with aclosing(self._changes(run, wait)) as changes:
                        async for changed in changes:
                            run = changed
                            display.status(run)
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
        """Polls until `run` has ended, and yields it at the first poll and at each change of status.

        A run that fails or is cancelled is yielded; it raises no error.

        Args:
            run: The run, from anywhere.
            timeout: Seconds to wait. `None`: no limit. 0: poll once.
            poll_interval: Seconds between two polls. `None`: a tenth of the age of the run, at most
                15 seconds.

        Yields:
            The run. The last one has ended.

        Raises:
            WaitTimeoutError: The timeout has passed. The run continues.
            PollingInterruptedError: The API was unreachable, as for `wait`.
            APIError: A poll failed for good.
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
        progress: RunProgress = False,
    ) -> tuple[Path, ...]:
        """Saves the results of a run to files.

        A result is written to a temporary file beside its target, checked, synced to disk, and
        renamed. No reader sees half a file, and an error leaves an existing file intact. If
        `run` is not known to have ended, its status is fetched once.

        Several results are downloaded at the same time. So are the parts of a result above 64 MiB,
        if the store supports ranges and one connection is slow. With your own httpx client or
        transport, each result uses one connection; the blocking client then downloads one result
        after the other. If one result fails, the others are stopped. The next call resumes them.
        Files that were already saved stay.

        Args:
            run: The run, from anywhere, with the URLs of its results.
            path: The file to save the result to. Its folder must exist. Several results are saved
                as `<stem>_<i><suffix>`, counted from 0.
            overwrite: Whether an existing file may be replaced.
            on_progress: Called at most ten times a second, with the bytes so far and the total.
                The total is `None` if the store does not send it. For several results, both are
                sums, and the total is `None` until all downloads have begun.
            require_integrity: Reject a result that the store sends with neither a length nor a
                digest.
            max_connections: Connections to use at the same time. 1: one result after the other.
            progress: "auto" or `True` displays the bytes received, as `wait` does the status.

        Returns:
            The paths of the saved files, in the order of `run.outputs`.

        Raises:
            RunFailedError: The run failed.
            RunCancelledError: The run was cancelled.
            ResultExpiredError: The signed URL has expired.
            ResultChangedError: The result changed during the download.
            IntegrityError: The received bytes do not match the announced length or digest.
            LocalStorageError: A file cannot be written.
            ResultError: The run has not ended, has no URLs, or its result cannot be fetched.
        """
        async_check_callback("on_progress", on_progress)
        _check_max_connections(max_connections)
        check_progress(progress)
        with self._note_on_error(run), run_display(progress) as display:
            run = await self._ended(run)
            paths = targets(path, len(run.outputs))
            await self._results(run).save_all(
                run,
                paths,
                overwrite=overwrite,
                on_progress=display.on_progress(on_progress),
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
        """Parses a result, and validates it as `type_`.

        The format is JSON, NDJSON, CSV or Parquet (extra `arrow`). It is detected from the
        Content-Type, the file name in the URL, or the first bytes. A gzip file is decompressed, and
        so is a Zstandard file where Python supports it, up to 250 times its size.

        Args:
            run: The run, from anywhere, with the URLs of its results.
            type_: Any type that a `pydantic.TypeAdapter` accepts, such as `list[Topic]` or
                `dict[str, int]`. `bytes` returns the file as it is.
            output_index: Which result to read, counted from 0. Required if there are several.

        Returns:
            The result, as a `type_`.

        Raises:
            ResultParseError: The result is malformed or does not match `type_`. The message has the
                location.
            ResultError: The result cannot be fetched, as for `download`.
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
        """Reads the rows of the results one by one, each validated as `type_`, in constant memory.

        A row is an item of a top-level JSON array, a line of NDJSON, a record of CSV, or a row of
        Parquet. The formats and compressions are those of `read`. The whole result is downloaded to
        a temporary file first, so that no row of a damaged file is returned.

        Args:
            run: The run, from anywhere, with the URLs of its results.
            type_: The type of a row: a Pydantic model, or any type that a `pydantic.TypeAdapter`
                accepts.
            on_invalid: What to do with an invalid row. `"raise"`: raise an error. `"drop"`: drop
                it, and log how many there were. `"collect"`: drop it, and keep its number and the
                reasons in `.rejects`.
            max_invalid: How many rows may be dropped: a number of rows (`int`), or a share of them
                from 0.0 to 1.0 (`float`), which is checked from the hundredth row on and at the
                end. `None`: any number.
            keep_raw: With `"collect"`, keep the rows themselves, too.
            output_index: Which result to read, counted from 0. `None`: all, one after the other.

        Returns:
            An iterator of rows, which is also a context manager.

        Raises:
            InvalidParamsError: An argument is invalid.
            ResultParseError: During iteration: a row is invalid. The message has its number.
            TooManyInvalidRowsError: During iteration: more rows are invalid than `max_invalid`
                allows.
            ResultError: During iteration: the result cannot be fetched, as for `download`.
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
        """Returns `run`, which must have succeeded.

        Its status is fetched once if it is not known to have ended.
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
        """Reads the results as a `Table`, for polars, pandas, DuckDB and any library that reads Arrow.

        The results are downloaded to a temporary file at once. Close the table, or use it in a
        `with` statement, to remove the file. Needs the extra `arrow`.

        Args:
            run: The run, from anywhere, with the URLs of its results.
            type_: The type of a row, which determines the columns: a Pydantic model, a dataclass or
                a TypedDict. `None`: columns that fit every row, or those of the Parquet file.
            output_index: Which result to read, counted from 0. `None`: all, as one table.

        Returns:
            The table.

        Raises:
            ImportError: pyarrow is not installed.
            InvalidParamsError: `type_` cannot be a table.
            ResultError: The result cannot be fetched, as for `download`.
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
        """Reads the rows in batches, in constant memory. Needs the extra `arrow`.

        Args:
            run: The run, from anywhere, with the URLs of its results.
            type_: The type of a row, as for `table`.
            size: Rows of a batch, at most.
            output_index: Which result to read, counted from 0. `None`: all, one after the other.

        Yields:
            A `pyarrow.RecordBatch`.

        Raises:
            ResultParseError: A row is invalid. The message has its number.
            DcipherError: As `table` does.
        """
        check_size(size)
        with await self.table(run, type_, output_index=output_index) as table:
            batches = await async_in_thread(table.batches, size)
            while (batch := await async_in_thread(next, batches, None)) is not None:
                yield batch

    async def to_arrow(
        self, run: Run, type_: Any = None, *, output_index: int | None = None
    ) -> pa.Table:
        """Reads the results into a `pyarrow.Table`. Needs the extra `arrow`.

        Args:
            run: The run, from anywhere, with the URLs of its results.
            type_: The type of a row, as for `table`.
            output_index: Which result to read, counted from 0. `None`: all, as one table.

        Returns:
            A `pyarrow.Table`.

        Raises:
            ResultParseError: A row is invalid. The message has its number.
            DcipherError: As `table` does.
        """
        with await self.table(run, type_, output_index=output_index) as table:
            return await async_in_thread(table.to_arrow)

    async def to_pandas(
        self, run: Run, type_: Any = None, *, output_index: int | None = None
    ) -> pd.DataFrame:
        """Reads the results into a pandas dataframe. Needs the extra `pandas`.

        `Table.to_pandas` describes the types of the columns.

        Args:
            run: The run, from anywhere, with the URLs of its results.
            type_: The type of a row, as for `table`.
            output_index: Which result to read, counted from 0. `None`: all, as one dataframe.

        Returns:
            A `pandas.DataFrame`.

        Raises:
            ImportError: pandas or pyarrow is not installed.
            ResultParseError: A row is invalid. The message has its number.
            DcipherError: As `table` does.
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
        """Reads the results into a polars dataframe. Needs the extra `polars`.

        Args:
            run: The run, from anywhere, with the URLs of its results.
            type_: The type of a row, as for `table`.
            output_index: Which result to read, counted from 0. `None`: all, as one dataframe.

        Returns:
            A `polars.DataFrame`.

        Raises:
            ImportError: polars or pyarrow is not installed.
            ResultParseError: A row is invalid. The message has its number.
            DcipherError: As `table` does.
        """
        _check_run(run)
        with import_errors(run):
            library("polars", "polars")
            library("pyarrow", "polars")
        with await self.table(run, type_, output_index=output_index) as table:
            return await async_in_thread(table.to_polars)


def _indexes(run: Run, output_index: int | None) -> Sequence[int]:
    """Returns the indexes of the results to read: one, or all."""
    return range(len(run.outputs)) if output_index is None else [_which(run, output_index)]


def _check_run(run: object) -> None:
    if not isinstance(run, Run):
        raise InvalidParamsError(
            f"run must be a Run, not {type(run).__name__}: "
            "pass the Run that flows.start returned, or Run(flow_id=…, task_id=…)."
        )


def _check_max_connections(number: object) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise InvalidParamsError(f"max_connections must be 1 or more, not {number!r}.")


def _which(run: Run, output_index: int | None) -> int:
    """Returns the index of the result to read."""
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
        f"Run {run.task_id} has {count} result(s): choose one with output_index=…, from 0 to {count - 1}."
    )
