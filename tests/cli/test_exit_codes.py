"""The exit code of each error."""

from __future__ import annotations

import pytest

from dcipher import errors
from dcipher.cli.app.signals import Stopped
from dcipher.cli.terminal.errors import ExitCode, exit_code, worst
from dcipher.models import Run
from dcipher.rejects import Rejects

EXPECTED = {
    "APIConnectionError": 1,
    "APIError": 1,
    "APIStatusError": 1,
    "APITimeoutError": 1,
    "AuthenticationError": 4,
    "BadRequestError": 1,
    "BatchError": 1,
    "ConfigurationError": 2,
    "ConflictError": 1,
    "DcipherError": 1,
    "IntegrityError": 1,
    "InternalServerError": 1,
    "InvalidParamsError": 2,
    "InvalidResponseError": 1,
    "JournalBusyError": 1,
    "JournalConflictError": 1,
    "JournalError": 1,
    "LocalStorageError": 1,
    "MissingAPIKeyError": 4,
    "NotFoundError": 1,
    "PermissionDeniedError": 4,
    "PollingInterruptedError": 1,
    "RateLimitError": 1,
    "ResultChangedError": 1,
    "ResultError": 1,
    "ResultExpiredError": 1,
    "ResultParseError": 1,
    "RunCancelledError": 3,
    "RunError": 1,
    "RunFailedError": 3,
    "SubmissionUnknownError": 1,
    "TLSError": 1,
    "TooManyFailuresError": 3,
    "TooManyInvalidRowsError": 5,
    "UnexpectedStatus": 1,
    "UnprocessableEntityError": 2,
    "WaitTimeoutError": 124,
}


def make(name: str) -> BaseException:
    cls = getattr(errors, name)
    if issubclass(cls, errors.RunError):
        return cls("x", run=Run(flow_id="f", task_id="t"))
    if issubclass(cls, errors.TooManyInvalidRowsError):
        return cls("x", rejects=Rejects.__new__(Rejects))
    return cls("x")


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n[0].isupper()])
def test_every_error_has_its_code(name: str) -> None:
    """Each public error of the library has the exit code of the table."""
    if name == "RequestInfo":
        pytest.skip("no error, but what one knows of its request")
    assert exit_code(make(name)) == EXPECTED[name]


def test_codes_are_those_of_the_specification() -> None:
    """The numbers are a promise to scripts."""
    assert [int(code) for code in ExitCode] == [0, 1, 2, 3, 4, 5, 124, 130, 129, 143, 141]
    assert all(code.meaning.endswith(".") for code in ExitCode)


def test_interrupts_and_bugs() -> None:
    """Ctrl-C is 130, as for any program. An unexpected error is a failure."""
    assert exit_code(KeyboardInterrupt()) == 130
    assert exit_code(Stopped(15)) == 143
    assert exit_code(ZeroDivisionError()) == 1


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([], 0), ([0, 0], 0), ([0, 124], 124), ([124, 3], 3), ([3, 1], 1), ([1, 4, 3], 4)],
)
def test_the_worst_of_several_counts(codes: list[int], expected: int) -> None:
    """Of several runs, the most severe code is returned."""
    assert worst(map(ExitCode, codes)) == expected
