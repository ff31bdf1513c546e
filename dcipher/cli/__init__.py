"""The `dcipher` command (extra `cli`).

A command imports what it needs when it runs. `dcipher --version` does not even import click.
"""

from __future__ import annotations

import os
import sys

from dcipher._version import __version__

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line, and returns its exit code. `arguments` are `sys.argv[1:]` by default."""
    try:
        return _main(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:  # during the imports
        return 130


def _main(given: list[str]) -> int:
    if (output := _quick(given)) is not None:
        from dcipher.cli.terminal.streams import print_line

        return print_line(output)
    try:
        if "_DCIPHER_COMPLETE" in os.environ:
            return _print_completions(given)
        from dcipher.cli.running import run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in {"click", "rich"}:
            raise
        from dcipher._extras.installation import install

        print(f"error: This needs {missing}: {install('cli')}", file=sys.stderr)  # noqa: T201
        return 2
    return run(given)


def _quick(given: list[str]) -> str | None:
    """Returns the output of commands that a shell may run at each start. It needs no slow import."""
    if given == ["--version"]:
        return f"dcipher {__version__}"
    if given[:1] == ["completion"] and len(given) == 2:
        from dcipher.cli.completion import SCRIPTS

        return SCRIPTS.get(given[1])
    return None


def _print_completions(words: Sequence[str]) -> int:
    from dcipher.cli.completion import complete
    from dcipher.cli.terminal.streams import print_line

    found = complete(words)
    return print_line("\n".join(found)) if found else 0
