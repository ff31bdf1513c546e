"""`dcipher flows`: show a flow, run it, run it for many rows, generate its class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from click.exceptions import Exit

from dcipher.cli.app.arguments import (
    FLOW,
    KEEP_URLS,
    NO_LEDGER,
    OUTPUT,
    OVERWRITE,
    REVEAL_URLS,
    TIMEOUT,
)
from dcipher.cli.app.commands import Group, argument
from dcipher.cli.app.options import option
from dcipher.cli.batch.map_command import map_rows
from dcipher.cli.terminal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dcipher.cli.app.invocation import Invocation

__all__ = ["app"]

app: Group = Group("flows", help="Show flows, and run them.")


@app.command()
@FLOW
@option("--python", "Print Python code that calls the flow instead.")
def get(call: Invocation, flow: str, python: bool) -> None:
    """Show the name, description and params of a flow."""
    with call.client() as client:
        found = client.flows.get(flow)
    if python:
        from dcipher._flow_types.generation import start_of

        call.output.data(start_of(found))
        return
    record = found.model_dump(mode="json")
    if call.output.structured or call.output.quiet:
        call.output.data(record)
        return
    call.output.data(record, columns=["id", "name", "description"])
    if found.params:
        call.output.data("")
        call.output.data(
            record["params"], columns=["name", "type", "required", "default", "description"]
        )


@app.command("list")
def list_flows(call: Invocation) -> None:
    """List the flows of an emulator, or those that this machine knows.

    The API has no operation that lists flows, but an emulator does. For any other base URL, the
    command lists the flows of the running emulators and those in `dcipher runs list`. known_from is
    the source of each.
    """
    from dcipher.cli.runs.known_flows import list_flows as show

    show(call)


@app.command()
@FLOW
@option(
    "--param -p NAME=TEXT",
    "A param. Can be repeated. NAME=TEXT is text, NAME:=JSON is JSON. NAME=@FILE and "
    "NAME:=@FILE read the value from a file (- for standard input). NAME=@@TEXT is text "
    "that begins with @.",
    multiple=True,
)
@option(
    "--text NAME=TEXT",
    "A param whose text has no special characters at its beginning, such as the value "
    "of a variable.",
    multiple=True,
)
@option(
    "--params FILE|-",
    "Params as a JSON object, from a file or standard input. -p takes precedence.",
)
@option("--wait/--no-wait", "Wait until the run has ended.", default=True)
@TIMEOUT
@OUTPUT()
@OVERWRITE
@option(
    "--dry-run",
    "Check the params against the flow, and print the request as a curl line with "
    "$DCIPHER_API_KEY. Nothing is started.",
)
@option(
    "--idempotency-key KEY",
    "A start with the same key returns the same run. Default: a new key for each run.",
)
@option(
    "--save-run FILE",
    "Store the run with the signed URLs of its results in this file (mode 0600), for "
    "`dcipher runs download --run FILE`.",
)
@KEEP_URLS
@REVEAL_URLS
@NO_LEDGER
def run(
    call: Invocation,
    /,
    param: Sequence[str],
    text: Sequence[str],
    params: Path | None,
    dry_run: bool,
    keep_urls: bool,
    no_ledger: bool,
    **options: Any,
) -> None:
    """Run a flow, wait until it has ended, and save its results.

    The exit code is 3 if the run failed or was cancelled, and 124 if the timeout has passed. Ctrl-C
    ends the wait, not the run, and prints the command that resumes the wait.

        dcipher flows run 65cf2f3e -p text=@essay.txt -p top:=5 -o topics.json
    """
    from uuid import uuid4

    from dcipher.cli.app.params import params_of
    from dcipher.cli.runs.starting import Start, run_flow
    from dcipher.cli.runs.starting import dry_run as show_request

    call.set_ledger(off=no_ledger, urls=keep_urls)
    for name, called in (("output", "-o"), ("timeout", "--timeout")):
        if options[name] is not None and not options["wait"]:
            raise UsageError(f"{called} cannot be used with --no-wait.")
    # An empty key is rejected: with a variable that is not set, each call would start a run.
    if options["idempotency_key"] is None:
        options["idempotency_key"] = str(uuid4())
    start = Start(params=params_of(param, text, params, call.read), **options)
    (show_request if dry_run else run_flow)(call, start)


app.add_command(map_rows)


@app.command()
@argument(
    "flows FLOW", "The ids of the flows. Default: those for which the file has a class.", nargs=-1
)
@option("--output -o FILE|-", "The module to write. - is standard output.", type=str, default="-")
@option(
    "--check",
    "Write nothing: print what has changed since the file was written. The exit code is 2 if "
    "anything has.",
)
@option(
    "--sample FILE",
    "A result of the flow. A model of its rows is written, too (extra `arrow`).",
    type=str,
)
@option(
    "--overwrite/--no-overwrite",
    "Whether to replace a file that was not generated. A generated one is replaced.",
    default=False,
)
def generate(
    call: Invocation,
    flows: Sequence[str],
    output: str,
    check: bool,
    sample: str | None,
    overwrite: bool,
) -> None:
    """Write a typed class for each flow: its params as fields, with their types.

    The file depends only on the flows. With --check, each difference is `breaking` (a param was
    removed, has become required, or has another type) or `compatible`.

        dcipher flows generate 65cf2f3e -o flows.py
    """
    from dcipher.cli.runs import generating

    if not check:
        generating.generate(call, flows, output, sample, overwrite=overwrite)
        return
    if output == "-" or sample is not None:
        raise UsageError("--check needs -o FILE, and no --sample.")
    if code := generating.check(call, flows, output):
        raise Exit(code)
