"""Saves the results of a run, or reads them as a value, as rows or as a table."""

from __future__ import annotations

import io
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from dcipher._concurrency.tasks.threads import async_import_for_threads, async_in_thread
from dcipher._concurrency.tasks.workers import async_each
from dcipher._files.storage_errors import import_errors
from dcipher._masking.tracebacks import presentable
from dcipher._results.downloads.fetching import async_fetch, async_spare_permits
from dcipher._results.downloads.files.part_file import PartFile
from dcipher._results.outputs.failures import (
    Rewindable,
    format_of,
    parse_errors,
    result_errors,
    source_of,
)
from dcipher._results.outputs.saved_results import SavedResults
from dcipher._results.outputs.temporary_files import StoredFile
from dcipher._results.parsing.compression import is_compressed
from dcipher._results.rows.documents import parse_document
from dcipher._results.rows.reading import Format, iter_rows
from dcipher._telemetry import spans
from dcipher._urls.hosts import leads_here
from dcipher._wire.messages.parsing import output_secrets
from dcipher.logs import logger

from .progress_async import AsyncProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dcipher._concurrency.callables import AsyncProgressCallback
    from dcipher._results.downloads.transfers.sources import Source
    from dcipher._results.downloads.transfers.transfer import Sink, Transfer
    from dcipher._results.tables.table import Table
    from dcipher._wire.api_async import AsyncAPI
    from dcipher.models import Run

__all__ = ["AsyncResults"]

SMALL: Final = 65_536
"""Bytes up to which the format is detected on the event loop: a thread would cost more."""


class AsyncResults:
    """Fetches the results of runs."""

    def __init__(self, api: AsyncAPI, saved: SavedResults | None = None) -> None:
        self._api = api
        self._saved = SavedResults() if saved is None else saved
        async_import_for_threads()

    async def save_all(
        self,
        run: Run,
        targets: Sequence[Path],
        *,
        overwrite: bool,
        on_progress: AsyncProgressCallback | None,
        require_integrity: bool,
        max_connections: int,
    ) -> None:
        """Saves each result to its target, concurrently as far as connections permit."""
        self._api.check_open()
        save = partial(self.save, run, overwrite=overwrite, require_integrity=require_integrity)
        if len(targets) == 1:
            await save(0, targets[0], on_progress=on_progress, max_connections=max_connections)
            return
        progress = AsyncProgress(on_progress, len(targets))
        permits = async_spare_permits(self._api.plain_http, min(len(targets), max_connections) - 1)
        concurrency = 1 + len(permits)
        callback_of = progress.recorder if permits else progress.reporter
        jobs = [
            partial(
                save,
                index,
                target,
                on_progress=callback_of(index),
                max_connections=max_connections // concurrency,
            )
            for index, target in enumerate(targets)
        ]
        try:
            if permits:
                await async_each(jobs, concurrency, progress.report)
            else:
                for job in jobs:
                    await job()
        finally:
            for permit in permits:
                permit.release()
        await progress.report(last=True)

    async def save(
        self,
        run: Run,
        index: int,
        target: Path,
        *,
        overwrite: bool,
        on_progress: AsyncProgressCallback | None,
        require_integrity: bool,
        max_connections: int,
    ) -> None:
        """Saves one result to `target`, atomically."""
        transfer = await self._fetch(
            run,
            index,
            lambda source: PartFile(
                target, source.identity, overwrite=overwrite, run=run, index=index
            ),
            on_progress=on_progress,
            require_integrity=require_integrity,
            keeps_encoded=True,
            max_connections=max_connections,
        )
        self._saved.add(run, index, target, transfer)
        logger.info("run %s: result %d saved to %s", run.task_id, index, target)

    async def read(self, run: Run, index: int, type_: Any) -> Any:
        """Reads one result as a value."""
        body, format_ = await self.document(run, index)
        with parse_errors(run, index):
            return await async_in_thread(parse_document, body, type_, format_)

    async def document(self, run: Run, index: int) -> tuple[bytes, Format]:
        """Returns one result unchanged, and its format."""
        memory = io.BytesIO()
        sink = Rewindable(memory, run, index)
        transfer = await self._receive(run, index, sink)
        with parse_errors(run, index):
            if memory.getbuffer().nbytes <= SMALL:
                format_ = format_of(run, index, transfer, sink)
            else:
                format_ = await async_in_thread(format_of, run, index, transfer, sink)
        return memory.getvalue(), format_

    async def rows(
        self, run: Run, index: int, type_: Any, file: BinaryIO, sink: Rewindable
    ) -> Iterator[Any]:
        """Returns the rows of one result, which is first downloaded to `file` by `sink`."""
        transfer = await self._receive(run, index, sink)
        with parse_errors(run, index):
            format_ = await async_in_thread(format_of, run, index, transfer, sink)
            if format_ is Format.PARQUET and is_compressed(sink.rewound(4)):
                with sink.storage_errors():  # Parquet is read from its end
                    stored = await async_in_thread(StoredFile.expanded, file)
                file = cast("BinaryIO", cast("object", stored.reader()))
            return await async_in_thread(iter_rows, file, type_, format_)

    async def table(self, run: Run, indexes: Sequence[int], type_: Any) -> Table:
        """Returns results as a table, each in a temporary file."""
        with import_errors(run):
            from dcipher._results.tables.reading import Part
            from dcipher._results.tables.table import Table

        parts: list[Part] = []
        with ExitStack() as held:
            for index in indexes:
                stored, format_ = await self._store(run, index, held)
                parts.append(Part(run, index, stored, format_))
            _ = held.pop_all()  # the table closes them from here on
        return Table(tuple(parts), type_)

    async def _store(self, run: Run, index: int, held: ExitStack) -> tuple[StoredFile, Format]:
        """Downloads one result to a file that `held` closes, and decompresses it, because it is read several times."""
        stored = StoredFile()
        held.callback(stored.close)
        sink = Rewindable(stored.file, run, index)
        transfer = await self._receive(run, index, sink)
        format_ = await async_in_thread(format_of, run, index, transfer, sink)
        if is_compressed(sink.rewound(4)):
            with parse_errors(run, index), sink.storage_errors():
                stored = await async_in_thread(stored.decompressed)
            held.callback(stored.close)
        return stored, format_

    async def _receive(self, run: Run, index: int, sink: Rewindable) -> Transfer:
        """Writes one result to `sink`: from the file in which it was saved, else from its store."""
        self._api.check_open()
        if run.files:
            with sink.storage_errors():
                saved = await async_in_thread(self._saved.copy, run, index, sink)
            if saved is not None:
                return saved
        return await self._fetch(run, index, lambda _: sink)

    async def _fetch(
        self,
        run: Run,
        index: int,
        sink_for: Callable[[Source], Sink],
        *,
        on_progress: AsyncProgressCallback | None = None,
        require_integrity: bool = False,
        keeps_encoded: bool = False,
        max_connections: int = 1,
    ) -> Transfer:
        outer = sys.exc_info()[1]
        with spans.fetch(run, index) as span:
            try:
                with result_errors(run, index):
                    transfer = await self._transfer(
                        run,
                        index,
                        sink_for,
                        on_progress=on_progress,
                        require_integrity=require_integrity,
                        keeps_encoded=keeps_encoded,
                        max_connections=max_connections,
                    )
                    span.received(transfer.arrived)
                    return transfer
            except BaseException as error:
                urls = run.outputs[index : index + 1]
                presentable(error, outer, (*self._api.plain_http.secrets(), *output_secrets(urls)))
                raise error  # noqa: TRY201 - before Python 3.11, a plain one brings the frames back
            finally:
                del outer

    async def _transfer(
        self,
        run: Run,
        index: int,
        sink_for: Callable[[Source], Sink],
        *,
        on_progress: AsyncProgressCallback | None,
        require_integrity: bool,
        keeps_encoded: bool,
        max_connections: int,
    ) -> Transfer:
        self._api.check_open()
        source = source_of(
            run,
            index,
            allow_insecure=self._api.allow_insecure,
            may_lead_here=leads_here(self._api.base_url),
            require_integrity=require_integrity,
            keeps_encoded=keeps_encoded,
        )
        return await async_fetch(
            self._api.plain_http,
            source,
            lambda: sink_for(source),
            resilience=self._api.options.resilience,
            timeout=self._api.options.timeout,
            total_timeout=self._api.options.total_timeout,
            on_progress=on_progress,
            connections=max_connections,
        )
