"""Reports retries on stderr, so that a command is not silent meanwhile."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dcipher.logs import logger

if TYPE_CHECKING:
    from collections.abc import Generator

    from dcipher.cli.terminal.output import Output

__all__ = ["retry_notes"]


@contextmanager
def retry_notes(output: Output) -> Generator[None]:
    """Writes a line for each retry in the block, unless `DCIPHER_LOG` or the program already does.

    The logger is restored, because the process may continue.
    """
    notes, level = _Notes(output), logger.level
    logger.addHandler(notes)
    if level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(notes)
        logger.setLevel(level)


class _Notes(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__(logging.INFO)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        is_reported = record.levelno >= logging.WARNING or hasattr(record, "is_retry")
        # Without the records of an emulator in this process, which has its own logger.
        if is_reported and record.name == logger.name and logger.handlers == [self]:
            self._output.note(record.getMessage())
