"""The errors of commands: `error: what happened. Next: a command to paste`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.errors import DcipherError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CommandError", "HelpWanted"]


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


class HelpWanted(CommandError):  # noqa: N818 - nothing has failed
    """A group was called without a command: its help is printed."""

    def __init__(self, page: str) -> None:
        super().__init__(page, ExitCode.USAGE)
