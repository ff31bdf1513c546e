"""What code that was written for 0.3.5 meets: a line that says what to write instead."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FormerAttributes",
    "former_arguments",
    "former_attribute",
    "former_item",
    "former_name",
    "former_places",
    "refuse_former",
]

F = TypeVar("F", bound="Callable[..., Any]")

ARGUMENTS = {
    "wait_until_completion": "run_flow waits now: leave wait_until_completion out. What starts a run and does not "
    "wait for it is client.flows.start(flow_id, params).",
    "max_retries": "A client takes api_key alone without its name. What came second was max_retries: pass "
    "max_retries=…, which counts the attempts after the first, and so is one less than it was.",
}
ATTRIBUTES = {
    "BASE_URL": "pass base_url=… to the client, or set DCIPHER_BASE_URL",
    "api_key": "pass api_key=… to the client, or set DCIPHER_API_KEY; it cannot be read back",
    "max_retries": "pass max_retries=… to the client, or use client.with_options(max_retries=…); it counts the "
    "attempts after the first",
}
ITEMS = {
    "task_id": "run.task_id",
    "signed_response_url": "client.runs.download(run, path), client.runs.read(run) or run.outputs[0].url",
    "signed_response_urls": "client.runs.download(run, path), client.runs.read(run) or run.outputs",
}
NAMES = {
    "WorkflowFailedException": "import RunFailedError, or RunCancelledError, from dcipher",
    "TaskStatus": "import RunStatus from dcipher",
    "FAILED_TASK_STATUSES": "ask run.is_terminal and run.succeeded",
    "RETRIABLE_EXCEPTIONS": "what is retried is decided by Resilience, which is imported from dcipher",
    "setup_logger": "set DCIPHER_LOG, or the level of logging.getLogger('dcipher')",
    "logger": "use logging.getLogger('dcipher')",
}


def former_arguments(function: F) -> F:
    """Lets `run_flow` say what became of the arguments that it no longer takes."""
    is_async = inspect.iscoroutinefunction(function)

    def check(given: tuple[object, ...], named: dict[str, object]) -> None:
        # The fourth one, after self: a place that it may have been passed at.
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


def former_places(init: F) -> F:
    """Lets a client say what the second argument was, which has a name now."""

    @functools.wraps(init)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if len(args) == 3:  # with self
            raise TypeError(ARGUMENTS["max_retries"])
        return init(*args, **kwargs)

    wrapper: Any = checked
    return wrapper  # type: ignore[no-any-return]


def refuse_former(cls: type) -> None:
    """Raises AttributeError for a class that has what clients had, such as another `BASE_URL`.

    It would have no effect: key and requests would go where nobody meant them to go. A property of
    that name is the program's own.
    """
    for name, advice in ATTRIBUTES.items():
        found = inspect.getattr_static(cls, name, None)
        if found is not None and not hasattr(found, "__get__"):
            raise AttributeError(
                f"{name} of the class {cls.__name__!r} has no effect: {advice}", name=name, obj=cls
            )


def former_attribute(owner: object, name: str) -> AttributeError:
    """Returns the error for an attribute that a client does not have."""
    kind = type(owner).__name__
    advice = f": {ATTRIBUTES[name]}" if name in ATTRIBUTES else ""
    return AttributeError(
        f"{kind!r} object has no attribute {name!r}{advice}", name=name, obj=owner
    )


def former_item(key: object) -> TypeError:
    """Returns the error for a run that is read as the dictionary which it was."""
    instead = ITEMS.get(key) if isinstance(key, str) else None
    words = f"write {instead}" if instead else "write run.task_id, run.status, …"
    return TypeError(f"A Run is no dictionary: {words}.")


def former_name(module: str, name: str) -> Exception:
    """Returns the error for a name that is imported from a module of 0.3.5."""
    if name.startswith("__"):
        return AttributeError(name)
    # An ImportError, for `from dcipher.client import …` would hide the words of another one.
    instead = NAMES.get(name, f"import {name} from dcipher")
    return ImportError(f"{module} was a module of dcipher 0.3.5: {instead}.", name=module)


class FormerAttributes:
    """A client, as seen by code that reads or sets what it had."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_former(cls)

    if not TYPE_CHECKING:  # for a type checker, a name that is not there is not there

        def __getattr__(self, name: str) -> Any:
            raise former_attribute(self, name)

        def __setattr__(self, name: str, value: object) -> None:
            # It would have no effect: requests would go where nobody meant them to go.
            if name in ATTRIBUTES:
                raise former_attribute(self, name)
            super().__setattr__(name, value)
