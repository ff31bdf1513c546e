"""The `dcipher` logger, `DCIPHER_LOG`, and the redaction of other libraries' log records.

Importing it configures nothing. The root logger, its handlers and its level belong to the
application.
"""

from __future__ import annotations

import http.client
import logging
import re
import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING
from weakref import ref

from dcipher._masking.log_filters import RecordFilter
from dcipher._masking.redaction import REDACTED, redact
from dcipher._masking.urls import redact_query
from dcipher._urls.signed_urls import looks_signed

__all__ = ["concealing", "configure", "downloading", "filter_server", "logger", "redacting"]

logger: logging.Logger = logging.getLogger("dcipher")

# Context variables, because a filter receives only the record of httpx, and not the request.
# tests/test_logs.py: test_while_downloading_every_query_is_redacted;
# tests/client/test_secrets.py: test_headers_that_repeat_the_key_are_not_logged
downloading: ContextVar[bool] = ContextVar("dcipher_downloading", default=False)
"""True while a signed URL is fetched: every query in a record of httpx or httpcore is redacted."""

redacting: ContextVar[tuple[str, ...]] = ContextVar("dcipher_redacting", default=())
"""The secrets of the request in progress, which records of httpx and httpcore must not contain.

A server may repeat a secret in its response, and they log it.
"""

concealing = redacting
"""The former name of `redacting`."""

# A filter of a logger does not filter the records of its children, so each known logger has one.
_LIBRARIES = (
    *(
        f"{name}{version}{part}"
        for version in ("", "2")  # httpx2 and httpcore2 may replace them
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
    """Sets the level of the `dcipher` logger, and adds one handler on stderr, once.

    In any case, it adds the filters that redact signatures in the records of httpx, httpcore and the
    libraries below them.

    Args:
        level: The name of the level. `None`: leave level and handlers unchanged.
    """
    _filter(_LIBRARIES)
    with _lock:
        if level is not None:
            logger.setLevel(level.upper())
            if not any(isinstance(handler, _Handler) for handler in logger.handlers):
                logger.addHandler(_handler())


def filter_server() -> None:
    """Adds filters that redact signatures in the records of uvicorn, which serves the emulator."""
    _filter(_SERVER)


def _filter(names: tuple[str, ...]) -> None:
    roots = {name.partition(".")[0] for name in names}
    with _lock:
        # Loggers that only a newer version has, as far as they already exist.
        others = [n for n in [*logging.root.manager.loggerDict] if n.partition(".")[0] in roots]
        for name in {*names, *others}:
            _add_filter(logging.getLogger(name))


if TYPE_CHECKING:
    from typing import TextIO

    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler


class _Handler(_StreamHandler):
    """A handler that is recognized as ours, so that it is added only once."""

    def emit(self, record: logging.LogRecord) -> None:
        # The current stream: notebooks and test runners replace sys.stderr.
        self.stream = sys.stderr
        super().emit(record)


def _handler() -> logging.Handler:
    handler = _Handler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def _add_filter(library: logging.Logger) -> None:
    if not any(isinstance(existing, RecordFilter) for existing in library.filters):
        library.addFilter(RecordFilter(ref(_redact_record)))


def _redact_record(record: logging.LogRecord) -> None:
    """Redacts secrets in a record of httpx or httpcore, and changes nothing else.

    These are the queries of signed URLs, and parts of the request that a service may repeat: in the
    reason phrase of its status, in a Location, in a line that cannot be parsed.
    """
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001 - logging reports a record that cannot be formatted
        return
    cleaned = re.sub(_URL, _masked, text)
    if redacting.get() or downloading.get():  # a request of ours, not of another client
        cleaned = _redact_repeated(redact(cleaned, redacting.get()))
    if downloading.get() or looks_signed(cleaned):  # also a path without its host
        cleaned = re.sub(_QUERY, f"?{REDACTED}", cleaned)
    cleaned = re.sub(_QUERY_STRING, _without_signature, cleaned)
    cleaned = re.sub(_CREDENTIAL, rf"\1b'{REDACTED}'", cleaned)
    if cleaned != text:
        record.msg, record.args = cleaned, None


# Patterns as text: `re` compiles them with the first record that passes the filter.
_URL = r"(?i)https?://[^\s'\"<>\\]+"
_QUERY = r"\?[^\s'\"<>\[]+"


def _masked(match: re.Match[str]) -> str:
    url = match[0]
    return redact_query(url) if downloading.get() or looks_signed(url) else url


# How Python writes bytes.
_BYTES = r"""b(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
# hpack: Adding (b'authorization', b'…') to the header table
_CREDENTIAL = (
    rf"(?i)(\(b'(?:(?:proxy-)?authorization|cookie|(?:x-)?api-key|signature)', )({_BYTES})"
)
# uvicorn: ASGI [1] Started scope={…, 'query_string': b'…'}
_QUERY_STRING = rf"('query_string': )({_BYTES})"
_QUOTED = r"(?s)(\.failed exception=.*?\bb)\\*['\"].*"
_LOCATION = rf"(?i)(\(b'location', )({_BYTES})"
_REASONS = (
    # httpx: HTTP Request: GET https://h/p "HTTP/1.1 404 Not Found"
    r'(?s)("HTTP/[0-9.]+ ([0-9]{3}) )(.*)(")\Z',
    # httpcore: return_value=(b'HTTP/1.1', 404, b'Not Found', [(b'Date', b'…')])
    rf"(return_value=\(b'HTTP/[0-9.]+', ([0-9]{{3}}), b)({_BYTES[1:]})(,)",
)


def _without_signature(match: re.Match[str]) -> str:
    query = match[2][2:-1]
    return f"{match[1]}b'{REDACTED}'" if looks_signed(f"?{query}") else match[0]


def _redact_repeated(text: str) -> str:
    if ".failed exception=" in text:  # h11 quotes the line that it could not parse
        return re.sub(_QUOTED, rf"\1{REDACTED}", text)
    for reason in _REASONS:
        text = re.sub(reason, _registered, text)
    return re.sub(_LOCATION, _bare, text)


def _registered(match: re.Match[str]) -> str:
    """Returns the registered phrase: a service may send any text there (RFC 9112 section 4)."""
    before, status, sent, after = match.groups()
    phrase = http.client.responses.get(int(status), "")
    quote = sent[0] if before.endswith("b") else ""
    return f"{before}{quote}{phrase}{quote}{after}"


def _bare(match: re.Match[str]) -> str:
    """Returns a Location without its query and fragment, blanks included; it may be relative."""
    before, value = match.groups()
    redacted = redact_query(value[2:-1])
    return f"{before}b{value[1]}{redacted}{value[1]}"
