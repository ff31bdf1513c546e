"""`dcipher whoami`: which key is used, and where it is sent."""

from __future__ import annotations

import typer

from dcipher.cli.app.declaring import App, invocation

__all__ = ["app"]

app: App = App(single=True)


@app.command()
def whoami(ctx: typer.Context) -> None:
    """Show which API key is used, where it is sent, and whether the service accepts it.

    It shows the length of the key, its source, and a fingerprint, from which the key cannot be
    found. The service has no operation for the account, so the command requests a flow that does
    not exist: the response tells whether the key is valid.

    The exit code is 4 if there is no key, or the service rejects it.
    """
    from dcipher.cli.doctor.reports import who

    who(invocation(ctx))
