"""Runs an emulator during a command: its options, its flows, its files."""

from __future__ import annotations

import logging
import os
import re
import sys
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from functools import partial, reduce, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcipher.cli.app.imports import described, import_user_module, listed
from dcipher.cli.app.options import option
from dcipher.cli.state.folder import write_private
from dcipher.cli.state.running_emulators import RunningEmulator, registered, running_emulators
from dcipher.cli.terminal.errors import CommandError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import ModuleType

    from dcipher.cli.app.invocation import Invocation
    from dcipher.emulator import Emulator

__all__ = ["emulator_options", "launched_emulator", "missing_extra"]

_TIME = "Seconds on the emulator's clock"

_OPTIONS = (
    option("--host HOST", "The address to listen on.", default="127.0.0.1"),
    option("--port N", "The port. 0: a free one. Default: 8787; for exec, a free one."),
    option("--allow-remote", "Permit a --host that is not a loopback address."),
    option(
        "--flows MODULE[:NAME]",
        "Your own flows: a dcipher.emulator.Flows (default name: flows), or a function that is "
        "called with the emulator. Modules in the working directory can be imported. Can be repeated.",
        multiple=True,
    ),
    option(
        "--samples/--no-samples sample_flows",
        "Register the flows keywords, topics and language-stats.",
        default=True,
    ),
    option(
        "--state-dir DIR",
        "Store runs, results, the API key and URLs in this folder, for the next start.",
    ),
    option("--seed N", "Make task ids and faults repeatable."),
    option(
        "--time-scale X", "The speed of its clock. With 60, a minute takes a second.", default=1.0
    ),
    option("--queue-time SECONDS", f"{_TIME} in each of PENDING and QUEUED.", default=0.02),
    option("--run-time min_run_time SECONDS", f"{_TIME} in RUNNING, at least.", default=0.0),
    option("--rate X", "The rate limit, in requests per second. More get a 429."),
    option("--require-signature", "Reject requests without a signature."),
    option("--api-secret-file FILE", "The file with the secret that verifies signatures."),
    option("--no-idempotency", "Ignore Idempotency-Key."),
    option(
        "--ready-file FILE",
        "Write url, api_key, console and pid to this file (JSON, mode 0600) when it is ready. "
        "It is removed at the end.",
    ),
)


def emulator_options(command: Callable[..., None]) -> Callable[..., None]:
    """Decorates a command with the options of an emulator, which it receives as `options`."""

    @wraps(command)
    def called(call: Invocation, /, **options: Any) -> None:
        own = {name: options.pop(name) for name in ("command",) if name in options}
        command(call, options=options, **own)

    return reduce(lambda function, option: option(function), reversed(_OPTIONS), called)


@contextmanager
def launched_emulator(
    call: Invocation, options: dict[str, Any], *, port: int, registers: bool
) -> Generator[tuple[RunningEmulator, str | None]]:
    """Runs an emulator during the block. Yields its description and secret. Raises `CommandError`."""
    flows, ready_file, secret_file = map(options.pop, ("flows", "ready_file", "api_secret_file"))
    secret = _text_of(secret_file, "--api-secret-file")
    if options["port"] is None:
        options["port"] = port
    emulator = _created(call, options, secret)
    for spec in flows:
        add_flows(emulator, spec)
    with ExitStack() as stack:
        # Prints its warnings, such as a full disk.
        handler, logger = logging.StreamHandler(), logging.getLogger("dcipher.emulator")
        handler.setLevel(logging.WARNING)
        logger.addHandler(handler)
        stack.callback(logger.removeHandler, handler)
        try:
            emulator.start()
        except OSError as error:
            raise _start_error(error) from error
        stack.callback(emulator.stop)
        where = RunningEmulator(
            url=emulator.url,
            api_key=emulator.api_key,
            console=emulator.console,
            pid=os.getpid(),
            api_secret_file=None
            if secret_file is None or str(secret_file) == "-"
            else str(secret_file.absolute()),
        )
        if registers:
            try:
                stack.enter_context(registered(where))
            except OSError as error:
                call.output.warn(
                    "warning: `dcipher emulator env` will not find this emulator: "
                    f"{error.strerror}."
                )
        if ready_file is not None:
            stack.enter_context(_ready_file(ready_file, where))
        yield where, secret


def _created(call: Invocation, options: dict[str, Any], secret: str | None) -> Emulator:
    try:
        from dcipher.emulator import Emulator

        # The other options have the names of its arguments.
        idempotency = not options.pop("no_idempotency")
        key = _text_of(call.options.api_key_file, "--api-key-file")
        return Emulator(api_key=key, api_secret=secret, idempotency=idempotency, **options)
    except ImportError as error:
        raise missing_extra(error) from error
    except ValueError as error:
        raise UsageError(_in_the_shell(str(error))) from error


def missing_extra(error: ImportError) -> CommandError:
    """Returns the error if the libraries of the emulator are not installed."""
    from dcipher._extras.installation import install

    return UsageError(f"{str(error).partition(':')[0]}.", next_step=install("cli", "emulator"))


def _start_error(error: OSError) -> CommandError:
    text = error.strerror or str(error)
    found = re.search(r" port (\d+) \(", text)
    if found is None:
        return CommandError(text)
    mine = [one for one in running_emulators() if one.url.endswith(f":{found[1]}")]
    owner = f" An emulator of yours runs there (process {mine[0].pid})." if mine else ""
    end = f"kill {mine[0].pid}" if mine else "end what listens there"
    return CommandError(
        f"{text.partition('; try')[0]}.{owner}",
        next_step=f"{end}, or the same command with --port 0 for a free one",
    )


def _text_of(path: Path | None, option: str) -> str | None:
    if path is None:
        return None
    from dcipher.cli.app.invocation import read_text

    text = read_text(path, option).strip()
    if not text:
        raise UsageError(f"{option}: {path} is empty.")
    return text


@contextmanager
def _ready_file(path: Path, where: RunningEmulator) -> Generator[None]:
    try:
        write_private(path, where.to_json())
    except OSError as error:
        raise CommandError(f"--ready-file: {path} cannot be written: {error.strerror}.") from error
    try:
        yield
    finally:
        with suppress(OSError):
            if path.read_text("utf-8") == where.to_json():  # unless another command has replaced it
                path.unlink()


# The errors of the emulator name its arguments.
_OPTION_OF_ARGUMENT = {
    "min_run_time": "--run-time",
    "queue_time": "--queue-time",
    "time_scale": "--time-scale",
    "require_signature": "--require-signature",
    "an api_secret": "--api-secret-file",
    "allow_remote=True": "--allow-remote",
    "state_dir": "--state-dir",
    "The emulator's api_key": "--api-key-file: the emulator's key",
}


def _in_the_shell(text: str) -> str:
    for argument, name in _OPTION_OF_ARGUMENT.items():
        text = text.replace(argument, name)
    return re.sub(r"^(rate|port|seed) must", r"--\1 must", text)


def add_flows(emulator: Emulator, spec: str) -> None:
    """Registers a `Flows`, or calls a function with the emulator. Raises `CommandError`."""
    from dcipher.emulator import Flows

    module_name, _, name = spec.partition(":")
    name = name or "flows"
    if module_name.endswith(".py") or "/" in module_name:
        raise _error(
            f"{module_name!r} is a file. Name the module, from its folder: --flows "
            f"{Path(module_name).stem}:{name}"
        )
    module = import_user_module(module_name, "--flows")
    found: object = getattr(module, name, None)
    add: Callable[[], object]
    if isinstance(found, Flows):
        add = partial(emulator.add_flows, found)
    elif callable(found) and not isinstance(found, type):
        add = partial(found, emulator)
    else:
        what = "is not a Flows or a function" if hasattr(module, name) else "does not exist"
        raise _error(f"{name!r} {what} in {module_name}, which has {_candidates(module)}")
    try:
        with redirect_stdout(sys.stderr):
            add()
    except Exception as error:
        raise _error(f"{spec}: {described(error)}") from error


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
    return UsageError(f"--flows: {text}.")
