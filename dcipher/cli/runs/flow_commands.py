"""`dcipher flows`: show a flow, run it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcipher.cli.app.arguments import (
    FlowArgument,
    KeepURLs,
    NoLedger,
    OutputOption,
    Overwrite,
    Reveal,
    Timeout,
    as_seconds,
)
from dcipher.cli.app.declaring import App, invocation
from dcipher.cli.batch.map_command import map_rows
from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.cli.terminal.failures import CommandError

__all__ = ["app"]

app: App = App("Show flows, and run them.")


@app.command()
def get(
    ctx: typer.Context,
    flow: FlowArgument,
    python: Annotated[
        bool, typer.Option("--python", help="Print the Python code of a call of the flow instead.")
    ] = False,
) -> None:
    """Show the name, description and params of a flow."""
    call = invocation(ctx)
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


@app.command()
def run(
    ctx: typer.Context,
    flow: FlowArgument,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-p",
            metavar="NAME=TEXT",
            help="A param. Can be repeated. NAME=TEXT is text, NAME:=JSON is JSON. NAME=@FILE and "
            "NAME:=@FILE read the value from a file (- for standard input). NAME=@@TEXT is text "
            "that begins with @.",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text",
            metavar="NAME=TEXT",
            help="A param whose text has no special characters at its beginning, such as the value "
            "of a variable.",
        ),
    ] = None,
    params: Annotated[
        Path | None,
        typer.Option(
            "--params",
            metavar="FILE|-",
            help="Params as a JSON object, from a file or standard input. -p takes precedence.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until the run has ended.")
    ] = True,
    timeout: Timeout = None,
    output: OutputOption = None,
    overwrite: Overwrite = True,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check the params against the flow, and print the request as a curl line with "
            "$DCIPHER_API_KEY. Nothing is started.",
        ),
    ] = False,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            metavar="KEY",
            help="A start with the same key returns the same run. Default: a new key for each run.",
        ),
    ] = None,
    save_run: Annotated[
        Path | None,
        typer.Option(
            "--save-run",
            metavar="FILE",
            help="Store the run with the signed URLs of its results in this file (mode 0600), for "
            "`dcipher runs download --run FILE`.",
        ),
    ] = None,
    keep_urls: KeepURLs = False,
    reveal_urls: Reveal = False,
    no_ledger: NoLedger = False,
) -> None:
    """Run a flow, wait until it has ended, and save its results.

    The exit code is 3 if the run failed or was cancelled, and 124 if the timeout has passed. Ctrl-C
    ends the wait, not the run, and prints the command that resumes the wait.

        dcipher flows run 65cf2f3e -p text=@essay.txt -p top:=5 -o topics.json
    """
    from dcipher.cli.app.params import params_of
    from dcipher.cli.runs.starting import Start, new_key, run_flow
    from dcipher.cli.runs.starting import dry_run as show_request

    call = invocation(ctx)
    call.remember(off=no_ledger, urls=keep_urls)
    for given, name in ((output, "-o"), (timeout, "--timeout")):
        if given is not None and not wait:
            raise CommandError(f"{name} cannot be used with --no-wait.", ExitCode.USAGE)
    start = Start(
        flow,
        params_of(param or [], text or [], params, call.read),
        wait=wait,
        timeout=as_seconds(timeout),
        output=output,
        # An empty key is rejected: with a variable that is not set, each call would start a run.
        idempotency_key=new_key() if idempotency_key is None else idempotency_key,
        overwrite=overwrite,
        run_file=save_run,
        reveal=reveal_urls,
    )
    (show_request if dry_run else run_flow)(call, start)


app.command("map")(map_rows)


@app.command()
def generate(
    ctx: typer.Context,
    flows: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FLOW",
            help="The ids of the flows. By default, those of which the file has a class.",
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE|-", help="The module to write. - is standard output."
        ),
    ] = "-",
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing: print what has changed since the file was written. Exits with 2 "
            "if anything has.",
        ),
    ] = False,
    sample: Annotated[
        str | None,
        typer.Option(
            "--sample",
            metavar="FILE",
            help="A result of the flow. A model of its rows is written, too (extra `arrow`).",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite/--no-overwrite",
            help="Whether to replace a file that was not generated. A generated one is replaced.",
        ),
    ] = False,
) -> None:
    """Write a typed class for each flow: its params as fields, with their types.

    The file is made of what the service says of the flows, and is the same as long as that is. With
    --check, each difference is `breaking` (a param was removed, is required now, or has another
    type) or `compatible`.

        dcipher flows generate 65cf2f3e -o flows.py
    """
    from dcipher.cli.runs import generating

    call = invocation(ctx)
    if not check:
        generating.generate(call, flows or [], output, sample, overwrite=overwrite)
        return
    if output == "-" or sample is not None:
        raise CommandError("--check needs -o FILE, and no --sample.", ExitCode.USAGE)
    if code := generating.check(call, flows or [], output):
        raise typer.Exit(code)
