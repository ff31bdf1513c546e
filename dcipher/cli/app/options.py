"""The global options, before or after the command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

__all__ = ["PATH", "Options", "global_options"]

PATH = click.Path(path_type=Path)


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


def _store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Sets an option. The one after the command takes precedence, because it is parsed later."""
    if value and not ctx.resilient_parsing:
        setattr(ctx.obj.options, str(param.name), value)


def global_options() -> list[click.Parameter]:
    """Returns the global options of a command."""
    return [
        _option("--json", is_flag=True, help="Print data as one JSON document."),
        _option(
            "--jsonl",
            is_flag=True,
            help="Print data as JSON lines, each as soon as it is available.",
        ),
        _option("--quiet", "-q", is_flag=True, help="Print only ids, and no progress."),
        _option(
            "--base-url", metavar="URL", help="The URL of the API, instead of DCIPHER_BASE_URL."
        ),
        _option(
            "--env-file",
            metavar="FILE",
            type=PATH,
            help="Also read DCIPHER_* from this file (.env).",
        ),
        _option(
            "--api-key-file",
            metavar="FILE|-",
            type=PATH,
            help="Read the API key from this file, or from standard input, instead of "
            "DCIPHER_API_KEY.",
        ),
        _option(
            "--verbose",
            "-v",
            is_flag=True,
            help="Print the log of the library and tracebacks on stderr.",
        ),
    ]


def _option(*names: str, **settings: Any) -> click.Option:
    return click.Option(names, expose_value=False, callback=_store, **settings)
