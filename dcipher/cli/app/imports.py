"""A name in the user's own code, such as `--model models:Topic`."""

from __future__ import annotations

import inspect
import sys
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from dcipher._masking.text import clean
from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.cli.terminal.failures import CommandError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["import_name"]

_SHOWN = 12  # names that an error lists


def import_name(spec: str, option: str) -> object:
    """What `module:name` names; the module may lie in the current folder.

    Raises `CommandError`, which lists what there is, and what the module raised.
    """
    module_name, _, path = spec.partition(":")
    named = all(part.isidentifier() for part in f"{module_name}.{path}".split("."))
    if not named or module_name.endswith(".py"):
        raise _unusable(
            f"{option} is MODULE:NAME, such as {option} models:Topic, not {clean(spec)!r}.",
            f"{option} {_guess(module_name)}:{path or 'NAME'}",
        )
    found: object = _module(module_name, option)
    for name in path.split("."):
        if not hasattr(found, name):
            raise _no_name(module_name, found, name, option)
        found = getattr(found, name)
    return found


def _guess(module_name: str) -> str:
    guess = module_name.removesuffix(".py").strip("./").replace("/", ".")
    return guess if all(part.isidentifier() for part in guess.split(".")) else "MODULE"


def _module(name: str, option: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:  # as `python -m` has it, and a console script has not
        sys.path.insert(0, folder)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise _no_module(name, option) from error
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:  # anyone's code: it may raise anything
        raise _broken(name, error) from error


def _broken(name: str, error: BaseException) -> CommandError:
    said = clean(f"{type(error).__name__}: {error}")
    return _unusable(f"The module {name} cannot be imported: {said}.", f"python -c 'import {name}'")


def _no_module(name: str, option: str) -> CommandError:
    here = sorted(path.stem for path in Path.cwd().glob("*.py") if path.stem.isidentifier())
    near = get_close_matches(name, here, 1)
    listed = f"The modules here are {_listed(here)}." if here else "There are no modules here."
    return _unusable(
        f"There is no module {name}, neither in {Path.cwd()} nor installed. {listed}",
        f"{option} {near[0]}:NAME" if near else None,
    )


def _no_name(module_name: str, holder: object, name: str, option: str) -> CommandError:
    names = _types_in(holder)
    near = get_close_matches(name, names, 1)
    listed = f"Its types are {_listed(names)}." if names else "It defines no types."
    return _unusable(
        f"{module_name} has no {name!r}. {listed}",
        f"{option} {module_name}:{near[0]}" if near else None,
    )


def _types_in(holder: object) -> list[str]:
    # Its own, not those that it imports.
    own = getattr(holder, "__name__", None)
    return sorted(
        name
        for name, value in vars(holder).items()
        if not name.startswith("_")
        and inspect.isclass(value)
        and (inspect.isclass(holder) or value.__module__ == own)
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(clean(name, 64) for name in names[:_SHOWN]) + more


def _unusable(message: str, next_step: str | None) -> CommandError:
    return CommandError(message, ExitCode.USAGE, next_step=next_step)
