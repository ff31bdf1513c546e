"""Writes the page of the command line, and the table for shell completion.

python scripts/cli.py           writes docs/reference/cli.md and dcipher/cli/completions.json
python scripts/cli.py --check   exits with 1 if one is not up to date
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from printed import ROOT, run

PAGE = ROOT / "docs" / "reference" / "cli.md"
sys.path.append(str(ROOT))  # an installed dcipher still comes before the source
os.environ["COLUMNS"] = "88"  # the width of --help on the page

import typer  # noqa: E402 - found only from here on

from dcipher.cli.app.invocation import Invocation  # noqa: E402
from dcipher.cli.app.options import Options  # noqa: E402
from dcipher.cli.completion.candidates import TABLE  # noqa: E402
from dcipher.cli.root import app  # noqa: E402
from dcipher.cli.terminal.exit_codes import ExitCode  # noqa: E402

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
    command: Any = typer.main.get_command(app)
    return command, _context(command, "dcipher")


def page() -> str:
    """Returns the page as text, ending with a newline."""
    codes = "".join(f"| {int(code)} | {code.meaning} |\n" for code in ExitCode)
    sections = (
        f"\n## {ctx.command_path}\n\n```text\n{command.get_help(ctx)}\n```\n"
        for command, ctx in commands(*_root())
    )
    return HEAD + codes + "".join(sections)


def table(command: Any, ctx: Any) -> dict[str, Any]:
    """Returns the completions of a command: its subcommands, options, and first argument."""
    options: dict[str, Any] = {}
    argument: Any = None
    for param in command.get_params(ctx):
        if param.param_type_name == "argument":
            argument = argument or choices(param) or param.metavar
        elif not param.hidden:
            flag = param.is_flag or getattr(param, "count", False)
            value = None if flag else choices(param) or param.metavar or "VALUE"
            names = (*param.opts, *param.secondary_opts)
            options.update((name, value) for name in names)
    below: dict[str, Any] = {}
    if hasattr(command, "list_commands"):
        for name in command.list_commands(ctx):
            found = command.get_command(ctx, name)
            if not found.hidden:
                below[name] = table(found, _context(found, name, ctx))
    return {"commands": below, "options": options, "argument": argument}


def choices(param: Any) -> list[str] | None:
    """Returns the choices of a parameter, if it has some."""
    # It depends on the release of typer where they are.
    described = getattr(param, "type_descriptor", None) or param.type
    found = getattr(described, "choices", None)
    return None if not found else [str(getattr(one, "value", one)) for one in found]


def main() -> int:
    """Writes or checks the files. Returns the exit code."""
    return run(__doc__, {PAGE: page(), TABLE: json.dumps(table(*_root()), indent=1) + "\n"})


if __name__ == "__main__":
    sys.exit(main())
