"""`dcipher demo`: a complete run, without an account."""

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
            help="A text in UTF-8, with blank lines between paragraphs. - is standard input.",
        ),
    ] = None,
) -> None:
    """Run a sample flow on this machine, without account and network. Nothing is kept.

    It starts an emulator, whose flow "topics" groups the paragraphs of a text by topic, and prints
    the topics. On stderr, it prints its steps, and the same in Python and at the shell. Without
    FILE, it uses a built-in text.

    It needs the extra emulator.
    """
    from dcipher.cli.demo_tour import demonstrate

    demonstrate(invocation(ctx), file)
