"""Runs a command, and makes of whatever it raises one paragraph on stderr and an exit code."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

import typer

from dcipher.cli.exit_codes import ExitCode, exit_code
from dcipher.cli.failures import CommandError, HelpWanted
from dcipher.cli.invocation import Invocation
from dcipher.cli.options import Options
from dcipher.cli.streams import finish, prepare, silence
from dcipher.cli.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run"]

# The base of what typer says of a command line that it cannot use; click has it in older typers.
_UsageError = typer.BadParameter.__mro__[1]


def run(arguments: Sequence[str]) -> int:
    """Run the command line; the exit code."""
    prepare()
    call = Invocation(Options())
    try:
        _refuse_keys(arguments)
        _command(arguments, call)
        finish()
    except typer.Exit as ending:
        return int(ending.exit_code)
    except BrokenPipeError:
        silence(sys.stdout)
        return ExitCode.CLOSED_PIPE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it is, it is said in one paragraph
        return _failed(error, call)
    return ExitCode.OK


def _command(arguments: Sequence[str], call: Invocation) -> None:
    from dcipher.cli.root import app

    command = typer.main.get_command(app)
    with command.make_context("dcipher", list(arguments), obj=call) as ctx:
        command.invoke(ctx)


def _refuse_keys(arguments: Sequence[str]) -> None:
    for argument in arguments:
        if argument == "--":
            return
        name = argument.partition("=")[0]
        if name in {"--api-key", "--api-secret"}:
            raise CommandError(
                f"There is no {name}: it would stand in the shell's history and in the list of "
                "processes. Use the environment (DCIPHER_API_KEY), --env-file FILE or "
                "--api-key-file FILE (- for standard input).",
                ExitCode.USAGE,
            )


def _failed(error: BaseException, call: Invocation) -> int:
    if isinstance(error, HelpWanted):
        call.output.warn(error.message)
        return error.code
    if call.options.verbose:
        traceback.print_exception(error)
    code, text = _said(error)
    if sys.stderr is not None:
        print(f"error: {printable(text)}", file=sys.stderr)  # noqa: T201
    return code


def _said(error: BaseException) -> tuple[int, str]:
    if isinstance(error, CommandError):
        return error.code, " Next: ".join(filter(None, (error.message, error.next_step)))
    if isinstance(error, _UsageError):
        return ExitCode.USAGE, getattr(error, "format_message", error.__str__)()
    return exit_code(error), str(error) or type(error).__name__
