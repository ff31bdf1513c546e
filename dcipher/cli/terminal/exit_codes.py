"""What the exit code of the command line says."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from dcipher import errors

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ExitCode", "exit_code", "worst"]


class ExitCode(IntEnum):
    """The exit codes; `meaning` is what the documentation says of each."""

    meaning: str  # pyright: ignore[reportUninitializedInstanceVariable] - set in __new__

    def __new__(cls, value: int, meaning: str) -> ExitCode:  # noqa: PYI034 - an enum has no subclasses
        """A code that is a plain number, too."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    OK = 0, "It did what was asked."
    FAILURE = 1, "The API, the network, a result or a file: what was asked could not be done."
    USAGE = 2, "The command line, the params or a setting cannot be used. Nothing was started."
    RUN_FAILED = 3, "The run ended FAILED, CANCELFAILED or CANCELLED."
    AUTHENTICATION = 4, "There is no API key, or the service refuses it (401, 403)."
    INVALID_ROWS = 5, "Rows of a result do not fit."
    WAIT_TIMEOUT = 124, "The wait's time is over; the run goes on, and its id is printed."
    INTERRUPTED = 130, "Ctrl-C; the run goes on, and the line that re-attaches to it is printed."
    HUNG_UP = 129, "As 130, by SIGHUP: the terminal was closed."
    TERMINATED = 143, "As 130, by SIGTERM."
    # What a shell says of a program that the signal ended, as of any other in a pipe.
    CLOSED_PIPE = 141, "Whoever read the output has gone (`| head -1`)."


_CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (errors.MissingAPIKeyError, ExitCode.AUTHENTICATION),
    (errors.AuthenticationError, ExitCode.AUTHENTICATION),
    (errors.PermissionDeniedError, ExitCode.AUTHENTICATION),
    (errors.ConfigurationError, ExitCode.USAGE),
    (errors.InvalidParamsError, ExitCode.USAGE),
    (errors.UnprocessableEntityError, ExitCode.USAGE),  # the params, as the service sees them
    (errors.RunFailedError, ExitCode.RUN_FAILED),
    (errors.RunCancelledError, ExitCode.RUN_FAILED),
    (errors.WaitTimeoutError, ExitCode.WAIT_TIMEOUT),
    (errors.TooManyInvalidRowsError, ExitCode.INVALID_ROWS),
)


_BY_SIGNAL: dict[int | None, ExitCode] = {1: ExitCode.HUNG_UP, 15: ExitCode.TERMINATED}


def exit_code(error: BaseException) -> ExitCode:
    """The exit code for an error: that of the first class in the table that it is of, else 1."""
    if isinstance(error, KeyboardInterrupt):
        number: int | None = getattr(error, "number", None)  # of the signal, where it was no Ctrl-C
        return _BY_SIGNAL.get(number, ExitCode.INTERRUPTED)
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.FAILURE)


_WORST_FIRST = (
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.HUNG_UP,
    ExitCode.AUTHENTICATION,
    ExitCode.USAGE,
    ExitCode.FAILURE,
    ExitCode.RUN_FAILED,
    ExitCode.INVALID_ROWS,
    ExitCode.WAIT_TIMEOUT,
    ExitCode.OK,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The code for several things that were done at once; 0 for none."""
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), ExitCode.OK)
