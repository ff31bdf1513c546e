"""The errors of commands, `error: what happened. Next: a command to paste`, and the exit codes."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from dcipher import errors
from dcipher.errors import DcipherError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CommandError", "ExitCode", "HelpRequested", "UsageError", "exit_code", "worst"]


class ExitCode(IntEnum):
    """The exit codes. `meaning` is the text in the documentation."""

    meaning: str  # pyright: ignore[reportUninitializedInstanceVariable] - set in __new__

    def __new__(cls, value: int, meaning: str) -> ExitCode:  # noqa: PYI034 - an enum has no subclasses
        """Creates a code, which is also an int."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    OK = 0, "The command succeeded."
    FAILURE = 1, "The command failed: the API, the network, a result or a file."
    USAGE = 2, "The command line, the params or a setting is invalid. Nothing was started."
    RUN_FAILED = 3, "The run ended FAILED, CANCELFAILED or CANCELLED."
    AUTHENTICATION = 4, "There is no API key, or the service rejects it (401, 403)."
    INVALID_ROWS = 5, "Rows of a result are invalid."
    WAIT_TIMEOUT = 124, "The timeout of the wait has passed. The run continues; its id is printed."
    INTERRUPTED = 130, "Ctrl-C. The run continues; the command that resumes the wait is printed."
    HUNG_UP = 129, "Like 130, but for SIGHUP: the terminal was closed."
    TERMINATED = 143, "Like 130, but for SIGTERM."
    # As a shell reports a program that SIGPIPE ended.
    CLOSED_PIPE = 141, "The reader of the output has closed it (`| head -1`)."


_CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (errors.MissingAPIKeyError, ExitCode.AUTHENTICATION),
    (errors.AuthenticationError, ExitCode.AUTHENTICATION),
    (errors.PermissionDeniedError, ExitCode.AUTHENTICATION),
    (errors.ConfigurationError, ExitCode.USAGE),
    (errors.InvalidParamsError, ExitCode.USAGE),
    (errors.UnprocessableEntityError, ExitCode.USAGE),  # invalid params
    (errors.RunFailedError, ExitCode.RUN_FAILED),
    (errors.RunCancelledError, ExitCode.RUN_FAILED),
    (errors.TooManyFailuresError, ExitCode.RUN_FAILED),
    (errors.WaitTimeoutError, ExitCode.WAIT_TIMEOUT),
    (errors.TooManyInvalidRowsError, ExitCode.INVALID_ROWS),
)


_BY_SIGNAL: dict[int | None, ExitCode] = {1: ExitCode.HUNG_UP, 15: ExitCode.TERMINATED}


def exit_code(error: BaseException) -> ExitCode:
    """Returns the exit code for an error: that of its first class in the table, else 1."""
    if isinstance(error, KeyboardInterrupt):
        number: int | None = getattr(error, "number", None)  # of the signal, if it was not Ctrl-C
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
    """Returns the code for several results; 0 for none."""
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), ExitCode.OK)


class CommandError(DcipherError):
    """A command has failed.

    `message`: what happened. `next_step`: a command to paste, or a sentence.
    """

    def __init__(
        self,
        message: str,
        code: ExitCode = ExitCode.FAILURE,
        *,
        next_step: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.next_step = next_step
        self.details: dict[str, Any] = dict(details or {})
        """Further details for programs, with `--json`."""

    def __str__(self) -> str:
        return f"{self.message} Next: {self.next_step}" if self.next_step else self.message


class UsageError(CommandError):
    """The command line is invalid."""

    def __init__(self, message: str, **more: Any) -> None:
        super().__init__(message, ExitCode.USAGE, **more)


class HelpRequested(CommandError):  # noqa: N818 - nothing has failed
    """A group was called without a command: its help is printed."""

    def __init__(self, page: str) -> None:
        super().__init__(page, ExitCode.USAGE)
