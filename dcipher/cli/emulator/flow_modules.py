"""`--flows module:name`: the flows of a user's own module, for an emulator."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.cli.terminal.failures import CommandError

if TYPE_CHECKING:
    from types import ModuleType

    from dcipher.emulator import Emulator

__all__ = ["add_flows"]


def add_flows(emulator: Emulator, place: str) -> None:
    """Register what `place` names: a `Flows`, or a function that is given the emulator.

    Raises `CommandError`: there is no such module or name, or the module fails.
    """
    from dcipher.emulator import Flows

    module_name, _, name = place.partition(":")
    if module_name.endswith(".py") or "/" in module_name:
        stem = Path(module_name).stem
        raise _wrong(
            f"{module_name!r} is a file; name the module, from the folder that it is in: "
            f"--flows {stem}:{name or 'flows'}"
        )
    module = _imported(module_name)
    name = name or "flows"
    found: Any = getattr(module, name, None)
    if isinstance(found, Flows):
        add: Any = emulator.add_flows
        given: Any = found
    elif callable(found) and not isinstance(found, type):
        add, given = found, emulator
    else:
        what = "is no Flows and no function" if hasattr(module, name) else "is not there"
        raise _wrong(f"{name!r} {what} in {module_name}, which has {_listed(module)}")
    try:
        with redirect_stdout(sys.stderr):
            add(given)
    except Exception as error:
        raise _wrong(f"{place}: {_words(error)}") from error


def _imported(name: str) -> ModuleType:
    # A console script does not have the working directory on the path, as `python -m` does.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        # What a module prints is none of our data.
        with redirect_stdout(sys.stderr):
            return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _wrong(f"{name} cannot be imported: {_words(error)}") from error
        modules = sorted(path.stem for path in Path.cwd().glob("*.py"))
        listed = f"; this folder has {', '.join(modules[:10])}" if modules else ""
        raise _wrong(f"there is no module {name!r} here{listed}") from None
    except (Exception, SystemExit) as error:
        raise _wrong(f"{name} cannot be imported: {_words(error)}") from error


def _listed(module: ModuleType) -> str:
    from dcipher.emulator import Flows

    flows = [name for name, value in vars(module).items() if isinstance(value, Flows)]
    functions = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    found = list(dict.fromkeys((*flows, *functions)))
    return ", ".join(found[:10]) or "nothing of the kind (flows = dcipher.emulator.Flows())"


def _words(error: BaseException) -> str:
    """An error of the user's own code, and the line that it comes from."""
    trace = error.__traceback__
    place = ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<") and Path(file).is_relative_to(Path.cwd()):
            place = f" ({Path(file).name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        place = f" ({Path(error.filename or '').name}, line {error.lineno})"
        return f"SyntaxError: {error.msg}{place}"
    return f"{type(error).__name__}: {error}{place}"


def _wrong(text: str) -> CommandError:
    return CommandError(f"--flows: {text}.", ExitCode.USAGE)
