"""`dcipher emulator`: run a local Dcipher service, inspect and change it."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from dcipher.cli.app.commands import Group, argument
from dcipher.cli.app.options import option
from dcipher.cli.emulator.control import Control, only_emulator
from dcipher.cli.emulator.launch import emulator_options, launched_emulator
from dcipher.cli.state.running_emulators import RunningEmulator, env_command, running_emulators
from dcipher.cli.terminal.tables import Layout
from dcipher.cli.terminal.text import is_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dcipher.cli.app.invocation import Invocation
    from dcipher.cli.state.running_emulators import RunningEmulator

__all__ = ["app"]

PORT = 8787
"""The default port of `emulator start`."""

app: Group = Group(
    "emulator", help="Run a local Dcipher service, and inspect it. Needs the extra `emulator`."
)
faults: Group = Group(
    "faults", help="Inject faults into a running emulator, to test how an application handles them."
)


@app.command()
@emulator_options
def start(call: Invocation, options: dict[str, Any]) -> None:
    """Serve until Ctrl-C (exit code 0) or SIGTERM (143).

    When it is ready, it prints its URL, its API key and the URL of its console to stdout. The key is
    that of --api-key-file (which begins with emu_), else the one in --state-dir, else a random one;
    never DCIPHER_API_KEY. In another shell, run: eval "$(dcipher emulator env)".
    """
    from dcipher._concurrency.sleeping import sleep
    from dcipher.cli.app.signals import Stopped, once

    try:
        with once(), launched_emulator(call, options, port=PORT, registers=True) as (at, _):
            record = {"url": at.url, "api_key": at.api_key, "console": at.console, "pid": at.pid}
            call.output.data(record, key="url", text=lambda found: _ready(found, at))
            with redirect_stdout(sys.stderr):  # the output of flows is not data
                while True:
                    sleep(3600)
    except Stopped as stopped:
        raise Exit(128 + stopped.number) from None
    except KeyboardInterrupt:
        return


def _ready(record: Mapping[str, Any], emulator: RunningEmulator) -> str:
    """Returns one line for programs. For people, returns a line for each value, and the next command."""
    if not is_terminal(sys.stdout):
        return "Ready: {url} API key: {api_key} Console: {console}".format(**record)
    line = env_command(emulator, running_emulators())
    rows = ("Ready:    {url}", "API key:  {api_key}", "Console:  {console}")
    return "\n".join(rows).format(**record) + f"\nIn another shell: {line}"


@app.command("exec", context_settings={"allow_interspersed_args": False})
@argument("command CMD", "The command and its arguments.", nargs=-1, required=True)
@emulator_options
def execute(call: Invocation, command: Sequence[str], options: dict[str, Any]) -> None:
    """Run a command with its own emulator.

    DCIPHER_BASE_URL, DCIPHER_API_KEY and, with --api-secret-file, DCIPHER_API_SECRET are set for
    the command. Signals are forwarded. The exit code is that of the command: 128+n if signal n ended
    it, 127 if it does not exist, 126 if it cannot be executed. Example:

        dcipher emulator exec --flows shop -- pytest -q
    """
    from dcipher.cli.emulator.child import run_child

    with launched_emulator(call, options, port=0, registers=False) as (at, secret):
        variables = {
            "DCIPHER_BASE_URL": at.url,
            "DCIPHER_API_KEY": at.api_key,
            "DCIPHER_API_SECRET": secret,
        }
        with redirect_stdout(sys.stderr):
            code = run_child(command, variables, call.output.warn)
    raise Exit(code)


@app.command()
@option("--shell", "The shell.", type=click.Choice(["sh", "fish", "powershell"]), default="sh")
def env(call: Invocation, shell: str) -> None:
    """Print the variables of the running emulator for a shell: eval "$(dcipher emulator env)"."""
    found = only_emulator(call.options.base_url)
    if call.output.structured:
        call.output.data({"DCIPHER_BASE_URL": found.url, "DCIPHER_API_KEY": found.api_key})
    else:
        call.output.data(assignments(found, shell))


@app.command()
def runs(call: Invocation) -> None:
    """List the runs of a running emulator."""
    columns = ["task_id", "flow_id", "status", "created_at", "finished_at", "message"]
    layout = Layout(("task_id", "flow_id"), ["message", "finished_at", "created_at"])
    _show(call, "runs", columns, "task_id", layout)


@app.command()
def requests(call: Invocation) -> None:
    """List the requests to a running emulator, in the order of their responses."""
    columns = ["at", "method", "path", "query", "status", "fault"]
    _show(call, "requests", columns, "request_id", Layout(unfolded=("path", "query")))


@app.command()
def reset(call: Invocation) -> None:
    """Remove the runs, requests, keys and faults of a running emulator. Its flows remain."""
    response = Control.selected(call).request("POST", "reset")
    call.output.note(response["message"])


_FAULTS = ("id", "operation", "effects", "remaining", "hits", "matched")


@faults.command("list")
def list_faults(call: Invocation) -> None:
    """List the faults of a running emulator, and how often each is still applied."""
    _show(call, "faults", _FAULTS, "id")


@faults.command()
@argument(
    "words OPERATION EFFECT", "The operation and the effects; or JSON.", nargs=-1, required=True
)
@option("--times N", "How many requests it is applied to. Default: 1.")
@option("--always", "Apply it to any number of requests.")
@option("--nth N", "The first matching request, counted from 1.")
@option("--per-run", "Count separately for each run.")
@option("--probability P", "The probability for each request, from 0 to 1.")
@option("--flow flow_id FLOW", "Only requests for this flow.")
@option("--task task_id TASK", "Only requests for this run.")
def add(
    call: Invocation, /, words: Sequence[str], always: bool, per_run: bool, **limits: Any
) -> None:
    """Add a fault: `add status respond:503 --times 3`.

    OPERATION is flow, start, status, result or any. An EFFECT is its kind, kind:value, or
    kind:{"name": value, …}: drop:after, delay:2, expire_url,
    respond:'{"status": 429, "headers": {"Retry-After": "2"}}'. Alternatively, pass the JSON of a
    fault, as in the control API.
    """
    from dcipher.cli.emulator.fault_syntax import fault_document

    document = fault_document(words, per_run=per_run or None, **limits)
    if always:
        document["times"] = None
    added = Control.selected(call).request("POST", "faults", json.dumps(document).encode())
    call.output.data(added, columns=_FAULTS)


@faults.command()
@argument("numbers ID", "The faults to remove. Default: all.", type=int, nargs=-1)
def clear(call: Invocation, numbers: Sequence[int]) -> None:
    """Remove the faults of a running emulator, or some of them."""
    control = Control.selected(call)
    if numbers:
        removed = [control.request("DELETE", f"faults/{number}") for number in numbers]
    else:
        removed = control.request("DELETE", "faults")
    call.output.data(removed, columns=_FAULTS)


def _show(
    call: Invocation, name: str, columns: Any, key: str, layout: Layout | None = None
) -> None:
    found = Control.selected(call).request("GET", name)
    call.output.data(found, columns=columns, key=key, layout=layout)


def assignments(emulator: RunningEmulator, shell: str) -> str:
    """Returns the lines for a shell (`sh`, `fish` or `powershell`), which evaluates them.

    The shell reads the secret from its file. A secret of another service is unset.
    """
    # Settings are case-insensitive.
    others = (name for name in os.environ if name.upper() in _OURS and name != name.upper())
    lines = [
        *(_UNSET[shell].format(name) for name in others),
        _SET[shell].format("DCIPHER_BASE_URL", _quoted(emulator.url, shell)),
        _SET[shell].format("DCIPHER_API_KEY", _quoted(emulator.api_key, shell)),
    ]
    if emulator.api_secret_file is not None:
        read = _READ[shell].format(_quoted(emulator.api_secret_file, shell))
        lines.append(_SET[shell].format("DCIPHER_API_SECRET", read))
    elif os.environ.get("DCIPHER_API_SECRET"):
        lines.append(_UNSET[shell].format("DCIPHER_API_SECRET"))
    return "\n".join(lines)


_OURS = frozenset(("DCIPHER_BASE_URL", "DCIPHER_API_KEY", "DCIPHER_API_SECRET"))
_SET = {"sh": "export {}={}", "fish": "set -gx {} {};", "powershell": "$env:{} = {}"}
_UNSET = {"sh": "unset {}", "fish": "set -e {};", "powershell": "Remove-Item Env:{}"}
_READ = {
    "sh": '"$(cat {})"',
    "fish": "(string collect < {})",
    "powershell": "(Get-Content -Raw -LiteralPath {}).Trim()",
}


def _quoted(text: str, shell: str) -> str:
    if shell == "sh":
        return shlex.quote(text)
    if shell == "fish":  # fishshell.com/docs/current/language.html#quotes
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return "'" + text.replace("'", "''") + "'"


app.add_command(faults)
