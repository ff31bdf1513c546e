"""`dcipher doctor`: checks everything that a run needs on this machine."""

from __future__ import annotations

import typer

from dcipher.cli.app.declaring import App, invocation

__all__ = ["app"]

app: App = App(single=True)


@app.command()
def doctor(ctx: typer.Context) -> None:
    """Check settings, permissions, network, certificates, clock and key, with advice.

    Each check is ok, warning, failed, or skipped because an earlier one failed. A failed check has a
    command to paste. One request is sent, for a flow that does not exist; nothing is started. It
    takes less than 15 seconds.

    No key, proxy password or file content is printed, so the output can be pasted into a ticket.

    The exit code is 0, 4 if the key is missing or rejected, or 1 if another check failed.
    """
    from dcipher.cli.doctor.reports import report

    report(invocation(ctx))
