"""`dcipher demo`: a run from its start to its result, without an account."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcipher.cli.app.declaring import App, invocation

__all__ = ["app"]

app: App = App(single=True)


@app.command()
def demo(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE|-",
            help="Your text, UTF-8, its paragraphs apart by blank lines; - is standard input.",
        ),
    ] = None,
) -> None:
    """Run a sample flow on this machine: no account, no network, nothing is kept.

    Starts an emulator of the service, has its flow "topics" group the paragraphs of a text by what
    they are about, and prints the topics; on stderr it says what it does, and which lines of Python
    and of the shell do the same. Without FILE, the text is a built-in one.

    It needs the extra emulator.
    """
    from dcipher.cli.demo_tour import demonstrate

    demonstrate(invocation(ctx), file)
