"""The `dcipher` logger, `DCIPHER_LOG`, and what other libraries say of signed URLs.

Importing configures nothing. The root logger, its handlers and its level belong to the application.
"""

from __future__ import annotations

import http.client
import logging
import re
import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

from dcipher._masking.text import REDACTED, redact, redact_query
from dcipher._urls.signed_urls import looks_signed

__all__ = ["concealing", "configure", "downloading", "filter_server", "logger", "redacting"]

logger: logging.Logger = logging.getLogger("dcipher")

downloading: ContextVar[bool] = ContextVar("dcipher_downloading", default=False)
"""Set while a signed URL is fetched.

Then every query that httpx or httpcore logs is masked, whatever it looks like.
"""

redacting: ContextVar[tuple[str, ...]] = ContextVar("dcipher_redacting", default=())
"""Set while a request is under way: what httpx and httpcore must not log, though it be repeated to them."""

concealing = redacting
"""Its name until now."""

# A filter of a logger does not see the records of its children: each that is known has its own.
_LIBRARIES = (
    *(
        f"{name}{version}{part}"
        for version in ("", "2")  # httpx2 and httpcore2 may stand in for them
        for name, parts in (
            ("httpx", ("",)),
            ("httpcore", ("", ".connection", ".http11", ".http2", ".proxy", ".socks")),
        )
        for part in parts
    ),
    *("h11", "h2", "h2.connection", "hpack", "hpack.hpack", "hpack.table", "hyperframe", "socksio"),
    *("anyio", "anyio.streams.tls", "asyncio", "concurrent.futures", "truststore"),
    *("trio", "trio.abc.Instrument", "trio.async_generator_errors"),
)
_SERVER = ("uvicorn", "uvicorn.access", "uvicorn.asgi", "uvicorn.error")
_lock = threading.Lock()


def configure(level: str | None) -> None:
    """Set the level of the `dcipher` logger and give it one handler on stderr, once.

    `None`: leave it as it is.

    The filters that keep signatures out of the records of httpx, httpcore and what is below them are
    installed in either case.
    """
    _filter(_LIBRARIES)
    with _lock:
        if level is not None:
            logger.setLevel(level.upper())
            if not any(isinstance(handler, _Handler) for handler in logger.handlers):
                logger.addHandler(_handler())


def filter_server() -> None:
    """Keep signatures out of what uvicorn says of requests: for the emulator, which serves them."""
    _filter(_SERVER)


def _filter(names: tuple[str, ...]) -> None:
    roots = {name.partition(".")[0] for name in names}
    with _lock:
        # Loggers of theirs that a newer version has, too, as far as they are there already.
        others = [n for n in [*logging.root.manager.loggerDict] if n.partition(".")[0] in roots]
        for name in {*names, *others}:
            _add_filter(logging.getLogger(name))


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


class _SignedURLFilter(logging.Filter):
    """Masks what httpx and httpcore log of secrets, and changes nothing else of theirs.

    That is the query of signed URLs, and what a service may repeat of the request: in the reason
    phrase of its status, in a Location, in a line that cannot be parsed.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - what cannot be formatted is for logging to report
            return True
        cleaned = _URL.sub(_masked, text)
        if redacting.get() or downloading.get():  # a request of ours: other clients' are left alone
            cleaned = _redact_repeated(redact(cleaned, redacting.get()))
        if downloading.get() or looks_signed(cleaned):  # a path without its host, too
            cleaned = _QUERY.sub(f"?{REDACTED}", cleaned)
        cleaned = _QUERY_STRING.sub(_without_signature, cleaned)
        cleaned = _CREDENTIAL.sub(rf"\1b'{REDACTED}'", cleaned)
        if cleaned != text:
            record.msg, record.args = cleaned, None
        return True


_URL = re.compile(r"https?://[^\s'\"<>\\]+", re.IGNORECASE)
_QUERY = re.compile(r"\?[^\s'\"<>\[]+")


def _masked(match: re.Match[str]) -> str:
    url = match[0]
    return redact_query(url) if downloading.get() or looks_signed(url) else url


# How Python writes bytes.
_BYTES = r"""b(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
# hpack: Adding (b'authorization', b'…') to the header table
_CREDENTIAL = re.compile(
    rf"(\(b'(?:(?:proxy-)?authorization|cookie|(?:x-)?api-key|signature)', )({_BYTES})",
    re.IGNORECASE,
)
# uvicorn: ASGI [1] Started scope={…, 'query_string': b'…'}
_QUERY_STRING = re.compile(rf"('query_string': )({_BYTES})")
_QUOTED = re.compile(r"(\.failed exception=.*?\bb)\\*['\"].*", re.DOTALL)
_LOCATION = re.compile(rf"(\(b'location', )({_BYTES})", re.IGNORECASE)
_REASONS = (
    # httpx: HTTP Request: GET https://h/p "HTTP/1.1 404 Not Found"
    re.compile(r'("HTTP/[0-9.]+ ([0-9]{3}) )(.*)(")\Z', re.DOTALL),
    # httpcore: return_value=(b'HTTP/1.1', 404, b'Not Found', [(b'Date', b'…')])
    re.compile(rf"(return_value=\(b'HTTP/[0-9.]+', ([0-9]{{3}}), b)({_BYTES[1:]})(,)"),
)


def _without_signature(match: re.Match[str]) -> str:
    query = match[2][2:-1]
    return f"{match[1]}b'{REDACTED}'" if looks_signed(f"?{query}") else match[0]


def _redact_repeated(text: str) -> str:
    if ".failed exception=" in text:  # h11 quotes the line that it could not parse
        return _QUOTED.sub(rf"\1{REDACTED}", text)
    for reason in _REASONS:
        text = reason.sub(_registered, text)
    return _LOCATION.sub(_bare, text)


def _registered(match: re.Match[str]) -> str:
    """The registered phrase: a service may write anything there (RFC 9112 section 4)."""
    before, status, said, after = match.groups()
    phrase = http.client.responses.get(int(status), "")
    quote = said[0] if before.endswith("b") else ""
    return f"{before}{quote}{phrase}{quote}{after}"


def _bare(match: re.Match[str]) -> str:
    """A Location without what follows ? or #, blanks and all; it may be relative."""
    before, value = match.groups()
    shown = redact_query(value[2:-1])
    return f"{before}b{value[1]}{shown}{value[1]}"
