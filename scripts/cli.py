"""Writes the page of the command line.

python scripts/cli.py           writes docs/reference/cli.md
python scripts/cli.py --check   exits with 1 if it is not up to date
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from generated_files import ROOT, run

PAGE = ROOT / "docs" / "reference" / "cli.md"
sys.path.append(str(ROOT))  # an installed dcipher still comes before the source
os.environ["COLUMNS"] = "88"  # the width of --help on the page

from dcipher.cli.app.invocation import Invocation  # noqa: E402 - found only from here on
from dcipher.cli.app.options import Options  # noqa: E402
from dcipher.cli.root import app  # noqa: E402
from dcipher.cli.terminal.errors import ExitCode  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """\
<!-- Printed by scripts/cli.py from the commands themselves: edit their docstrings, not this. -->

# Command line

The extra `cli` installs the command `dcipher`; `python -m dcipher` is the same. See the [guide](../guides/cli.md) for
examples. Each section below is the output of `--help`.

Data goes to stdout, and everything else to stderr. Data is a table on a terminal, and lines with tabs between cells in
a pipe. `--json` prints one document, `--jsonl` a document on each line, and `-q` only the ids. An error is one
paragraph on stderr: what happened, to which run, and what to do. With `--json` or `--jsonl`, it is the last line of
stderr, an object `{"error": {"exit_code": …, "message": …, "next": …}}` with the ids of the run.

## Exit codes

| code | meaning |
|---|---|
"""


def commands(command: Any, ctx: Any) -> Iterator[tuple[Any, Any]]:
    """Yields a command and its subcommands, each with its context."""
    yield command, ctx
    if hasattr(command, "list_commands"):
        for name in command.list_commands(ctx):
            below = command.get_command(ctx, name)
            if not below.hidden:
                yield from commands(below, _context(below, name, ctx))


def _context(command: Any, name: str, parent: Any = None) -> Any:
    return command.make_context(
        name, [], parent=parent, obj=Invocation(Options()), resilient_parsing=True
    )


def _root() -> tuple[Any, Any]:
    return app, _context(app, "dcipher")


def page() -> str:
    """Returns the page as text, ending with a newline."""
    codes = "".join(f"| {int(code)} | {code.meaning} |\n" for code in ExitCode)
    sections = (
        f"\n## {ctx.command_path}\n\n```text\n{command.get_help(ctx)}\n```\n"
        for command, ctx in commands(*_root())
    )
    return HEAD + codes + "".join(sections)


def main() -> int:
    """Writes or checks the page. Returns the exit code."""
    return run(__doc__, {PAGE: page()})


if __name__ == "__main__":
    sys.exit(main())
