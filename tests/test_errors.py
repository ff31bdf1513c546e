"""The error tree: bases, attributes, pickles, and its drawing."""

from __future__ import annotations

import copy
import errno
import inspect
import pickle
import pickletools
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import dcipher
from dcipher import errors
from dcipher._batch.reports.report import report_of
from dcipher._batch.reports.tally import Tally
from dcipher.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    BatchError,
    ConfigurationError,
    ConflictError,
    DcipherError,
    IntegrityError,
    InternalServerError,
    InvalidParamsError,
    InvalidResponseError,
    JournalBusyError,
    JournalConflictError,
    JournalError,
    LocalStorageError,
    MissingAPIKeyError,
    NotFoundError,
    PermissionDeniedError,
    PollingInterruptedError,
    RateLimitError,
    RequestInfo,
    ResultChangedError,
    ResultError,
    ResultExpiredError,
    ResultParseError,
    RunCancelledError,
    RunError,
    RunFailedError,
    SubmissionUnknownError,
    TLSError,
    TooManyFailuresError,
    TooManyInvalidRowsError,
    UnexpectedStatus,
    UnprocessableEntityError,
    WaitTimeoutError,
    status_error_class,
)
from dcipher.errors._hints import Hint, with_hint
from dcipher.models import ErrorResponse, Output, Run, SecretURL
from dcipher.rejects import Reason, Reject, Rejects
from tests.faulty import RESET, FaultyServer, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Connect

BASES: dict[type[DcipherError], tuple[type[BaseException], ...]] = {
    DcipherError: (Exception,),
    ConfigurationError: (DcipherError, ValueError),
    MissingAPIKeyError: (ConfigurationError,),
    InvalidParamsError: (DcipherError, ValueError),
    APIError: (DcipherError,),
    APIConnectionError: (APIError,),
    APITimeoutError: (APIConnectionError, TimeoutError),
    TLSError: (APIConnectionError,),
    APIStatusError: (APIError,),
    BadRequestError: (APIStatusError,),
    AuthenticationError: (APIStatusError,),
    PermissionDeniedError: (APIStatusError,),
    NotFoundError: (APIStatusError,),
    ConflictError: (APIStatusError,),
    UnprocessableEntityError: (APIStatusError,),
    RateLimitError: (APIStatusError,),
    InternalServerError: (APIStatusError,),
    UnexpectedStatus: (APIStatusError,),
    InvalidResponseError: (APIError,),
    SubmissionUnknownError: (APIError,),
    RunError: (DcipherError,),
    RunFailedError: (RunError,),
    RunCancelledError: (RunError,),
    WaitTimeoutError: (RunError, TimeoutError),
    PollingInterruptedError: (RunError,),
    ResultError: (DcipherError,),
    ResultExpiredError: (ResultError,),
    ResultChangedError: (ResultError,),
    IntegrityError: (ResultError,),
    ResultParseError: (ResultError,),
    TooManyInvalidRowsError: (ResultParseError,),
    LocalStorageError: (ResultError, OSError),
    BatchError: (DcipherError,),
    TooManyFailuresError: (BatchError,),
    JournalError: (BatchError,),
    JournalConflictError: (JournalError,),
    JournalBusyError: (JournalError,),
}

INFO = RequestInfo("GET", "https://h/flows/f")
RUN = Run(
    flow_id="f",
    task_id="t",
    status="FAILED",
    message="why",
    outputs=(Output(url=SecretURL("https://s/r?sig=SIGNATURE")),),
)
RESPONSE = httpx.Response(
    404, headers={"x-a": "b"}, content=b'{"message": "m"}', request=httpx.Request("GET", INFO.url)
)
REJECTS = Rejects()
REJECTS._add(Reject(17, (Reason("score", "float_type", "m"),)), keep=True)
REPORT = report_of(
    Tally(),
    left_running=1,
    total=2.0,
    throttled=0.5,
    starts=3,
    polls=4,
    stopped=True,
    journal="j.db",
)
VALUES: dict[str, Any] = {
    "message": "what happened",
    "request": INFO,
    "attempts": 3,
    "request_id": "r-1",
    "status_code": 404,
    "response": RESPONSE,
    "error": ErrorResponse(message="m"),
    "body": {"message": "m"},
    "retry_after": 7.5,
    "flow_id": "f",
    "idempotency_key": "key",
    "run": RUN,
    "output_index": 2,
    "location": "[17].score",
    "row": 17,
    "line": 18,
    "errors": ({"loc": (17, "score"), "type": "float_type", "msg": "m"},),
    "errno": errno.ENOSPC,
    "filename": "out.json",
    "rejects": REJECTS,
    "report": REPORT,
}
ATTRIBUTES = {
    APIError: {"request", "attempts", "request_id"},
    APIStatusError: {"status_code", "response", "error", "body", "retry_after"},
    SubmissionUnknownError: {"flow_id", "idempotency_key"},
    RunError: {"run"},
    ResultError: {"run", "output_index"},
    ResultParseError: {"location", "errors"},
    TooManyInvalidRowsError: {"location", "errors", "rejects"},
    LocalStorageError: {"errno", "filename"},
    BatchError: {"report"},
}


def full(cls: type[DcipherError]) -> DcipherError:
    """Returns an error of the class with a value for each argument."""
    names = [name for name in inspect.signature(cls).parameters if name != "message"]
    return cls("what happened", **{name: VALUES[name] for name in names})


every_class = pytest.mark.parametrize("cls", BASES, ids=lambda cls: cls.__name__)


def test_the_tree_is_complete() -> None:
    """The classes above are those of the module, and each is public twice."""
    found = {
        cls
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, BaseException)
    }
    assert found == set(BASES)
    names = {cls.__name__ for cls in found}
    assert names == set(errors.__all__) - {"RequestInfo", "status_error_class"}
    assert names <= set(dcipher.__all__)
    assert all(getattr(dcipher, name) is getattr(errors, name) for name in names)


@every_class
def test_bases(cls: type[DcipherError]) -> None:
    """Each class has the base of the tree."""
    assert cls.__bases__ == BASES[cls]


def test_the_drawing_names_every_class_once() -> None:
    """The tree in the docstring has exactly the classes of the module, each below its base."""
    drawing = str(errors.__doc__).split("```")[1]
    own = {cls.__name__ for cls in BASES}
    drawn = [word for word in re.findall(r"[A-Za-z]\w+", drawing) if word in own]
    assert sorted(drawn) == sorted(own)
    assert set(re.findall(r"\b\w+Error\b", drawing)) - own == {
        "ValueError",
        "TimeoutError",
        "OSError",
    }
    parents: list[str] = []
    for line in drawing.strip().splitlines():
        depth = (len(line) - len(line.lstrip("│├└─ "))) // 4
        names = [word for word in re.findall(r"[A-Za-z]\w+", line) if word in own]
        for name in names[: None if depth else 1]:
            bases = [base.__name__ for base in getattr(errors, name).__bases__]
            assert depth == 0 or parents[depth - 1] in bases, line
        parents[depth:] = [names[0]]


@every_class
def test_attributes(cls: type[DcipherError]) -> None:
    """Each class has the attributes of the tree, with the given values."""
    error = full(cls)
    assert error.message == str(error) == "what happened"
    assert error.args == ("what happened",)
    for base, names in ATTRIBUTES.items():
        if issubclass(cls, base):
            assert names <= set(inspect.signature(cls).parameters)
            for name in names:
                assert getattr(error, name) == VALUES[name]


@every_class
def test_a_pickle_names_public_modules(cls: type[DcipherError]) -> None:
    """A pickle refers to `dcipher.errors` only, so that other versions can load it."""
    error = full(cls)
    error.hint = Hint("what to do")
    named = {module for module, _ in globals_of(pickle.dumps(error, 2))}
    assert {name for name in named if name.startswith("dcipher.errors")} == {"dcipher.errors"}


def globals_of(data: bytes) -> Iterator[tuple[str, str]]:
    """Yields the modules and the names that a pickle refers to."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            yield module, name


@every_class
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(cls: type[DcipherError], protocol: int) -> None:
    """An error that went through a pickle is the same one, attribute by attribute, but for signed URLs."""
    error = full(cls)
    back: Any = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own
    assert back.__reduce__()[1][0] is cls
    assert (str(back), back.args, repr(back)) == (str(error), error.args, repr(error))
    for name in set(inspect.signature(cls).parameters) - {"response", "run"}:
        assert getattr(back, name) == getattr(error, name)
    if isinstance(error, APIStatusError):
        assert back.response.status_code == 404
        assert back.response.json() == {"message": "m"}
        assert back.response.headers == RESPONSE.headers
        assert back.response.request.url == INFO.url
    if isinstance(error, (RunError, ResultError)):
        assert back.run == RUN.model_copy(update={"outputs": (Output(),)})


@every_class
def test_pickles_have_no_signed_url(cls: type[DcipherError]) -> None:
    """Neither a pickle nor any text of an error has the URL of its run."""
    error = full(cls)
    for text in (str(pickle.dumps(error)), str(error), repr(error), repr(vars(error))):
        assert "SIGNATURE" not in text


@every_class
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies(cls: type[DcipherError], copied: Any) -> None:
    """A copy has all attributes."""
    back = copied(full(cls))
    assert type(back) is cls
    assert str(back) == "what happened"


@every_class
def test_notes_are_pickled(cls: type[DcipherError]) -> None:
    """Notes of a caller (PEP 678) are pickled."""
    error: Any = full(cls)
    error.__notes__ = ["while loading"]  # add_note is new in Python 3.11
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while loading"]  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("builtin", "classes"),
    [
        (ValueError, {ConfigurationError, MissingAPIKeyError, InvalidParamsError}),
        (TimeoutError, {APITimeoutError, WaitTimeoutError}),
        (OSError, {APITimeoutError, WaitTimeoutError, LocalStorageError}),
    ],
)
def test_builtins_catch_them(builtin: type[Exception], classes: set[type[DcipherError]]) -> None:
    """`except ValueError`, `TimeoutError` and `OSError` catch the right errors, and no others."""
    assert {cls for cls in BASES if issubclass(cls, builtin)} == classes
    for cls in classes:
        with pytest.raises(builtin):
            raise full(cls)


def test_a_storage_error_is_an_os_error() -> None:
    """It has `errno` and `filename`, as code for OSError expects, and our text."""
    error = full(LocalStorageError)
    assert isinstance(error, OSError)
    assert (error.errno, error.filename) == (errno.ENOSPC, "out.json")
    assert str(error) == "what happened"


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (301, APIStatusError),
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, APIStatusError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (408, APIStatusError),
        (409, ConflictError),
        (418, APIStatusError),
        (422, UnprocessableEntityError),
        (429, RateLimitError),
        (499, APIStatusError),
        (500, InternalServerError),
        (503, InternalServerError),
        (599, InternalServerError),
    ],
)
def test_status_error_class(code: int, cls: type[APIStatusError]) -> None:
    """One class per status. Others have the base class; from 500 on, that of the service."""
    assert status_error_class(code) is cls


def test_the_content_of_an_unexpected_status() -> None:
    """The bytes of the body, or none without a response."""
    assert UnexpectedStatus("x", response=RESPONSE).content == b'{"message": "m"}'
    assert UnexpectedStatus("x").content == b""


def test_a_run_error_has_a_run() -> None:
    """There is no error about a run without the run."""
    with pytest.raises(TypeError, match="run"):
        RunError("x")  # type: ignore[call-arg]


def test_a_request_as_text() -> None:
    """Method and URL, as in the first line of a request."""
    assert str(INFO) == "GET https://h/flows/f"


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_hint_is_data(protocol: int) -> None:
    """Advice is in the message, and in `hint`. It is pickled, with the text for the command line."""
    plain = ConfigurationError("It is wrong.")
    assert (plain.hint, plain.hint.cli) == ("", "")
    made = with_hint(ConfigurationError("It is wrong."), "Pass x=….", "Give --x.")
    for error in (made, pickle.loads(pickle.dumps(made, protocol)), copy.deepcopy(made)):  # noqa: S301
        assert str(error) == error.message == error.args[0] == "It is wrong. Pass x=…."
        assert (error.hint, error.hint.cli) == ("Pass x=….", "Give --x.")


def test_common_errors_have_a_hint(connect: Connect, server: FaultyServer) -> None:
    """Errors of the API, of its connection, and of a run have advice, apart from the message."""
    server.on("/flows/f", Reply(b"", 404))
    with connect(server, max_retries=0) as client:
        with pytest.raises(NotFoundError) as caught:
            client.flows.get("f")
        assert caught.value.hint.startswith("There is no such flow or run for this API key")
        server.on("/flows/f", Reply(b"", 422))
        with pytest.raises(UnprocessableEntityError) as refused:
            client.flows.get("f")
        assert "client.flows.get" in refused.value.hint
        assert "dcipher flows get" in refused.value.hint.cli
        server.on("/flows/f/status", Reply(b'{"status": "FAILED"}'))
        with pytest.raises(RunFailedError) as failed:
            client.runs.wait(Run(flow_id="f", task_id="t", idempotency_key="k"))
        assert failed.value.hint in str(failed.value)
        assert "--idempotency-key k" in failed.value.hint.cli
        server.on("/flows/f", RESET)
        with pytest.raises(APIConnectionError) as lost:
            client.flows.get("f")
        assert lost.value.hint == "Check the network, the proxy settings and the base URL."
