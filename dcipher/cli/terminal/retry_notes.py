"""Reports retries on stderr."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dcipher.logs import logger

if TYPE_CHECKING:
    from contextlib import ExitStack

    from dcipher.cli.terminal.output import Output

__all__ = ["report_retries"]


def report_retries(output: Output, until: ExitStack) -> None:
    """Prints a line for each retry, unless `DCIPHER_LOG` or the program already does.

    `until` restores the logger, because the process may continue.
    """
    notes = _Notes(output)
    logger.addHandler(notes)
    until.callback(logger.removeHandler, notes)
    until.callback(logger.setLevel, logger.level)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


class _Notes(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__(logging.INFO)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        is_reported = record.levelno >= logging.WARNING or hasattr(record, "is_retry")
        # Without the records of an emulator in this process, which has its own logger.
        if is_reported and record.name == logger.name and logger.handlers == [self]:
            self._output.note(record.getMessage())
