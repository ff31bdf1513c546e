"""`dcipher emulator`: a local Dcipher service, and what can be asked of one that runs."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcipher.cli.app.declaring import App, invocation
from dcipher.cli.emulator.control import Control, only_emulator
from dcipher.cli.emulator.emulation import Emulation, emulating, with_emulation
from dcipher.cli.state.emulator_keys import pointing_at
from dcipher.cli.state.running_emulators import RunningEmulator, running_emulators
from dcipher.cli.terminal.tables import Layout
from dcipher.cli.terminal.text import is_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["app"]

PORT = 8787
"""Where an emulator listens, if nothing else is said."""

app: App = App("Run a local Dcipher service, and look into it. It needs the extra `emulator`.")
faults: App = App("Break answers of a running emulator, to test what an application makes of it.")
app.add_typer(faults, name="faults")


class Shell(str, Enum):
    """The shells whose variables `env` can set."""

    SH = "sh"
    FISH = "fish"
    POWERSHELL = "powershell"


@app.command()
@with_emulation
def start(ctx: typer.Context, emulation: Emulation) -> None:
    """Serve until Ctrl-C (exit code 0) or SIGTERM (143).

    When it is ready, one line on stdout (on a terminal, a few) says where, with which key, and
    where its console is. It takes the key of --api-key-file (which begins with emu_), else the one
    in --state-dir, else a random one; never DCIPHER_API_KEY. In another shell: eval "$(dcipher emulator env)".
    """
    from dcipher.cli.emulator.signals import until_ended

    call = invocation(ctx)
    with until_ended() as ending, emulating(call, emulation, port=PORT, registers=True) as (at, _):
        record = {"url": at.url, "api_key": at.api_key, "console": at.console, "pid": at.pid}
        call.output.data(
            record,
            key="url",
            text=lambda found: _ready(found, at),
        )
        with redirect_stdout(sys.stderr):  # what flows print is no data
            ending.wait()
    if ending.code:
        raise typer.Exit(ending.code)


def _ready(record: Mapping[str, Any], emulator: RunningEmulator) -> str:
    """One line that programs read; for people a line each, and what to do with it."""
    if not is_terminal(sys.stdout):
        return "Ready: {url} API key: {api_key} Console: {console}".format(**record)
    line = pointing_at(emulator, running_emulators())
    rows = ("Ready:    {url}", "API key:  {api_key}", "Console:  {console}")
    return "\n".join(rows).format(**record) + f"\nIn another shell: {line}"


@app.command(
    "exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False}
)
@with_emulation
def execute(
    ctx: typer.Context,
    command: Annotated[
        list[str], typer.Argument(metavar="CMD", help="The command and its arguments.")
    ],
    emulation: Emulation,
) -> None:
    """Run a command against an emulator of its own.

    DCIPHER_BASE_URL, DCIPHER_API_KEY and, with --api-secret-file, DCIPHER_API_SECRET are set for
    it. Signals are forwarded, and its exit code is this one's: 128+n where signal n ended it, 127
    where there is no such command, 126 where it cannot be executed. Example:

        dcipher emulator exec --flows shop -- pytest -q
    """
    from dcipher.cli.emulator.child import run_child

    call = invocation(ctx)
    with emulating(call, emulation, port=0, registers=False) as (at, secret):
        variables = {
            "DCIPHER_BASE_URL": at.url,
            "DCIPHER_API_KEY": at.api_key,
            "DCIPHER_API_SECRET": secret,
        }
        with redirect_stdout(sys.stderr):
            code = run_child(command, variables, call.output.warn)
    raise typer.Exit(code)


@app.command()
def env(
    ctx: typer.Context,
    shell: Annotated[
        Shell | None,
        typer.Option(metavar="sh|fish|powershell", help="For which shell; by default sh."),
    ] = None,
) -> None:
    """Print what points a shell at the emulator that runs: eval "$(dcipher emulator env)"."""
    from dcipher.cli.emulator.shell_variables import assignments

    call = invocation(ctx)
    found = only_emulator(call.options.base_url)
    if call.output.structured:
        call.output.data({"DCIPHER_BASE_URL": found.url, "DCIPHER_API_KEY": found.api_key})
    else:
        call.output.data(assignments(found, (shell or Shell.SH).value))


@app.command()
def runs(ctx: typer.Context) -> None:
    """List the runs of a running emulator."""
    columns = ["task_id", "flow_id", "status", "created_at", "finished_at", "message"]
    layout = Layout(("task_id", "flow_id"), ["message", "finished_at", "created_at"])
    _show(ctx, "runs", columns, "task_id", layout)


@app.command()
def requests(ctx: typer.Context) -> None:
    """List the requests to a running emulator, in the order of their answers; secrets are masked."""
    columns = ["at", "method", "path", "query", "status", "fault"]
    _show(ctx, "requests", columns, "request_id", Layout(whole=("path", "query")))


@app.command()
def reset(ctx: typer.Context) -> None:
    """Have a running emulator forget runs, requests, keys and faults; its flows stay."""
    call = invocation(ctx)
    answer = Control.meant(call).ask("POST", "reset")
    call.output.note(answer["message"])


_FAULTS = ("id", "operation", "effects", "remaining", "hits", "matched")


@faults.command("list")
def list_faults(ctx: typer.Context) -> None:
    """List the faults of a running emulator, with what is left of each."""
    _show(ctx, "faults", _FAULTS, "id")


@faults.command()
def add(
    ctx: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(metavar="OPERATION EFFECT", help="What to break, and how; or JSON."),
    ],
    times: Annotated[
        int | None, typer.Option(metavar="N", help="To how many requests; 1 by default.")
    ] = None,
    always: Annotated[bool, typer.Option("--always", help="To any number of requests.")] = False,
    nth: Annotated[
        int | None, typer.Option(metavar="N", help="The first matching request, from 1.")
    ] = None,
    per_run: Annotated[
        bool, typer.Option("--per-run", help="Count for each run by itself.")
    ] = False,
    probability: Annotated[
        float | None, typer.Option(metavar="P", help="How likely for each request, 0 to 1.")
    ] = None,
    flow: Annotated[
        str | None, typer.Option(metavar="FLOW", help="Only requests about this flow.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(metavar="TASK", help="Only requests about this run.")
    ] = None,
) -> None:
    """Break the next answer: `add status respond:503 --times 3`.

    OPERATION is flow, start, status, result or any. An EFFECT is its kind, kind:value, or
    kind:{"name": value, …}: drop:after, delay:2, expire_url,
    respond:'{"status": 429, "headers": {"Retry-After": "2"}}'. Or give the JSON of a fault, as the
    control API takes it.
    """
    from dcipher.cli.emulator.fault_words import fault_document

    call = invocation(ctx)
    document = fault_document(
        words,
        times=times,
        nth=nth,
        per_run=per_run or None,
        probability=probability,
        flow_id=flow,
        task_id=task,
    )
    if always:
        document["times"] = None
    _print_fault(ctx, Control.meant(call).ask("POST", "faults", json.dumps(document).encode()))


@faults.command()
def clear(
    ctx: typer.Context,
    numbers: Annotated[
        list[int] | None,
        typer.Argument(metavar="ID", help="Which; by default all."),
    ] = None,
) -> None:
    """Forget the faults of a running emulator, or some of them."""
    call = invocation(ctx)
    control = Control.meant(call)
    if numbers:
        removed = [control.ask("DELETE", f"faults/{number}") for number in numbers]
    else:
        removed = control.ask("DELETE", "faults")
    call.output.data(removed, columns=_FAULTS)


def _show(
    ctx: typer.Context, name: str, columns: Any, key: str, layout: Layout | None = None
) -> None:
    call = invocation(ctx)
    found = Control.meant(call).ask("GET", name)
    call.output.data(found, columns=columns, key=key, layout=layout)


def _print_fault(ctx: typer.Context, fault: dict[str, Any]) -> None:
    invocation(ctx).output.data(fault, columns=_FAULTS)
