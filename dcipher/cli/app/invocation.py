"""One call of the command line: its options, its client and its output."""

from __future__ import annotations

import sys
from contextlib import ExitStack, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dcipher.cli.terminal.errors import UsageError
from dcipher.cli.terminal.output import Form, Output

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher import Dcipher
    from dcipher._settings.checks import Configuration
    from dcipher.cli.app.options import Options
    from dcipher.cli.state.followed_runs import FollowedRuns

__all__ = ["Invocation", "read_text"]

LARGEST = 64 * 1024 * 1024
"""Bytes of a file, or of standard input, that are read as text."""


class Invocation:
    """The options of one call, and the objects that are made from them."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._stdin_for: str | None = None
        self._at_end = ExitStack()

    @cached_property
    def output(self) -> Output:
        """The output of the command."""
        requested = {
            Form.JSON: self.options.json,
            Form.JSONL: self.options.jsonl,
            Form.IDS: self.options.quiet,
        }
        forms = [form for form, given in requested.items() if given]
        if len(forms) > 1:
            raise UsageError("Give one of --json, --jsonl and --quiet.")
        return Output(*forms, verbose=self.options.verbose)

    @cached_property
    def layers(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """The settings by source, in order of precedence: source → name → value.

        The sources are `argument`, `environment`, and `.env` with `--env-file`.
        """
        from dcipher.cli.app.layers import loaders

        return tuple((source, load()) for source, load in loaders(self.options, self.read))

    @cached_property
    def followed(self) -> FollowedRuns:
        """The runs that the command follows."""
        from dcipher.cli.state.followed_runs import FollowedRuns

        return FollowedRuns(self.output)

    @property
    def current_followed(self) -> FollowedRuns | None:
        """The runs that the command follows; `None` before the first one."""
        followed: FollowedRuns | None = vars(self).get("followed")
        return followed

    def set_ledger(self, *, off: bool, urls: bool = False) -> None:
        """Sets whether the ledger stores the runs, and their signed URLs."""
        if off:
            self.followed.is_recorded = False
        self.followed.urls = urls

    def read(self, path: Path, what: str) -> str:
        """Reads a text. Standard input can be read only once."""
        if str(path) == "-":
            if self._stdin_for is not None:
                raise UsageError(f"{self._stdin_for} and {what} cannot both read standard input.")
            self._stdin_for = what
        return read_text(path, what)

    @cached_property
    def configuration(self) -> Configuration:
        """The valid settings."""
        from dcipher._settings.checks import resolve

        return resolve(self.layers)

    def client(self) -> Dcipher:
        """Returns a client with the options, the environment and `--env-file`."""
        from dcipher import Dcipher
        from dcipher.cli.app.layers import Layered
        from dcipher.cli.terminal.retry_notes import report_retries

        report_retries(self.output, self._at_end)
        settings: Any = Layered(self.layers)
        return Dcipher(settings=settings)

    def close(self) -> None:
        """Undoes the changes of the command in this process, which may continue."""
        self._at_end.close()


def read_text(path: Path, what: str) -> str:
    """Returns the text of a file, or of standard input for `-`. Raises `CommandError`."""
    is_file = str(path) != "-"
    where = path if is_file else "standard input"
    if not is_file and (sys.stdin is None or sys.stdin.closed):
        raise UsageError(f"{what}: there is no standard input.")
    if not is_file and not hasattr(sys.stdin, "buffer"):  # a test of the user's replaced it
        return sys.stdin.read()
    try:
        with path.open("rb") if is_file else nullcontext(sys.stdin.buffer) as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:  # /dev/zero, or `yes` in a pipe, would fill the memory
            limit = LARGEST // 2**20
            raise UsageError(f"{what}: {where} is longer than {limit} MiB, the limit.")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{what}: {where} is not UTF-8 text (byte {error.start}).") from None
    except OSError as error:
        raise UsageError(f"{what}: {where} cannot be read: {error.strerror}.") from None
