"""What a command says that it cannot do: `error: what. Next: a command that can be pasted`."""

from __future__ import annotations

from dcipher.cli.exit_codes import ExitCode
from dcipher.errors import DcipherError

__all__ = ["CommandError", "HelpWanted"]


class CommandError(DcipherError):
    """A command cannot go on.

    `message` says what and which, `next_step` is a command that can be pasted (or a sentence).
    """

    def __init__(
        self, message: str, code: ExitCode = ExitCode.FAILURE, *, next_step: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.next_step = next_step


class HelpWanted(CommandError):  # noqa: N818 - nothing failed
    """A group of commands was called without any: its help is shown."""

    def __init__(self, page: str) -> None:
        super().__init__(page, ExitCode.USAGE)
