"""`dcipher flows`: look at a flow, run it."""

from __future__ import annotations

from typing import Annotated

import typer

from dcipher.cli.app import App, invocation

__all__ = ["app"]

app = App("Look at flows, and run them.")


@app.command()
def get(
    ctx: typer.Context,
    flow: Annotated[str, typer.Argument(metavar="FLOW", help="The id of the flow.")],
) -> None:
    """Show a flow: its name, its description, its parameters."""
    call = invocation(ctx)
    with call.client() as client:
        found = client.flows.get(flow)
    if call.output.structured or call.output.quiet:
        call.output.data(found.model_dump(mode="json"))
        return
    call.output.data({"id": found.id, "name": found.name, "description": found.description})
    params = [param.model_dump(mode="json") for param in found.params]
    call.output.data(params, columns=["name", "type", "required", "default", "description"])
