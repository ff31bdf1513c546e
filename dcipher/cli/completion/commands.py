"""`dcipher completion`: the completion script of a shell."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import PurePath
from typing import Annotated

import typer

from dcipher.cli.app.declaring import App, invocation
from dcipher.cli.completion.scripts import SCRIPTS
from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.cli.terminal.failures import CommandError

__all__ = ["app"]

app: App = App(single=True)


class Shell(str, Enum):
    """The supported shells."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


@app.command()
def completion(
    ctx: typer.Context,
    shell: Annotated[
        Shell | None,
        typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell. Default: yours."),
    ] = None,
) -> None:
    """Print the completion script for commands and options. Nothing is installed.

    bash and zsh: add this line to .bashrc or .zshrc.

        eval "$(dcipher completion bash)"

    fish: dcipher completion fish > ~/.config/fish/completions/dcipher.fish
    """
    call = invocation(ctx)
    call.output.data(SCRIPTS[(shell or _own_shell()).value])


def _own_shell() -> Shell:
    name = PurePath(os.environ.get("SHELL", "")).name
    try:
        return Shell(name)
    except ValueError:
        known = ", ".join(shell.value for shell in Shell)
        raise CommandError(
            f"The variable SHELL names no supported shell ({name or 'not set'}).",
            ExitCode.USAGE,
            next_step=f"dcipher completion SHELL, with one of {known}",
        ) from None
