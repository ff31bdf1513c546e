"""`dcipher config`: what the settings are, and where each was said."""

from __future__ import annotations

import typer

from dcipher.cli.app.declaring import App, invocation

__all__ = ["app"]

app: App = App("See the settings.")


@app.command()
def show(ctx: typer.Context) -> None:
    """Show every setting and option of the client: its value, and where that was said.

    A source is an option of the command line, a variable of the environment, a line of a file that
    --env-file names, or the default. Of secrets, only the length is shown. Variables that begin
    with DCIPHER_ and are no settings are said, too. Exits with 2 where something cannot be used.

    Nothing is sent anywhere.
    """
    from dcipher.cli.doctor.settings import show as print_them

    print_them(invocation(ctx))
