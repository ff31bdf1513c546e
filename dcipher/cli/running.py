"""Runs a command. An error becomes a paragraph on stderr and an exit code."""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from click.exceptions import Exit

from dcipher.cli.app.explanations import explain
from dcipher.cli.app.invocation import Invocation
from dcipher.cli.app.options import Options
from dcipher.cli.app.signals import raising_stopped
from dcipher.cli.root import app
from dcipher.cli.terminal.errors import ExitCode, HelpRequested, UsageError
from dcipher.cli.terminal.output import Output
from dcipher.cli.terminal.streams import finish, prepare, silence
from dcipher.cli.terminal.text import printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from dcipher.cli.terminal.errors import CommandError

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Runs the command line. Returns the exit code."""
    prepare()
    call = Invocation(Options())
    try:
        with raising_stopped(), _warnings_in_a_line():
            _refuse_keys(arguments)
            with app.make_context("dcipher", list(arguments), obj=call) as ctx:
                app.invoke(ctx)
            finish()
    except Exit as ending:
        return int(ending.exit_code)
    except BrokenPipeError:
        silence(sys.stdout)
        return ExitCode.CLOSED_PIPE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - it is reported, whatever it is
        return _failed(error, call)
    finally:
        call.close()
    return ExitCode.OK


def _refuse_keys(arguments: Sequence[str]) -> None:
    for argument in arguments:
        if argument == "--":
            return
        name = argument.partition("=")[0]
        if name in {"--api-key", "--api-secret"}:
            variable = f"DCIPHER_{name[2:].upper().replace('-', '_')}"
            others = " or --api-key-file FILE (- for standard input)" * (name == "--api-key")
            raise UsageError(
                f"There is no {name}: it would stand in the shell's history and in the list of "
                f"processes. Use the environment ({variable}), --env-file FILE{others}."
            )


@contextmanager
def _warnings_in_a_line() -> Generator[None]:
    """Prints warnings in one line, without the source code."""

    def show(message: Warning | str, *source: Any, **more: Any) -> None:
        del source, more
        Output().warn(printable(f"warning: {message}"))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _failed(error: BaseException, call: Invocation) -> int:
    try:
        finish()
    except OSError:  # the interpreter would try to write the rest at its end
        silence(sys.stdout)
    if isinstance(error, HelpRequested):
        Output().warn(error.message)
        return error.code
    if call.options.verbose:
        Output().warn("".join(traceback.format_exception(error)).rstrip())
    explanation = explain(error, call.current_followed)
    if call.options.json or call.options.jsonl:
        Output().warn(_document(explanation))
    else:
        Output().warn(printable(f"error: {explanation}"))
    return explanation.code


def _document(explanation: CommandError) -> str:
    error: dict[str, Any] = {
        "exit_code": int(explanation.code),
        "message": explanation.message,
        "next": explanation.next_step,
        **explanation.details,
    }
    return printable_json(json.dumps({"error": error}, default=str))
