"""The page that `--help` prints.

Typer's own changes with its versions and with the terminal; this one is also printed into the
documentation.
"""

from __future__ import annotations

import inspect
import shutil
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["page"]


def page(command: Any, ctx: Any, shared: Sequence[Any]) -> str:
    """The help of `command`; `shared` are the global options, which come last."""
    width = min(100, max(40, shutil.get_terminal_size((100, 24)).columns))
    return "\n\n".join(part for part in _parts(command, ctx, shared, width) if part)


def _parts(command: Any, ctx: Any, shared: Sequence[Any], width: int) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    own = [p for p in command.params if p.param_type_name == "option" and p not in shared]
    is_group = hasattr(command, "list_commands")
    pieces = [ctx.command_path, *(["[OPTIONS]"] if own or shared else [])]
    pieces += ["COMMAND …"] if is_group else [_placeholder(p) for p in arguments]
    yield "Usage: " + " ".join(pieces)
    yield "\n\n".join(_filled(command.help or "", width))
    if is_group:
        yield _section("Commands", list(_commands(command, ctx)), width)
    yield _section("Arguments", [(_placeholder(p), p.help or "") for p in arguments], width)
    yield _section("Options", [_row(p) for p in own if not p.hidden], width)
    rows = [_row(p) for p in shared if not p.hidden] + [("--help", "Show this page.")]
    if ctx.parent is None:
        yield _section("Global options, before or after the command", rows, width)
    else:
        names = ", ".join(name for name, _ in rows)
        line = f"Global options (see dcipher --help): {names}"
        yield textwrap.fill(line, width, subsequent_indent="  ", break_on_hyphens=False)
    yield command.epilog or ""


def _filled(text: str, width: int) -> Iterator[str]:
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        # What is indented (an example) stays as it is.
        keep = paragraph.startswith((" ", "\b"))
        yield (
            paragraph
            if keep
            else textwrap.fill(paragraph, width, break_long_words=False, break_on_hyphens=False)
        )


def _placeholder(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    name += "…" if argument.nargs == -1 else ""
    return name if argument.required else f"[{name}]"


def _commands(group: Any, ctx: Any) -> Iterator[tuple[str, str]]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is not None and not command.hidden:
            yield name, inspect.cleandoc(command.help or "").partition("\n\n")[0].replace("\n", " ")


def _row(option: Any) -> tuple[str, str]:
    names = ", ".join(sorted(option.opts, key=len))
    if option.secondary_opts:
        names += f" / {', '.join(option.secondary_opts)}"
    if not option.is_flag and not getattr(option, "count", False):
        names += f" {option.metavar or option.name.upper()}"
    text = " ".join((option.help or "").split())
    default = option.default
    if isinstance(default, (str, int, float)) and not isinstance(default, bool):
        text += f" [default: {default}]"
    elif option.secondary_opts and isinstance(default, bool):
        text += f" [default: {(option.opts if default else option.secondary_opts)[0].lstrip('-')}]"
    return names, text + (" [required]" if option.required else "")


def _section(title: str, rows: Sequence[tuple[str, str]], width: int) -> str:
    if not rows:
        return ""
    column = min(28, max(len(name) for name, _ in rows))
    lines = [f"{title}:"]
    for name, text in rows:
        lines += _entry(name, text, column, width)
    return "\n".join(lines)


def _entry(name: str, text: str, column: int, width: int) -> Iterator[str]:
    indent = " " * (column + 4)
    wrapped = textwrap.wrap(
        text, max(20, width - len(indent)), break_long_words=False, break_on_hyphens=False
    )
    if len(name) > column:
        yield f"  {name}"
    else:
        yield f"  {name:<{column}}  {wrapped.pop(0) if wrapped else ''}".rstrip()
    yield from (indent + line for line in wrapped)
