"""Says on stderr that a request failed and is sent again, so that a command is not silent meanwhile."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dcipher.logs import logger

if TYPE_CHECKING:
    from dcipher.cli.terminal.output import Output

__all__ = ["note_retries", "stop_noting"]


def note_retries(output: Output) -> None:
    """Write a line for each retry from now on, unless `DCIPHER_LOG` or the program does so already."""
    stop_noting()
    logger.addHandler(_Notes(output, logger.level))
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


def stop_noting() -> None:
    """Leave the logger as it was: the command has ended, and its program may go on."""
    for handler in [*logger.handlers]:
        if isinstance(handler, _Notes):
            logger.removeHandler(handler)
            logger.setLevel(handler.level_before)


class _Notes(logging.Handler):
    def __init__(self, output: Output, level_before: int) -> None:
        super().__init__(logging.INFO)
        self._output = output
        self.level_before: int = level_before

    def emit(self, record: logging.LogRecord) -> None:
        is_said = record.levelno >= logging.WARNING or hasattr(record, "is_retry")
        # Not what an emulator in this process logs by a logger of its own.
        if is_said and record.name == logger.name and logger.handlers == [self]:
            self._output.note(record.getMessage())
