"""`dcipher whoami`: which key goes where."""

from __future__ import annotations

import typer

from dcipher.cli.app.declaring import App, invocation

__all__ = ["app"]

app: App = App(single=True)


@app.command()
def whoami(ctx: typer.Context) -> None:
    """Show which key is used, where it goes, and whether it is taken there.

    Of the key, its length and where it was found are shown, and a fingerprint: the same key has the
    same one, and nobody finds the key by it. The service has no operation that names the account:
    whether it takes the key is known from its answer to a question for a flow that does not exist.

    Exits with 4 where it refuses the key, or there is none.
    """
    from dcipher.cli.doctor.reports import who

    who(invocation(ctx))
