"""The command `dcipher` itself: which commands there are, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from dcipher._version import __version__
from dcipher.cli.app.declaring import App, Group

__all__ = ["app"]


class _Root(Group):
    lazy: Mapping[str, str] = {
        "flows": "dcipher.cli.runs.flow_commands",
        "runs": "dcipher.cli.runs.run_commands",
        "results": "dcipher.cli.results.commands",
        "journal": "dcipher.cli.batch.journal_commands",
        "emulator": "dcipher.cli.emulator.commands",
        "doctor": "dcipher.cli.doctor.doctor",
        "config": "dcipher.cli.doctor.config",
        "whoami": "dcipher.cli.doctor.whoami",
        "demo": "dcipher.cli.demo",
        "completion": "dcipher.cli.completion.commands",
        "version": "dcipher.cli.version",
    }


app: App = App(
    "Run Dcipher flows from the shell. The API key comes from DCIPHER_API_KEY, --env-file or "
    "--api-key-file.",
    cls=_Root,
)


def _version(value: bool) -> None:
    if value:
        print(f"dcipher {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def dcipher(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Run Dcipher flows from the shell.

    The API key comes from DCIPHER_API_KEY, from a .env file (--env-file) or from a file or standard
    input (--api-key-file).
    """
    del version
