"""What a command says that it cannot do: `error: what. Next: a command that can be pasted`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.errors import DcipherError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CommandError", "HelpWanted"]


class CommandError(DcipherError):
    """A command cannot go on.

    `message` says what and which, `next_step` is a command that can be pasted (or a sentence).
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
        """What a program is told beside it, with `--json`."""


class HelpWanted(CommandError):  # noqa: N818 - nothing failed
    """A group of commands was called without any: its help is shown."""

    def __init__(self, page: str) -> None:
        super().__init__(page, ExitCode.USAGE)
