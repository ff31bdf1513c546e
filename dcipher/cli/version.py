"""`dcipher version`."""

from __future__ import annotations

import platform

import typer

from dcipher._version import __version__
from dcipher.cli.app.declaring import App, invocation

__all__ = ["app"]

app: App = App(single=True)


@app.command()
def version(ctx: typer.Context) -> None:
    """Print the versions of dcipher and of Python."""
    record = {"dcipher": __version__, "python": platform.python_version()}
    invocation(ctx).output.data(record, key="dcipher")
