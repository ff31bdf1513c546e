"""The messages of the command line for errors: what happened, to which run, and the next command."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import click

from dcipher import errors
from dcipher.cli.app.params import texts_like_json
from dcipher.cli.terminal.errors import CommandError, ExitCode, UsageError, exit_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dcipher.cli.state.followed_runs import FollowedRuns
    from dcipher.models import Run

__all__ = ["explain", "repeat_with", "wait_command"]


def explain(error: BaseException, followed: FollowedRuns | None = None) -> CommandError:
    """Converts an error to one of the command line. `followed` has the runs of the command."""
    if isinstance(error, CommandError):
        return error
    if isinstance(error, click.UsageError):
        return _usage_error(error)
    if isinstance(error, KeyboardInterrupt):
        return _interruption(followed, exit_code(error))
    message = _in_the_shell(error) or type(error).__name__
    run: Run | None = getattr(error, "run", None)
    details = {"type": type(error).__name__, **_details(error, run)}
    if isinstance(error, OSError) and not isinstance(error, errors.DcipherError):
        message = _of_the_system(error)
    next_step = _next_step(error, run, followed)
    return CommandError(message, exit_code(error), next_step=next_step, details=details)


def wait_command(runs: Sequence[Run]) -> str:
    """Returns the command that waits for these runs, in any directory."""
    flows = {run.flow_id for run in runs}
    lines: list[str] = []
    for flow in sorted(flows):
        tasks = [run.task_id for run in runs if run.flow_id == flow]
        words = [*tasks, "--flow", flow]
        if any(task.startswith("-") for task in tasks):  # a service chooses its ids
            words = ["--flow", flow, "--", *tasks]
        lines.append(shlex.join(["dcipher", "runs", "wait", *words]))
    return "; ".join(lines)


def _usage_error(error: click.UsageError) -> CommandError:
    """Returns the message for a command line that click rejects."""
    path = error.ctx.command_path if error.ctx is not None else "dcipher"
    message = error.format_message()
    if not message.endswith((".", "?", "!")):
        message += "."
    if path.endswith("flows run"):
        message += _as_param(message)
    return UsageError(message, next_step=f"{path} --help")


def _as_param(message: str) -> str:
    """Returns advice for `flows run FLOW name=text`, without -p."""
    found = re.search(r"unexpected extra arguments?(?:\(s\))? \((.*)\)\.$", message)
    words = found[1] if found else ""
    name, equals, _ = words.partition("=")
    if not equals or " " in name:
        return ""
    # The message does not tell where each of several words ends.
    param = f"{name}=…" if " " in words else shlex.quote(words)
    return f" A param is given with -p: -p {param}."


def _interruption(followed: FollowedRuns | None, code: ExitCode) -> CommandError:
    details: dict[str, Any] = {"type": "Interrupted"}
    message, next_step = "Interrupted.", None
    runs = [] if followed is None else [*followed.runs.values()]
    running = [run for run in runs if not run.is_terminal]
    if followed is not None and followed.start is not None:
        flow, key = followed.start
        message = (
            f"Interrupted before the response to the start of flow {flow}: the run may or may not "
            "have been started."
        )
        next_step = repeat_with(key)
        details |= {"flow_id": flow, "idempotency_key": key}
    elif running:
        names = ", ".join(f"{run.task_id} of flow {run.flow_id}" for run in running)
        message = f"Interrupted: run {names} {'continues' if len(running) == 1 else 'continue'}."
        next_step = _resume(running, followed)
        details |= _ids(running[0])
    elif runs:
        last = runs[-1]
        message = (
            f"Interrupted: run {last.task_id} of flow {last.flow_id} has ended ({last.status})."
        )
        next_step = _same_start(last)
        details |= _ids(last)
    return CommandError(message, code, next_step=next_step, details=details)


def repeat_with(key: str, option: str = "") -> str:
    """Returns the advice to repeat a start with its key, and another option."""
    options = f"{option} --idempotency-key {shlex.quote(key)}".lstrip()
    return f"repeat the command with {options} (it starts no second run)"


def _resume(runs: Sequence[Run], followed: FollowedRuns | None) -> str:
    """Returns the command that resumes the interrupted one. Without a start, a wait has no URLs of results."""
    saving = followed is not None and followed.saving
    return (_same_command(runs[0]) if saving else None) or wait_command(runs)


def _same_start(run: Run) -> str | None:
    """Returns the advice for getting the URLs of the results: the response to the same start repeats them."""
    same = _same_command(run) if run.succeeded else None
    return same and f"for its results, {same}"


def _same_command(run: Run) -> str | None:
    return None if run.idempotency_key is None else repeat_with(run.idempotency_key)


def _ids(run: Run) -> dict[str, Any]:
    return {"flow_id": run.flow_id, "task_id": run.task_id, "status": str(run.status)}


def _details(error: BaseException, run: Run | None) -> dict[str, Any]:
    details: dict[str, Any] = {} if run is None else _ids(run)
    for name in ("flow_id", "idempotency_key", "status_code", "request_id"):
        value: object = getattr(error, name, None)
        if value:
            details[name] = value
    return details


def _of_the_system(error: OSError) -> str:
    name = f"{error.filename}: " if isinstance(error.filename, str) else ""
    return f"{name}{error.strerror or str(error) or type(error).__name__}"


def _next_step(error: BaseException, run: Run | None, followed: FollowedRuns | None) -> str | None:
    from dcipher.cli.state.running_emulators import missing_key_advice, rejected_key_advice

    if isinstance(error, errors.MissingAPIKeyError):
        return missing_key_advice()
    if isinstance(error, errors.AuthenticationError | errors.PermissionDeniedError):
        return rejected_key_advice(error) or "dcipher doctor"
    if followed is not None and followed.start is not None and _of_params(error):
        return _params_advice(error, followed.start[0], followed.params)
    if run is None:
        return "dcipher doctor" if isinstance(error, errors.APIConnectionError) else None
    waits = isinstance(error, errors.WaitTimeoutError | errors.PollingInterruptedError)
    fails = isinstance(error, errors.APIError | errors.ResultError)
    if waits or (fails and not run.is_terminal):
        return _resume([run], followed)
    if isinstance(error, errors.APIError | errors.LocalStorageError):
        return _same_start(run)
    return None


def _of_params(error: BaseException) -> bool:
    """Returns whether the service rejected the params of a start, and not its idempotency key."""
    refused = isinstance(error, errors.BadRequestError | errors.UnprocessableEntityError)
    return refused and "idempotency" not in str(error).lower()


def _params_advice(error: BaseException, flow: str, params: Mapping[str, Any]) -> str:
    text = str(error)
    named = [name for name in texts_like_json(params) if re.search(rf"\b{re.escape(name)}\b", text)]
    hint = "".join(f"; {name}=… is text, for JSON write -p {name}:=…" for name in named)
    return f"{shlex.join(['dcipher', 'flows', 'get', flow])}{hint}"


def _in_the_shell(error: BaseException) -> str:
    """Returns the message of an error, with its advice for the command line."""
    text = str(error)
    if isinstance(error, errors.DcipherError) and error.hint:
        text = f"{text.removesuffix(error.hint)}{error.hint.cli}".strip()
    # Arguments are named as on the command line.
    for in_python, option in _OPTIONS:
        text = text.replace(in_python, option)
    return text


_OPTIONS = (("(base_url=…)", "(--base-url)"), ("idempotency_key must", "--idempotency-key must"))
