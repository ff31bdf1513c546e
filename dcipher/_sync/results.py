# Generated from dcipher/_async/results.py by scripts/unasync.py: edit that, not this.
"""The results of one run: saved to a file, read as a value, read row by row."""

from __future__ import annotations

import io
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from .._concurrency import each, in_thread
from .._core.compression import is_compressed
from .._core.hosts import leads_here
from .._core.responses import output_secrets
from .._core.results import parse_document
from .._core.rows import Format, iter_rows
from .._core.tracebacks import presentable
from .._fetching import fetch, room
from .._parts import PartFile
from .._results import Rewindable, format_of, parse_errors, result_errors, source_of
from .._stored import StoredFile
from ..logs import logger
from .progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from .._concurrency import ProgressCallback
    from .._core.downloads import Sink, Source, Transfer
    from ..models import Run
    from ..tables import Table
    from .api import API

__all__ = ["Results"]


class Results:
    """Fetches the results of runs."""

    def __init__(self, api: API) -> None:
        self._api = api

    def save_all(
        self,
        run: Run,
        targets: Sequence[Path],
        *,
        overwrite: bool,
        on_progress: ProgressCallback | None,
        require_integrity: bool,
        max_connections: int,
    ) -> None:
        """Each result to its target, as many at once as there are connections for."""
        self._api.check_open()
        save = partial(self.save, run, overwrite=overwrite, require_integrity=require_integrity)
        if len(targets) == 1:
            save(0, targets[0], on_progress=on_progress, max_connections=max_connections)
            return
        progress = Progress(on_progress, len(targets))
        places = room(self._api.plain_http, min(len(targets), max_connections) - 1)
        at_once = 1 + len(places)
        heard = progress.noted if places else progress.told
        jobs = [
            partial(
                save,
                index,
                target,
                on_progress=heard(index),
                max_connections=max_connections // at_once,
            )
            for index, target in enumerate(targets)
        ]
        try:
            if places:
                each(jobs, at_once, progress.tell)
            else:
                for job in jobs:
                    job()
        finally:
            for place in places:
                place.release()
        progress.tell(last=True)

    def save(
        self,
        run: Run,
        index: int,
        target: Path,
        *,
        overwrite: bool,
        on_progress: ProgressCallback | None,
        require_integrity: bool,
        max_connections: int,
    ) -> None:
        """One result to `target`, whole or not at all."""
        self._fetch(
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
        logger.info("run %s: result %d saved to %s", run.task_id, index, target)

    def read(self, run: Run, index: int, type_: Any) -> Any:
        """One result as a value."""
        memory = io.BytesIO()
        sink = Rewindable(memory, run, index)
        transfer = self._fetch(run, index, lambda _: sink)
        with parse_errors(run, index):
            format_ = in_thread(format_of, run, index, transfer, sink)
            return in_thread(parse_document, memory.getvalue(), type_, format_)

    def rows(
        self, run: Run, index: int, type_: Any, file: BinaryIO, sink: Rewindable
    ) -> Iterator[Any]:
        """The rows of one result, which is fetched whole to `file` first: `sink` writes there."""
        transfer = self._fetch(run, index, lambda _: sink)
        with parse_errors(run, index):
            format_ = in_thread(format_of, run, index, transfer, sink)
            if format_ is Format.PARQUET and is_compressed(sink.rewound(4)):
                with sink.storage_errors():  # Parquet is read from its end
                    stored = in_thread(StoredFile.expanded, file)
                file = cast("BinaryIO", cast("object", stored.reader()))
            return in_thread(iter_rows, file, type_, format_)

    def table(self, run: Run, indexes: Sequence[int], type_: Any) -> Table:
        """Results as a table, each in a temporary file."""
        from .._tables import Part
        from ..tables import Table

        parts: list[Part] = []
        with ExitStack() as held:
            for index in indexes:
                stored, format_ = self._store(run, index, held)
                parts.append(Part(run, index, stored, format_))
            _ = held.pop_all()  # the table closes them from here on
        return Table(tuple(parts), type_)

    def _store(self, run: Run, index: int, held: ExitStack) -> tuple[StoredFile, Format]:
        """Fetch one result into a file that `held` closes, decompressed: it is read more than once."""
        stored = StoredFile()
        held.callback(stored.close)
        sink = Rewindable(stored.file, run, index)
        transfer = self._fetch(run, index, lambda _: sink)
        format_ = in_thread(format_of, run, index, transfer, sink)
        if is_compressed(sink.rewound(4)):
            with parse_errors(run, index), sink.storage_errors():
                stored = in_thread(stored.decompressed)
            held.callback(stored.close)
        return stored, format_

    def _fetch(
        self,
        run: Run,
        index: int,
        sink_for: Callable[[Source], Sink],
        *,
        on_progress: ProgressCallback | None = None,
        require_integrity: bool = False,
        keeps_encoded: bool = False,
        max_connections: int = 1,
    ) -> Transfer:
        outer = sys.exc_info()[1]
        try:
            with result_errors(run, index):
                return self._transfer(
                    run,
                    index,
                    sink_for,
                    on_progress=on_progress,
                    require_integrity=require_integrity,
                    keeps_encoded=keeps_encoded,
                    max_connections=max_connections,
                )
        except BaseException as error:
            urls = run.outputs[index : index + 1]
            presentable(error, outer, (*self._api.plain_http.secrets(), *output_secrets(urls)))
            raise error  # noqa: TRY201 - before Python 3.11, a plain one brings the frames back
        finally:
            del outer

    def _transfer(
        self,
        run: Run,
        index: int,
        sink_for: Callable[[Source], Sink],
        *,
        on_progress: ProgressCallback | None,
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
        return fetch(
            self._api.plain_http,
            source,
            lambda: sink_for(source),
            resilience=self._api.options.resilience,
            timeout=self._api.options.timeout,
            total_timeout=self._api.options.total_timeout,
            on_progress=on_progress,
            connections=max_connections,
        )
