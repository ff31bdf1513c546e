"""Runs a command, and makes of whatever it raises one paragraph on stderr and an exit code."""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from dcipher.cli.app.explanations import explain
from dcipher.cli.app.interrupts import heeded
from dcipher.cli.app.invocation import Invocation
from dcipher.cli.app.options import Options
from dcipher.cli.app.usage import usage
from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.cli.terminal.failures import CommandError, HelpWanted
from dcipher.cli.terminal.streams import finish, prepare, silence
from dcipher.cli.terminal.text import printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import TextIO

    from dcipher.cli.app.explanations import Explanation

__all__ = ["run"]

# The base of what typer says of a command line that it cannot use, which it does not export.
_UsageError: type = typer.BadParameter.__mro__[1]


def run(arguments: Sequence[str]) -> int:
    """Run the command line; the exit code."""
    prepare()
    call = Invocation(Options())
    try:
        with heeded(), _warnings_in_a_line():
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
    finally:
        call.close()
    return ExitCode.OK


def _command(arguments: Sequence[str], call: Invocation) -> None:
    from dcipher.cli.root import app

    command: Any = typer.main.get_command(app)
    with command.make_context("dcipher", list(arguments), obj=call) as ctx:
        command.invoke(ctx)


def _refuse_keys(arguments: Sequence[str]) -> None:
    for argument in arguments:
        if argument == "--":
            return
        name = argument.partition("=")[0]
        if name in {"--api-key", "--api-secret"}:
            variable = f"DCIPHER_{name[2:].upper().replace('-', '_')}"
            others = " or --api-key-file FILE (- for standard input)" * (name == "--api-key")
            raise CommandError(
                f"There is no {name}: it would stand in the shell's history and in the list of "
                f"processes. Use the environment ({variable}), --env-file FILE{others}.",
                ExitCode.USAGE,
            )


@contextmanager
def _warnings_in_a_line() -> Generator[None]:
    """Warnings of the library, about a key with blanks around it, without a line of its source."""
    before = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, UserWarning):
            _say(f"warning: {message}")
        else:
            before(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def _failed(error: BaseException, call: Invocation) -> int:
    try:
        finish()
    except OSError:  # what is left in it would fail again when the interpreter ends
        silence(sys.stdout)
    if isinstance(error, HelpWanted):
        _say(error.message, lines=True)
        return error.code
    if call.options.verbose:
        _say("".join(traceback.format_exception(error)).rstrip(), lines=True)
    explanation = usage(error) if isinstance(error, _UsageError) else None
    if explanation is None:
        explanation = explain(error, call.current_following)
    if call.options.json or call.options.jsonl:
        _say(_document(explanation))
    else:
        _say(f"error: {explanation}")
    return explanation.code


def _document(explanation: Explanation) -> str:
    error: dict[str, Any] = {
        "exit_code": int(explanation.code),
        "message": explanation.message,
        "next": explanation.next_step,
        **explanation.details,
    }
    return printable_json(json.dumps({"error": error}, default=str))


def _say(text: str, *, lines: bool = False) -> None:
    if sys.stderr is None:
        return
    try:
        print(printable(text, lines=lines), file=sys.stderr, flush=True)  # noqa: T201
    except OSError:  # nobody hears it; the exit code says it, too
        silence(sys.stderr)
