"""The global options: they stand before the command, or after it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["Options", "declared"]


@dataclass
class Options:
    """What was given of the global options."""

    json: bool = False
    jsonl: bool = False
    quiet: bool = False
    base_url: str | None = None
    env_file: Path | None = None
    api_key_file: Path | None = None
    verbose: bool = False

    def update(self, given: dict[str, Any]) -> None:
        """Take what was given; the last of two wins."""
        for name, value in given.items():
            if value is not None and value is not False:
                # typer converts what a function is called with, and none is called with these.
                setattr(self, name, Path(value) if name.endswith("_file") else value)


NAMES = tuple(field.name for field in fields(Options))


def _signature(
    json: Annotated[bool, typer.Option("--json", help="Print data as one JSON document.")] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Print data as JSON lines, each as soon as it is known.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print ids alone, and no progress.")
    ] = False,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", metavar="URL", help="The API, instead of DCIPHER_BASE_URL."),
    ] = None,
    env_file: Annotated[
        str | None,
        typer.Option(
            "--env-file", metavar="FILE", help="Read DCIPHER_* from this file, too (.env)."
        ),
    ] = None,
    api_key_file: Annotated[
        str | None,
        typer.Option(
            "--api-key-file",
            metavar="FILE|-",
            help="Read the API key from this file, or from standard input, instead of "
            "DCIPHER_API_KEY.",
        ),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Show the library's log, and tracebacks of errors, on stderr."
        ),
    ] = False,
) -> None:
    """Never called: typer makes the options of it."""
    del json, jsonl, quiet, base_url, env_file, api_key_file, verbose


def declared() -> list[Any]:
    """The global options, as typer makes them."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(_signature)
    return list(typer.main.get_command(app).params)
