"""The filter of other libraries' loggers, which refers to no other module of this package.

Python keeps `logging` and its loggers to the end. What a filter refers to would be kept, too: all of the
package, by its functions' globals, and the garbage collector would search it once more.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from weakref import ref

__all__ = ["RecordFilter"]


class RecordFilter(logging.Filter):
    """Passes each record to a function, which may change it."""

    def __init__(self, change: ref[Callable[[logging.LogRecord], None]]) -> None:
        super().__init__()
        self._change = change

    def filter(self, record: logging.LogRecord) -> bool:
        change = self._change()
        if change is None:
            # The package was imported anew, with another filter; or Python ends, and it may be a secret.
            return not sys.is_finalizing()
        change(record)
        return True
