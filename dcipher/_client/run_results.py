# Generated from dcipher/_client/run_results_async.py by scripts/unasync.py: edit that, not this.
"""The results of `client.runs`: downloaded, read as a value, row by row, as tables."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import dcipher
from dcipher._concurrency.callables import ProgressCallback, check_callback
from dcipher._concurrency.tasks.threads import in_thread
from dcipher._extras.libraries import library
from dcipher._files.storage_errors import import_errors
from dcipher._progress.runs import RunProgress, check_progress, run_display
from dcipher._results.outputs.targets import targets
from dcipher._typing.lazy import Lazy
from dcipher.errors import InvalidParamsError
from dcipher.errors._hints import with_hint
from dcipher.models import Run

from .waiting.polls import RunPolls, check_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import polars as pl  # type: ignore[import-not-found, unused-ignore]
    import pyarrow as pa  # type: ignore[import-not-found, import-untyped, unused-ignore]

    from dcipher._results.outputs import row_policy
    from dcipher._results.results import Results
else:
    pa, pd, pl = Lazy("pyarrow"), Lazy("pandas"), Lazy("polars")
    row_policy = Lazy("dcipher._results.outputs.row_policy")

__all__ = ["RunResults"]

T = TypeVar("T")


class RunResults(RunPolls):
    """The methods of `client.runs` that read the results of a run."""

    def _results(self, run: Run) -> Results:
        # Digests, parsers, temporary files: a program that only starts and waits does not load them.
        with import_errors(run):
            from dcipher._results.results import Results

            return Results(self._api, self._recent.saved)

    def download(
        self,
        run: Run,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = True,
        on_progress: ProgressCallback | None = None,
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
            progress: "auto" or `True` displays the received bytes, in the same way as `wait` displays the status.

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
        check_callback("on_progress", on_progress)
        _check_max_connections(max_connections)
        check_progress(progress)
        with self._note_on_error(run), run_display(progress) as display:
            run = self._ended(run)
            paths = targets(path, len(run.outputs))
            self._results(run).save_all(
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
    def read(self, run: Run, *, output_index: int | None = None) -> Any: ...

    @overload
    def read(self, run: Run, type_: type[T], *, output_index: int | None = None) -> T: ...

    @overload
    def read(self, run: Run, type_: Any, *, output_index: int | None = None) -> Any: ...

    def read(self, run: Run, type_: object = Any, *, output_index: int | None = None) -> Any:
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
            run = self._ended(run)
            return self._results(run).read(run, _which(run, output_index), type_)

    @overload
    def records(
        self,
        run: Run,
        type_: type[T],
        *,
        on_invalid: row_policy.OnInvalid = "raise",
        max_invalid: float | None = None,
        keep_raw: bool = False,
        output_index: int | None = None,
    ) -> dcipher.Records[T]: ...

    @overload
    def records(
        self,
        run: Run,
        type_: object = Any,
        *,
        on_invalid: row_policy.OnInvalid = "raise",
        max_invalid: float | None = None,
        keep_raw: bool = False,
        output_index: int | None = None,
    ) -> dcipher.Records[Any]: ...

    def records(
        self,
        run: Run,
        type_: object = Any,
        *,
        on_invalid: row_policy.OnInvalid = "raise",
        max_invalid: float | None = None,
        keep_raw: bool = False,
        output_index: int | None = None,
    ) -> dcipher.Records[Any]:
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
        check_run(run)
        with import_errors(run):
            from dcipher._results.outputs.failures import check_type
            from dcipher._results.outputs.row_policy import RowPolicy
            from dcipher._results.records import Records

        policy = RowPolicy(on_invalid, max_invalid, keep_raw=keep_raw)
        check_type(type_)
        if output_index is not None and run.outputs:
            _which(run, output_index)

        def begin() -> tuple[Run, Sequence[int]]:
            with self._note_on_error(run):
                ended = self._ended(run)
                return ended, _indexes(ended, output_index)

        return Records(self._results(run), begin, run, type_, policy)

    def table(
        self, run: Run, type_: Any = None, *, output_index: int | None = None
    ) -> dcipher.Table:
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
        check_run(run)
        with import_errors(run):
            from dcipher._results.tables.table import check_table

            check_table(type_)
        with self._note_on_error(run):
            run = self._ended(run)
            return self._results(run).table(run, _indexes(run, output_index), type_)

    def batches(
        self,
        run: Run,
        type_: Any = None,
        *,
        size: int = 65536,
        output_index: int | None = None,
    ) -> Generator[pa.RecordBatch]:
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
        check_run(run)
        with import_errors(run):
            from dcipher._results.tables.table import check_size
        check_size(size)
        with self.table(run, type_, output_index=output_index) as table:
            batches = in_thread(table.batches, size)
            while (batch := in_thread(next, batches, None)) is not None:
                yield batch

    def to_arrow(self, run: Run, type_: Any = None, *, output_index: int | None = None) -> pa.Table:
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
        with self.table(run, type_, output_index=output_index) as table:
            return in_thread(table.to_arrow)

    def to_pandas(
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
        check_run(run)
        with import_errors(run):
            library("pandas", "pandas")
            library("pyarrow", "pandas")
        with self.table(run, type_, output_index=output_index) as table:
            return in_thread(table.to_pandas)

    def to_polars(
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
        check_run(run)
        with import_errors(run):
            library("polars", "polars")
            library("pyarrow", "polars")
        with self.table(run, type_, output_index=output_index) as table:
            return in_thread(table.to_polars)


def _indexes(run: Run, output_index: int | None) -> Sequence[int]:
    """Returns the indexes of the results to read: one, or all."""
    return range(len(run.outputs)) if output_index is None else [_which(run, output_index)]


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
    raise with_hint(
        InvalidParamsError(f"Run {run.task_id} has {count} result(s)."),
        f"Choose one with output_index=…, from 0 to {count - 1}.",
    )
