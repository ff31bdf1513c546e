"""The `dcipher` logger, `DCIPHER_LOG`, and what other libraries say of signed URLs.

Importing configures nothing. The root logger, its handlers and its level belong to the application.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

from ._core.signed_urls import looks_signed
from ._core.text import REDACTED, redact_query

__all__ = ["configure", "downloading", "logger"]

logger: logging.Logger = logging.getLogger("dcipher")

downloading: ContextVar[bool] = ContextVar("dcipher_downloading", default=False)
"""Set while a signed URL is fetched.

Then every query that httpx or httpcore logs is masked, whatever it looks like.
"""

_LIBRARIES = tuple(
    f"{name}{version}{part}"
    for version in ("", "2")  # httpx2 and httpcore2 may stand in for them
    for name, parts in (
        ("httpx", ("",)),
        ("httpcore", (".connection", ".http11", ".http2", ".proxy", ".socks")),
    )
    for part in parts
)
_lock = threading.Lock()


def configure(level: str | None) -> None:
    """Set the level of the `dcipher` logger and give it one handler on stderr, once.

    `None`: leave it as it is.

    The filters that keep signatures out of the records of httpx and httpcore are installed in
    either case.
    """
    with _lock:
        for name in _LIBRARIES:
            _add_filter(logging.getLogger(name))
        if level is not None:
            logger.setLevel(level.upper())
            if not any(isinstance(handler, _Handler) for handler in logger.handlers):
                logger.addHandler(_handler())


if TYPE_CHECKING:
    from typing import TextIO

    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler


class _Handler(_StreamHandler):
    """A handler that is recognised as ours, so that there is only one."""

    def emit(self, record: logging.LogRecord) -> None:
        # The stream of the moment: notebooks and test runners replace sys.stderr.
        self.stream = sys.stderr
        super().emit(record)


def _handler() -> logging.Handler:
    handler = _Handler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def _add_filter(library: logging.Logger) -> None:
    if not any(isinstance(existing, _SignedURLFilter) for existing in library.filters):
        library.addFilter(_SignedURLFilter())


_URL = re.compile(r"https?://[^\s'\"<>\\]+", re.IGNORECASE)


class _SignedURLFilter(logging.Filter):
    """Masks the query of signed URLs in what httpx and httpcore log, and changes nothing else of theirs."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - what cannot be formatted is for logging to report
            return True
        cleaned = _URL.sub(_masked, text)
        if downloading.get():  # a Location may be relative
            cleaned = _QUERY.sub(f"?{REDACTED}", cleaned)
        if cleaned != text:
            record.msg, record.args = cleaned, None
        return True


_QUERY = re.compile(r"\?[^\s'\"<>\[]+")


def _masked(match: re.Match[str]) -> str:
    url = match[0]
    return redact_query(url) if downloading.get() or looks_signed(url) else url
