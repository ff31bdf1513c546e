"""The declaration of commands: click's classes, with the global options at each command.

A module of commands imports only click, the standard library and `dcipher.cli` at its top, because
the help and the completion import it. Everything else is imported within the functions.

```python
app = Group("flows", help="Show flows, and run them.")


@app.command()
@argument("flow FLOW", "The id of the flow.")
def get(call: Invocation, flow: str) -> None:
    "The text of --help."
    with call.client() as client:  # its errors become exit codes and messages: running.py
        call.output.data(client.flows.get(flow).model_dump(mode="json"))
    call.output.note("A line on stderr.")
    raise CommandError("What failed.", ExitCode.USAGE, next_step="dcipher flows get ID")
    raise Exit(7)  # an exit code without a message
```
"""

from __future__ import annotations

import inspect
import re
import textwrap
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dcipher.cli.app.options import global_options, split_declaration
from dcipher.cli.terminal.errors import HelpRequested

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Command", "Group", "argument"]

F = TypeVar("F", bound="Callable[..., Any] | click.Command")


class Argument(click.Argument):
    """An argument with a help text."""

    def __init__(self, *args: Any, metavar: str, help: str = "", **settings: Any) -> None:  # noqa: A002
        metavar += "…" * (settings.get("nargs") == -1)
        if not settings.get("required", settings.get("nargs") != -1):
            metavar = f"[{metavar}]"
        super().__init__(*args, metavar=metavar, **settings)
        self.text = help  # newer versions of click list arguments that have `help`


def argument(declaration: str, help: str, **settings: Any) -> Callable[[F], F]:  # noqa: A002
    """Decorates a command with an argument, such as `argument("flow FLOW", "The id of the flow.")`."""
    names, metavar = split_declaration(declaration)
    return click.argument(*names, cls=Argument, metavar=metavar, help=help, **settings)


class Command(click.Command):
    """A command with the global options."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._own = list(self.params)
        self.params.extend(global_options())
        # Indented paragraphs are examples, which click wraps unless they begin with \b.
        self.help: str | None = re.sub(r"\n\n(?= )", "\n\n\b\n", inspect.cleandoc(self.help or ""))

    def invoke(self, ctx: click.Context) -> Any:
        """Calls the function of the command with the invocation, its arguments and its options."""
        if self.callback is None or isinstance(self, click.Group):
            return super().invoke(ctx)
        return ctx.invoke(self.callback, ctx.obj, **ctx.params)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the arguments, the options and, below the root, only the names of the global options."""
        arguments = [p for p in self._own if isinstance(p, Argument)]
        _write(formatter, "Arguments", [(p.metavar or "", p.text) for p in arguments])
        options = [p for p in self._own if not isinstance(p, Argument)]
        shared = [p for p in self.get_params(ctx) if p not in self._own]
        if ctx.parent is None:
            options += shared
        _write(formatter, "Options", [r for p in options if (r := p.get_help_record(ctx))])
        if ctx.parent is not None:
            names = ", ".join(name for p in shared for name in sorted(p.opts, key=len))
            text = f"Global options (see dcipher --help): {names}"
            lines = textwrap.wrap(text, formatter.width, break_on_hyphens=False)
            formatter.write("\n" + "\n".join(lines) + "\n")

    def get_short_help_str(self, limit: int = 45) -> str:
        """Returns the complete first sentence, for the list of commands."""
        del limit
        return super().get_short_help_str(limit=1000)


def _write(formatter: click.HelpFormatter, title: str, rows: Sequence[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


class Group(Command, click.Group):
    """A group of commands. Those in `lazy` are imported when they are used."""

    command_class: type[click.Command] | None = Command

    def __init__(self, *args: Any, lazy: Mapping[str, str] | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.lazy: Mapping[str, str] = lazy or {}
        """Name of a command → the module whose `app` it is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Without arguments, the help is printed to stderr."""
        if not args and not ctx.resilient_parsing:
            raise HelpRequested(self.get_help(ctx))
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands before the options."""
        self.format_commands(ctx, formatter)
        Command.format_options(self, ctx, formatter)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names in the order of their declaration."""
        del ctx
        return [*self.lazy, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns the command of that name, and imports its module if necessary."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module(self.lazy[cmd_name]).app
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolves the command; the error for an unknown one suggests a similar name."""
        name, names = args[0], self.list_commands(ctx)
        if not (ctx.resilient_parsing or name.startswith("-") or name in names):
            other = [one for one in _ELSEWHERE.get(name, ()) if one in names]
            similar = [*other, *get_close_matches(name, names, 1)][:1]
            hint = "".join(f" Did you mean {one!r}?" for one in similar)
            ctx.fail(f"No such command {name!r}.{hint}")
        return super().resolve_command(ctx, args)


# The names of our commands in other programs.
_ELSEWHERE = {"get": ("status",), "show": ("get", "status"), "ls": ("list",), "start": ("run",)}
