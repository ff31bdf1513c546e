"""Declarations of options, and the global options, before or after the command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PATH", "Options", "global_options", "option", "split_declaration"]

F = TypeVar("F", bound="Callable[..., Any] | click.Command")

PATH = click.Path(path_type=Path)
_TYPES = {
    **dict.fromkeys(("FILE", "FILE|-", "DIR"), PATH),
    "N": int,
    **dict.fromkeys(("X", "P", "SECONDS"), float),
}


def option(declaration: str, help: str, **settings: Any) -> Callable[[F], F]:  # noqa: A002
    """Decorates a command with an option, such as `option("--port -p N", "The port.")`.

    The declaration has the names of the option, the parameter if its name differs, and the metavar,
    which determines the type. An option without a metavar is a flag.
    """
    names, settings = _parsed(declaration, help, settings)
    return click.option(*names, **settings)


def _parsed(
    declaration: str, text: str, settings: dict[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    names, metavar = split_declaration(declaration)
    own: dict[str, Any] = {"help": text}
    if metavar is not None:
        own |= {"metavar": metavar, "type": _TYPES.get(metavar)}
    elif "/" not in declaration and "type" not in settings:
        own["is_flag"] = True
    return names, {**own, **settings}


def split_declaration(declaration: str) -> tuple[list[str], str | None]:
    """Returns the names of a declaration, and its metavar, which begins with an upper-case letter."""
    words = declaration.split()
    count = sum(not word[0].isupper() for word in words)
    return words[:count], " ".join(words[count:]) or None


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
        _option("--json", "Print data as one JSON document."),
        _option("--jsonl", "Print data as JSON lines, each as soon as it is available."),
        _option("--quiet -q", "Print only ids, and no progress."),
        _option("--base-url URL", "The URL of the API, instead of DCIPHER_BASE_URL."),
        _option("--env-file FILE", "Also read DCIPHER_* from this file (.env)."),
        _option(
            "--api-key-file FILE|-",
            "Read the API key from this file, or from standard input, instead of DCIPHER_API_KEY.",
        ),
        _option("--verbose -v", "Print the log of the library and tracebacks on stderr."),
    ]


def _option(declaration: str, text: str) -> click.Option:
    names, settings = _parsed(declaration, text, {})
    return click.Option(names, expose_value=False, callback=_store, **settings)
