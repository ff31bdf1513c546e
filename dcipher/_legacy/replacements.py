"""Errors for code that was written for 0.3.5. Each names the replacement."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LegacyAttributes",
    "check_legacy_arguments",
    "check_legacy_positions",
    "legacy_attribute",
    "legacy_item",
    "legacy_name",
    "legacy_run_attribute",
    "reject_legacy",
]

F = TypeVar("F", bound="Callable[..., Any]")

ARGUMENTS = {
    "wait_until_completion": "run_flow always waits: remove wait_until_completion. To start a run without waiting "
    "for it, call client.flows.start(flow_id, params).",
    "max_retries": "A client accepts only api_key as a positional argument. The second one was max_retries: pass "
    "max_retries=…, which counts the attempts after the first, so it is one less than in 0.3.5.",
}
ATTRIBUTES = {
    "BASE_URL": "pass base_url=… to the client, or set DCIPHER_BASE_URL",
    "api_key": "pass api_key=… to the client, or set DCIPHER_API_KEY; it cannot be read back",
    "max_retries": "pass max_retries=… to the client, or to client.with_options; it counts the attempts after the "
    "first",
}
ITEMS = {
    "task_id": "run.task_id",
    "signed_response_url": "client.runs.download(run, path), client.runs.read(run) or run.outputs[0].url",
    "signed_response_urls": "client.runs.download(run, path), client.runs.read(run) or run.outputs",
}
NAMES = {
    "WorkflowFailedException": "import RunFailedError, or RunCancelledError, from dcipher",
    "TaskStatus": "import RunStatus from dcipher, where CANCEL_FAILED is CANCELFAILED",
    "FAILED_TASK_STATUSES": "use run.is_terminal and run.succeeded",
    "RETRIABLE_EXCEPTIONS": "pass a retry policy: import Resilience from dcipher",
    "setup_logger": "set DCIPHER_LOG, or the level of logging.getLogger('dcipher')",
    "LOG_LEVEL": "set DCIPHER_LOG, or the level of logging.getLogger('dcipher')",
    "logger": "use logging.getLogger('dcipher')",
}


def check_legacy_arguments(function: F) -> F:
    """Decorates `run_flow` to raise an error for its former arguments, with the replacement."""
    is_async = inspect.iscoroutinefunction(function)

    def check(given: tuple[object, ...], named: dict[str, object]) -> None:
        # It may have been passed as the fourth positional argument after self.
        if "wait_until_completion" in named or len(given) == 5:
            raise TypeError(ARGUMENTS["wait_until_completion"])

    @functools.wraps(function)
    async def async_checked(*args: Any, **kwargs: Any) -> Any:
        check(args, kwargs)
        return await function(*args, **kwargs)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        check(args, kwargs)
        return function(*args, **kwargs)

    wrapper: Any = async_checked if is_async else checked
    return wrapper  # type: ignore[no-any-return]


def check_legacy_positions(init: F) -> F:
    """Decorates a client's `__init__` to raise an error for the former second argument."""

    @functools.wraps(init)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if len(args) == 3:  # with self
            raise TypeError(ARGUMENTS["max_retries"])
        return init(*args, **kwargs)

    wrapper: Any = checked
    return wrapper  # type: ignore[no-any-return]


def reject_legacy(cls: type) -> None:
    """Raises AttributeError for a subclass that sets a former attribute, such as `BASE_URL`.

    It would have no effect, and requests with the key would be sent elsewhere than intended. A
    property of that name is permitted.
    """
    for name, advice in ATTRIBUTES.items():
        found = inspect.getattr_static(cls, name, None)
        if found is not None and not hasattr(found, "__get__"):
            raise AttributeError(
                f"{name} of the class {cls.__name__!r} has no effect: {advice}", name=name, obj=cls
            )


def legacy_attribute(owner: object, name: str) -> AttributeError:
    """Returns the error for an attribute that a client, or its class, does not have."""
    kind = f"{type(owner).__name__!r} object"
    if isinstance(owner, type):
        kind = f"type object {owner.__name__!r}"
    advice = f": {ATTRIBUTES[name]}" if name in ATTRIBUTES else ""
    return AttributeError(f"{kind} has no attribute {name!r}{advice}", name=name, obj=owner)


def legacy_item(key: object) -> TypeError:
    """Returns the error for a run that is used as a dictionary, as in 0.3.5."""
    instead = ITEMS.get(key) if isinstance(key, str) else None
    return TypeError(f"A Run is not a dictionary: use {instead or 'run.task_id, run.status, …'}.")


def legacy_run_attribute(run: object, name: str) -> AttributeError:
    """Returns the error for an attribute that a run does not have: a key of 0.3.5, or `keys()`."""
    is_former = name in ITEMS or (hasattr(dict, name) and not name.startswith("_"))
    advice = f". {legacy_item(name)}" if is_former else ""
    return AttributeError(f"'Run' object has no attribute {name!r}{advice}", name=name, obj=run)


def legacy_name(module: str, name: str) -> Exception:
    """Returns the error for a name that is imported from a module of 0.3.5."""
    if name.startswith("__"):
        return AttributeError(name)
    # An ImportError: `from dcipher.client import …` would hide the message of another error.
    import dcipher

    known = "import what you need from dcipher" if name == "*" else "see `help(dcipher)`"
    known = f"import {name} from dcipher" if name in dcipher.__all__ else known
    instead = NAMES.get(name, known)
    return ImportError(f"{module} was a module of dcipher 0.3.5: {instead}.", name=module)


class _OfClass:
    """An attribute that a class had in 0.3.5."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, owner: object, kind: type) -> object:
        raise legacy_attribute(kind if owner is None else owner, self._name)


class LegacyAttributes:
    """Raises errors for attributes that clients had in 0.3.5."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        reject_legacy(cls)

    if not TYPE_CHECKING:  # a type checker must report an unknown name
        BASE_URL = _OfClass("BASE_URL")

        def __getattr__(self, name: str) -> Any:
            raise legacy_attribute(self, name)

        def __setattr__(self, name: str, value: object) -> None:
            # It would have no effect: requests would be sent elsewhere than intended.
            if name in ATTRIBUTES:
                raise legacy_attribute(self, name)
            super().__setattr__(name, value)
