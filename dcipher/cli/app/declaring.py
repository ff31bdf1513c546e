"""How commands are declared: typer's, with the global options at each, loaded when they are used.

A group of commands is a module with an `app`, named in `dcipher.cli.root`. It imports typer, the
standard library and `dcipher.cli`; everything else is imported within the functions.

```python
app: App = App("Look at flows, and run them.")  # one command, not a group of them: App(single=True)


@app.command()
def get(ctx: typer.Context, flow: Annotated[str, typer.Argument(metavar="FLOW", help="…")]) -> None:
    "What --help says."
    call = invocation(ctx)
    with call.client() as client:  # raises what the SDK raises: exit codes and texts follow from it
        call.output.data(client.flows.get(flow).model_dump(mode="json"))
    call.output.note("said on stderr")
    raise CommandError("What cannot be done.", ExitCode.USAGE, next_step="dcipher flows get ID")
    raise typer.Exit(7)  # another code, without a word
```

Each option and argument has a `metavar`: typer's own differ from version to version.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from dcipher.cli.app import options
from dcipher.cli.app.help import page
from dcipher.cli.terminal.failures import HelpWanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dcipher.cli.app.invocation import Invocation

__all__ = ["App", "Command", "Group", "invocation"]

# `Any` for contexts and parameters: their classes are in a module that is typer's own.


@cache
def _globals() -> list[Any]:
    return options.declared()


if TYPE_CHECKING:
    _Base = TyperCommand
else:
    _Base = object


class _WithGlobals(_Base):
    """The global options, before the command and after it."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options of the command's own, and the global ones."""
        own: list[Any] = super().get_params(ctx)
        return [*own[:-1], *_globals(), *own[-1:]]  # the last is --help

    def get_help(self, ctx: Any) -> str:
        """The page that `--help` prints: the same with every typer, and without colours."""
        return page(self, ctx, _globals())

    def invoke(self, ctx: Any) -> Any:
        """Keep the global options for the command, which does not know of them."""
        given = {name: ctx.params.pop(name, None) for name in options.NAMES}
        ctx.obj.options.update(given)
        return super().invoke(ctx)


class Command(_WithGlobals, TyperCommand):
    """A command."""


class Group(_WithGlobals, TyperGroup):
    """A group of commands. Those of `lazy` are in modules that are imported when they are asked for."""

    lazy: Mapping[str, str] = {}
    """Name of a command → the module whose `app` it is."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Without any argument, the help is what is said; on stderr, for nothing was done."""
        if not args and not ctx.resilient_parsing:
            raise HelpWanted(self.get_help(ctx))
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the table."""
        return [*self.lazy, *(name for name in self.commands if name not in self.lazy)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, imported now if need be."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        command: Any = typer.main.get_command(import_module(self.lazy[cmd_name]).app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is named; where there is none, the nearest name is said."""
        name = args[0]
        # typer's own suggestion does not know of those that are not imported yet.
        names = self.list_commands(ctx)
        if not (ctx.resilient_parsing or name.startswith("-") or name in names):
            from dcipher.cli.app.usage import nearest

            meant = nearest(name, names)
            hint = f" Did you mean {meant!r}?" if meant else ""
            ctx.fail(f"No such command {name!r}.{hint}")
        return super().resolve_command(ctx, args)


class App(typer.Typer):
    """A module's `app`: a group of commands, or (`single=True`) one command."""

    def __init__(self, help: str = "", *, single: bool = False, cls: type[Group] = Group) -> None:  # noqa: A002
        super().__init__(
            cls=cls,
            help=help,
            add_completion=False,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
        )
        if not single:
            # typer makes a group only of what has a callback or several commands.
            self.callback(help=help)(_nothing)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """As typer's, with the global options."""
        settings.setdefault("cls", Command)
        return super().command(name, **settings)


def _nothing() -> None:
    """What a group does by itself."""


def invocation(ctx: typer.Context) -> Invocation:
    """What a command was called with, and where it writes."""
    found: Invocation = ctx.obj
    return found
