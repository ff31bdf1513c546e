"""`--flows module:name`: registers the flows of a user's module with an emulator."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcipher.cli.app.imports import described, import_user_module, listed
from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.cli.terminal.failures import CommandError

if TYPE_CHECKING:
    from types import ModuleType

    from dcipher.emulator import Emulator

__all__ = ["add_flows"]


def add_flows(emulator: Emulator, place: str) -> None:
    """Registers a `Flows`, or calls a function with the emulator. Raises `CommandError`."""
    from dcipher.emulator import Flows

    module_name, _, name = place.partition(":")
    name = name or "flows"
    if module_name.endswith(".py") or "/" in module_name:
        raise _error(
            f"{module_name!r} is a file. Name the module, from its folder: --flows "
            f"{Path(module_name).stem}:{name}"
        )
    module = import_user_module(module_name, "--flows")
    found: Any = getattr(module, name, None)
    if isinstance(found, Flows):
        add: Any = emulator.add_flows
        given: Any = found
    elif callable(found) and not isinstance(found, type):
        add, given = found, emulator
    else:
        what = "is not a Flows or a function" if hasattr(module, name) else "does not exist"
        raise _error(f"{name!r} {what} in {module_name}, which has {_candidates(module)}")
    try:
        with redirect_stdout(sys.stderr):
            add(given)
    except Exception as error:
        raise _error(f"{place}: {described(error)}") from error


def _candidates(module: ModuleType) -> str:
    from dcipher.emulator import Flows

    flows = [name for name, value in vars(module).items() if isinstance(value, Flows)]
    functions = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    found = list(dict.fromkeys((*flows, *functions)))
    return listed(found) or "nothing of the kind (flows = dcipher.emulator.Flows())"


def _error(text: str) -> CommandError:
    return CommandError(f"--flows: {text}.", ExitCode.USAGE)
