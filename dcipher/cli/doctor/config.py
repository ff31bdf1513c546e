"""`dcipher config`: the settings and their sources."""

from __future__ import annotations

import typer

from dcipher.cli.app.declaring import App, invocation

__all__ = ["app"]

app: App = App("Show the settings.")


@app.command()
def show(ctx: typer.Context) -> None:
    """Show the value and the source of every setting and option.

    The source is an option, a variable of the environment, a line of the file of --env-file, or the
    default. Only the length of a secret is shown. Unknown variables that begin with DCIPHER_ are
    listed, too. The exit code is 2 if a value is invalid.

    Nothing is sent anywhere.
    """
    from dcipher.cli.doctor.settings import show as print_them

    print_them(invocation(ctx))
