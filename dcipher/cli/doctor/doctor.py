"""`dcipher doctor`: what stands between this machine and a run."""

from __future__ import annotations

import typer

from dcipher.cli.app.declaring import App, invocation

__all__ = ["app"]

app: App = App(single=True)


@app.command()
def doctor(ctx: typer.Context) -> None:
    """Check settings, permissions, network, certificates, clock and key; say what to do next.

    Each check is ok, warning, failed, or skipped because an earlier one failed; what failed has one
    command that can be pasted. One question is sent, for a flow that does not exist: nothing is
    started. It takes less than 15 seconds.

    Nothing secret is printed: no key, no password of a proxy, no content of a file. What it says
    may go into a ticket as it is.

    Exits with 0, with 1 where something failed, and with 4 where that is the key.
    """
    from dcipher.cli.doctor.reports import report

    report(invocation(ctx))
