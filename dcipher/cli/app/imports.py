"""Imports of the user's own code: `--model models:Topic`, `--flows shop`."""

from __future__ import annotations

import inspect
import sys
from contextlib import redirect_stdout
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from dcipher._masking.text import clean
from dcipher.cli.terminal.errors import CommandError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__all__ = ["described", "import_name", "import_user_module", "listed"]

_MOST = 12
"""The number of names that an error lists."""


def import_name(spec: str, option: str) -> object:
    """Imports the object that `module:name` names. Raises `CommandError`."""
    module_name, _, path = spec.partition(":")
    valid = all(part.isidentifier() for part in f"{module_name}.{path}".split("."))
    if not valid or module_name.endswith(".py"):
        raise UsageError(
            f"{option} is MODULE:NAME, such as {option} models:Topic, not {clean(spec)!r}.",
            next_step=f"{option} {_guess(module_name)}:{path or 'NAME'}",
        )
    found: object = import_user_module(module_name, option)
    for name in path.split("."):
        if not hasattr(found, name):
            raise _no_name(module_name, found, name, option)
        found = getattr(found, name)
    return found


def _guess(module_name: str) -> str:
    guess = module_name.removesuffix(".py").strip("./").replace("/", ".")
    return guess if all(part.isidentifier() for part in guess.split(".")) else "MODULE"


def import_user_module(name: str, option: str) -> ModuleType:
    """Imports a module, also from the working directory. Raises `CommandError`."""
    folder = str(Path.cwd())
    if folder not in sys.path:  # as with `python -m`, but not with a console script
        sys.path.insert(0, folder)
    try:
        with redirect_stdout(sys.stderr):  # what a module prints is not our data
            return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise _no_module(name, option) from error
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise _broken(name, error) from error


def _broken(name: str, error: BaseException) -> CommandError:
    return UsageError(
        f"The module {name} cannot be imported: {clean(described(error))}.",
        next_step=f"python -c 'import {name}'",
    )


def described(error: BaseException) -> str:
    """Returns an error of the user's code, with the file and the line in the working directory."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(Path.cwd()):
            place = f" ({file.name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    text = str(error)
    if isinstance(error, SyntaxError):
        text, place = error.msg, f" ({Path(error.filename or '').name}, line {error.lineno})"
    return f"{type(error).__name__}: {text}{place}"


def _no_module(name: str, option: str) -> CommandError:
    here = sorted(path.stem for path in Path.cwd().glob("*.py") if path.stem.isidentifier())
    near = get_close_matches(name, here, 1)
    others = f"The modules here are {listed(here)}." if here else "There are no modules here."
    return UsageError(
        f"There is no module {name}, neither in {Path.cwd()} nor installed. {others}",
        next_step=f"{option} {near[0]}:NAME" if near else None,
    )


def _no_name(module_name: str, holder: object, name: str, option: str) -> CommandError:
    names = _types_in(holder)
    near = get_close_matches(name, names, 1)
    others = f"Its types are {listed(names)}." if names else "It defines no types."
    return UsageError(
        f"{module_name} has no {name!r}. {others}",
        next_step=f"{option} {module_name}:{near[0]}" if near else None,
    )


def _types_in(holder: object) -> list[str]:
    # Its own, not the imported ones.
    own = getattr(holder, "__name__", None)
    return sorted(
        name
        for name, value in vars(holder).items()
        if not name.startswith("_")
        and inspect.isclass(value)
        and (inspect.isclass(holder) or value.__module__ == own)
    )


def listed(names: Sequence[str]) -> str:
    """Returns names as a list for an error, shortened if there are many."""
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(clean(name, 64) for name in names[:_MOST]) + more
