"""The `dcipher` command (extra `cli`).

A command imports what it needs when it runs: `dcipher --version` and completion import neither
typer nor httpx.
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
    """Run the command line, and give its exit code; `arguments` are `sys.argv[1:]` by default."""
    try:
        return _main(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:  # before there was anything to be said of it
        return 130


def _main(given: list[str]) -> int:
    if "_DCIPHER_COMPLETE" in os.environ:
        return _completed(given)
    if (answer := _quick(given)) is not None:
        from dcipher.cli.terminal.streams import say

        return say(answer)
    try:
        from dcipher.cli.running import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"typer", "rich", "shellingham"}:
            raise
        from dcipher._extras.installation import install

        print(f"error: This needs {error.name}: {install('cli')}", file=sys.stderr)  # noqa: T201
        return 2
    return run(given)


def _quick(given: list[str]) -> str | None:
    """What is answered before anything slow is imported: a shell may ask at every start."""
    if given == ["--version"]:
        return f"dcipher {__version__}"
    if given[:1] == ["completion"] and len(given) == 2:
        from dcipher.cli.completion.scripts import SCRIPTS

        return SCRIPTS.get(given[1])
    return None


def _completed(words: Sequence[str]) -> int:
    from dcipher.cli.completion.candidates import complete
    from dcipher.cli.terminal.streams import say

    found = complete(words)
    return say("\n".join(found)) if found else 0
