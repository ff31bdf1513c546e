"""The global options, before or after the command."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["Options", "declared"]


@dataclass
class Options:
    """The values of the global options."""

    json: bool = False
    jsonl: bool = False
    quiet: bool = False
    base_url: str | None = None
    env_file: Path | None = None
    api_key_file: Path | None = None
    verbose: bool = False

    def update(self, given: dict[str, Any]) -> None:
        """Sets the given values; a later one takes precedence."""
        for name, value in given.items():
            if value is not None and value is not False:
                # typer converts the arguments of functions; no function is called with these.
                setattr(self, name, Path(value) if name.endswith("_file") else value)


NAMES = tuple(field.name for field in fields(Options))


def _signature(
    json: Annotated[bool, typer.Option("--json", help="Print data as one JSON document.")] = False,
    jsonl: Annotated[
        bool,
        typer.Option("--jsonl", help="Print data as JSON lines, each as soon as it is available."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only ids, and no progress.")
    ] = False,
    base_url: Annotated[
        str | None,
        typer.Option(
            "--base-url", metavar="URL", help="The URL of the API, instead of DCIPHER_BASE_URL."
        ),
    ] = None,
    env_file: Annotated[
        str | None,
        typer.Option(
            "--env-file", metavar="FILE", help="Also read DCIPHER_* from this file (.env)."
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
            "--verbose", "-v", help="Print the log of the library and tracebacks on stderr."
        ),
    ] = False,
) -> None:
    """Is never called: typer creates the options from its signature."""
    del json, jsonl, quiet, base_url, env_file, api_key_file, verbose


def declared() -> list[Any]:
    """Returns the global options, as created by typer."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(_signature)
    return list(typer.main.get_command(app).params)
