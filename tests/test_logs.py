"""The `dcipher` logger, and records of other libraries with signed URLs."""

from __future__ import annotations

import gc
import io
import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING
from weakref import ref

import httpx
import pytest

from dcipher import logs
from dcipher._masking import log_filters
from dcipher._masking.log_filters import RecordFilter

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARIES = ["httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2"]
S3 = "https://b.s3.amazonaws.com/r.json?X-Amz-Expires=60&X-Amz-Signature=SECRET"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Restores every logger."""
    names = ["dcipher", *logs._LIBRARIES, *logs._SERVER]
    loggers = [logging.getLogger(name) for name in names]
    before = [(log, log.level, [*log.handlers], [*log.filters]) for log in loggers]
    yield
    for log, level, handlers, filters in before:
        log.setLevel(level)
        log.handlers[:] = handlers
        log.filters[:] = filters


def test_configure_twice_adds_one_handler() -> None:
    """There is one handler, and the last level counts."""
    logs.logger.handlers.clear()
    logs.configure("info")
    logs.configure("DEBUG")
    assert len(logs.logger.handlers) == 1
    assert logs.logger.level == logging.DEBUG
    assert all(len(logging.getLogger(name).filters) == 1 for name in LIBRARIES)


def test_configure_keeps_handlers_of_the_user() -> None:
    """A handler of the application on our logger remains, beside ours."""
    own = logging.NullHandler()
    logs.logger.addHandler(own)
    logs.configure("info")
    assert own in logs.logger.handlers
    assert len(logs.logger.handlers) == 2


def test_without_a_level_only_the_filters_are_set() -> None:
    """`None` does not change logger and handlers. Signatures are redacted nevertheless."""
    logs.logger.handlers.clear()
    level = logs.logger.level
    logs.configure(None)
    assert logs.logger.handlers == []
    assert logs.logger.level == level
    assert logging.getLogger("httpx").filters


def test_the_root_logger_is_the_applications() -> None:
    """Neither its level, nor its handlers, nor its filters change."""
    root = logging.getLogger()
    before = (root.level, [*root.handlers], [*root.filters])
    logs.configure("debug")
    assert (root.level, root.handlers, root.filters) == before


def test_the_handler_writes_to_the_stderr_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook or a test runner that replaces stderr sees the lines."""
    logs.logger.handlers.clear()
    logs.configure("info")
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    logs.logger.info("run %s", "t")
    logs.logger.debug("too much")
    assert stderr.getvalue().endswith("INFO dcipher: run t\n")
    assert "too much" not in stderr.getvalue()


def logged(name: str, message: object, *args: object) -> str:
    """Returns the message of a library's record after the filters."""
    logs.configure(None)
    record = logging.getLogger(name).makeRecord(name, logging.INFO, "f", 1, message, args, None)
    assert logging.getLogger(name).filter(record)
    return record.getMessage()


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Expires=60&X-Amz-Signature=SECRET",
        "x-amz-credential=SECRET",
        "X-Amz-Security-Token=SECRET&a=1",
        "X-Goog-Signature=SECRET",
        "GoogleAccessId=a&Expires=1&Signature=SECRET",
        "AWSAccessKeyId=SECRET",
        "se=2024-01-02&sig=SECRET",
        "token=SECRET",
    ],
)
def test_signed_urls_are_redacted(name: str, query: str) -> None:
    """The query of a signed URL of every store is redacted. Method, host and status remain."""
    url = httpx.URL(f"https://store.example.com/r.json?{query}")
    said = logged(name, 'HTTP Request: %s %s "%s %d %s"', "GET", url, "HTTP/1.1", 200, "OK")
    assert said == 'HTTP Request: GET https://store.example.com/r.json?[redacted] "HTTP/1.1 200 OK"'


def test_a_location_is_masked() -> None:
    """Httpcore shows an answer's headers as bytes: a signed URL in them is masked."""
    headers = [(b"Location", S3.encode()), (b"Server", b"x")]
    said = logged("httpcore.http11", "receive_response_headers.complete return_value=%r", headers)
    assert "SECRET" not in said
    assert "(b'Server', b'x')" in said


@pytest.mark.parametrize(
    ("message", "args"),
    [
        ("GET %s", ("https://api.example.com/flows/f/status?taskId=t",)),
        ("GET %s", ("https://h/p?signed=1&mysig=2&assignature=3",)),
        ("connect_tcp.started host=%r port=%d", ("h", 443)),
        ("X-Amz-Signature=%s", ("5",)),
        ("100%", ()),
    ],
)
def test_nothing_else_is_changed(message: str, args: tuple[object, ...]) -> None:
    """Other URLs and words are unchanged, and so is their record."""
    logs.configure(None)
    log = logging.getLogger("httpx")
    record = log.makeRecord("httpx", logging.INFO, "f", 1, message, args, None)
    assert log.filter(record)
    assert (record.msg, record.args) == (message, args)


def test_while_downloading_every_query_is_redacted() -> None:
    """A store may use any signature: during a download, every query is a secret."""
    url = "https://store.example.com/r?key=SECRET"
    assert logged("httpx", "GET %s", url) == f"GET {url}"
    token = logs.downloading.set(True)
    try:
        assert logged("httpx", "GET %s", url) == "GET https://store.example.com/r?[redacted]"
    finally:
        logs.downloading.reset(token)


def test_a_record_that_cannot_be_formatted_is_left_to_logging() -> None:
    """A filter does not raise for an invalid record."""
    logs.configure(None)
    log = logging.getLogger("httpx")
    record = log.makeRecord("httpx", logging.INFO, "f", 1, "%d %s", ("x",), None)
    assert log.filter(record)
    assert record.args == ("x",)


def test_a_record_that_lacks_a_name_is_left_to_logging() -> None:
    """Nor does it raise if a name in the message has no value."""
    logs.configure(None)
    log = logging.getLogger("httpx")
    record = log.makeRecord("httpx", logging.INFO, "f", 1, "%(a)s", ({"b": 1},), None)
    assert log.filter(record)


def test_other_loggers_are_unchanged() -> None:
    """Records of the application are unchanged."""
    assert "SECRET" in logged("application", "GET %s", S3)


IMPORT = """
import logging, sys
root = logging.getLogger()
own = logging.NullHandler()
root.addHandler(own)
before = {name: (log.level, log.handlers[:], log.filters[:]) for name, log in [("", root)]}
import dcipher
assert not {"httpx", "pydantic"} & set(sys.modules), "importing the package imports its parts"
for name in dcipher.__all__:
    getattr(dcipher, name)
assert (root.level, root.handlers, root.filters) == before[""], "the root logger was changed"
for name in ("dcipher", "httpx", "httpcore.http11"):
    log = logging.getLogger(name)
    assert (log.level, log.handlers, log.filters) == (0, [], []), name
"""


def test_importing_configures_nothing() -> None:
    """Neither the import nor the use of any name configures logging, with any DCIPHER_LOG."""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", IMPORT],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DCIPHER_LOG": "debug"},
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


@pytest.mark.parametrize("name", ["hpack.hpack", "hpack.table", "h2.connection", "httpcore.http2"])
def test_a_header_of_http2_is_masked(name: str) -> None:
    """A signed path without its host, and a credential, as the tables of HTTP/2 are logged."""
    path = (b":path", b"/r.json?X-Amz-Signature=SECRET&a=1")
    said = logged(name, "Adding %s to the header table, sensitive:%s", path, False)
    assert said.startswith("Adding (b':path', b'/r.json?[redacted]') to")
    for header in (b"authorization", b"Proxy-Authorization", b"cookie", b"API-Key", b"signature"):
        assert "SECRET" not in logged(name, "Adding %s to the table", (header, b"x 'SECRET"))
    assert "gzip" in logged(name, "Adding %s to the table", (b"accept-encoding", b"gzip"))


def test_an_unknown_child_logger_is_filtered() -> None:
    """A child logger of a newer version of a library is filtered, too."""
    logging.getLogger("httpcore.http3.new")
    assert "SECRET" not in logged("httpcore.http3.new", "GET %s", S3)
    del logging.root.manager.loggerDict["httpcore.http3.new"]


def test_records_of_the_server_are_redacted() -> None:
    """Uvicorn logs the query of a signed URL, with its path and alone."""
    logs.filter_server()
    scope = {"path": "/r", "query_string": b"X-Amz-Signature=SECRET&x=1"}
    assert "SECRET" not in logged("uvicorn.asgi", "ASGI [1] Started scope=%s", scope)
    assert "SECRET" not in logged("uvicorn.access", "GET %s", "/r?a=1&X-Amz-Signature=SECRET")
    plain = {"path": "/s", "query_string": b"taskId=t"}
    assert "taskId=t" in logged("uvicorn.asgi", "ASGI [1] Started scope=%s", plain)


def test_a_filter_keeps_no_module() -> None:
    """Python keeps `logging` to its end; what its filters refer to would be collected by one more search."""
    values = [value for name, value in vars(log_filters).items() if name[0] != "_"]
    values.remove(RecordFilter)
    of = [getattr(value, "__module__", getattr(value, "__name__", "")) for value in values]
    assert not [name for name in of if str(name).startswith("dcipher")]
    assert logs._redact_record not in gc.get_referents(RecordFilter(ref(logs._redact_record)))
