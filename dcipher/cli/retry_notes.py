"""Says on stderr that a request failed and is sent again, so that a command is not silent meanwhile."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dcipher.logs import logger, retries

if TYPE_CHECKING:
    from dcipher.cli.output import Output

__all__ = ["note_retries"]


def note_retries(output: Output) -> None:
    """Write a line for each retry from now on, unless `DCIPHER_LOG` or the program does so already."""
    for other in [*retries.handlers]:
        if isinstance(other, _Notes):
            retries.removeHandler(other)
    retries.addHandler(_Notes(output))
    if retries.level == logging.NOTSET:
        retries.setLevel(logging.INFO)


class _Notes(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__(logging.INFO)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        if not logger.handlers:
            self._output.note(record.getMessage())
