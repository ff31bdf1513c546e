"""Errors for code of 0.3.5 name the replacement."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import dcipher
from dcipher import AsyncDcipher, Dcipher, Run
from dcipher._legacy.replacements import ARGUMENTS, ATTRIBUTES, ITEMS, NAMES

if TYPE_CHECKING:
    from tests.conftest import Connect
    from tests.faulty import FaultyServer


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("f", {}), {"wait_until_completion": True}),
        (("f", {}), {"wait_until_completion": False}),
        (("f", {}, "out.json", True), {}),
        (("f", {}, None, 1), {}),
        (("f", {}, None, None), {}),
        ((), {"flow_id": "f", "params": {}, "save_path": None, "wait_until_completion": True}),
    ],
)
def test_run_flow_waits_now(
    connect: Connect, api: FaultyServer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """`wait_until_completion`, by name or position, is an error with the replacement. Nothing is sent."""
    with pytest.raises(TypeError, match=r"remove wait_until_completion.*flows\.start"):
        connect(api).run_flow(*args, **kwargs)
    assert api.requests == []


def test_other_arguments_are_python_s_affair(connect: Connect, api: FaultyServer) -> None:
    """An argument that never was is Python's own error."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'until'"):
        connect(api).run_flow("f", {}, until=True)


def test_run_flow_is_introspectable() -> None:
    """It has its own signature, type and documentation."""
    for cls in (Dcipher, AsyncDcipher):
        assert list(inspect.signature(cls.run_flow).parameters)[1:] == [
            "flow_id",
            "params",
            "save_path",
        ]
        assert cls.run_flow.__doc__
    assert inspect.iscoroutinefunction(AsyncDcipher.run_flow)
    assert not inspect.iscoroutinefunction(Dcipher.run_flow)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("task_id", "use run.task_id"),
        ("signed_response_url", r"client\.runs\.download"),
        ("signed_response_urls", r"client\.runs\.download"),
        ("status", r"use run\."),
        (0, r"use run\."),
    ],
)
def test_a_run_is_not_a_dictionary(key: Any, says: str) -> None:
    """The result of `run_flow` was a dictionary: the error for each of its keys names the replacement."""
    run: Any = Run(flow_id="f", task_id="t")
    with pytest.raises(TypeError, match=says):
        run[key]
    with pytest.raises(TypeError, match=says):
        run.get(key)
    with pytest.raises(TypeError, match=says):
        run.get(key, None)
    with pytest.raises(TypeError, match=says):
        key in run  # noqa: B015
    assert dict(run)["task_id"] == "t"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("signed_response_url", r"client\.runs\.download"),
        ("signed_response_urls", r"client\.runs\.download"),
        *((method, r"use run\.task_id") for method in ("keys", "items", "values", "pop", "update")),
    ],
)
def test_a_run_has_no_attribute_of_a_dictionary(name: str, says: str) -> None:
    """The error for a key as an attribute, or a method of a dictionary, names the replacement.

    Others are unchanged.
    """
    run: Any = Run(flow_id="f", task_id="t")
    with pytest.raises(AttributeError, match=f"no attribute '{name}'. A Run is not .*{says}"):
        getattr(run, name)
    assert not hasattr(run, name)
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
        run.nothing  # noqa: B018
    assert Run(flow_id="f", task_id="t", more=1).more == 1  # type: ignore[attr-defined, call-arg]


@pytest.mark.parametrize("name", ["BASE_URL", "api_key", "max_retries"])
def test_removed_attributes(connect: Connect, api: FaultyServer, name: str) -> None:
    """Reading one names the argument. Setting one is an error, because it would have no effect."""
    with Dcipher("k", base_url=api.url) as blocking:
        clients = (blocking, AsyncDcipher("k", base_url=api.url))
        for client in clients:
            with pytest.raises(AttributeError, match=f"{name}.*pass "):
                getattr(client, name)
            with pytest.raises(AttributeError, match=f"{name}.*pass "):
                setattr(client, name, "x")
            with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
                client.nothing  # type: ignore[attr-defined]  # noqa: B018
    assert api.requests == []


@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher])
def test_base_url_of_the_class(cls: Any) -> None:
    """Reading it from the class names the argument."""
    message = f"'{cls.__name__}' has no attribute 'BASE_URL': pass base_url=…"
    with pytest.raises(AttributeError, match=message):
        cls.BASE_URL  # noqa: B018
    assert not hasattr(cls, "BASE_URL")


def test_status_of_an_error_made_by_hand() -> None:
    """An error that a test makes of a response has its status, and the class of one status has that one."""
    response = httpx.Response(429, request=httpx.Request("GET", "https://api.test"))
    assert dcipher.RateLimitError("message", response=response).status_code == 429
    assert dcipher.InternalServerError("message", response=httpx.Response(503)).status_code == 503
    assert dcipher.NotFoundError.status_code == dcipher.NotFoundError().status_code == 404
    assert dcipher.NotFoundError("message", status_code=410).status_code == 410


@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher])
@pytest.mark.parametrize("name", ["BASE_URL", "api_key", "max_retries"])
def test_attributes_of_the_class_that_are_gone(
    api: FaultyServer, monkeypatch: pytest.MonkeyPatch, cls: Any, name: str
) -> None:
    """Set on a class, or inherited, one would have no effect: no such client is made or derived."""
    says = f"{name} of the class .* has no effect: pass "
    with pytest.raises(AttributeError, match=says):
        type("Mine", (cls,), {name: "https://staging.example"})
    mixin = type("Mixin", (), {name: "https://staging.example"})
    with pytest.raises(AttributeError, match=says):
        type("Mine", (mixin, cls), {})
    later = type("Later", (cls,), {})
    below = type("Below", (later,), {})
    made = below("k", base_url=api.url)
    monkeypatch.setattr(later, name, "https://staging.example", raising=False)
    for one in (later, below):
        with pytest.raises(AttributeError, match=says):
            one("k", base_url=api.url)
    with pytest.raises(AttributeError, match=says):
        made.with_options(max_retries=1)
    monkeypatch.setattr(cls, name, "https://staging.example", raising=False)
    with pytest.raises(AttributeError, match=says):
        cls("canary-key-0123456789", base_url=api.url)
    assert api.requests == []


@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher])
def test_a_property_of_a_subclass_is_its_own(api: FaultyServer, cls: Any) -> None:
    """A subclass may define one of the former names."""
    mine = type("Mine", (cls,), {"BASE_URL": property(lambda _: "mine")})
    assert mine("k", base_url=api.url).BASE_URL == "mine"


@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher])
@pytest.mark.parametrize("second", [100, None, "https://staging.example"])
def test_the_second_positional_argument(cls: Any, second: object) -> None:
    """The error names the keyword. No frame of the error has the key."""
    with pytest.raises(TypeError, match="pass max_retries=…, which counts") as caught:
        cls("canary-key-0123456789", second)
    assert "canary-key" not in str(caught.value)
    assert next(iter(inspect.signature(cls).parameters)) == "api_key"


@pytest.mark.parametrize(
    ("module", "name", "instead"),
    [
        ("exceptions", "WorkflowFailedException", "import RunFailedError.* from dcipher"),
        ("exceptions", "RateLimitError", "import RateLimitError from dcipher"),
        ("client", "Dcipher", "import Dcipher from dcipher"),
        ("async_client", "AsyncDcipher", "import AsyncDcipher from dcipher"),
        ("constants", "TaskStatus", "import RunStatus from dcipher"),
        ("constants", "FAILED_TASK_STATUSES", "use run.is_terminal"),
        ("constants", "RETRIABLE_EXCEPTIONS", "Resilience"),
        ("logger", "setup_logger", "set DCIPHER_LOG"),
        ("logger", "logger", "getLogger"),
        ("logger", "LOG_LEVEL", "set DCIPHER_LOG"),
        ("client", "DcipherClient", r"see `help\(dcipher\)`"),  # a name that no version has
    ],
)
def test_the_modules_of_the_former_version(module: str, name: str, instead: str) -> None:
    """An import from a module of 0.3.5 has an error with the replacement."""
    found = importlib.import_module(f"dcipher.{module}")
    with pytest.raises(ImportError, match=instead):
        getattr(found, name)
    with pytest.raises(ImportError, match=instead):
        exec(f"from dcipher.{module} import {name}")  # noqa: S102 - a line of a program
    assert not hasattr(found, "__path__")


STATUS_ERRORS = (
    *("APIStatusError", "AuthenticationError", "BadRequestError", "ConflictError"),
    *("InternalServerError", "PermissionDeniedError", "RateLimitError"),
    *("UnprocessableEntityError", "WorkflowFailedException"),
)
CONSTANTS = ("FAILED_TASK_STATUSES", "RETRIABLE_EXCEPTIONS", "TaskStatus")
LOGGING = ("logger", "setup_logger")
FORMER = {
    "async_client": ("AsyncDcipher", "Dcipher", *CONSTANTS, "WorkflowFailedException", *LOGGING),
    "client": ("Dcipher", *CONSTANTS, *STATUS_ERRORS, *LOGGING),
    "constants": (*CONSTANTS, "ConflictError", "InternalServerError", "RateLimitError"),
    "exceptions": ("APIError", "DcipherError", "NotFoundError", *STATUS_ERRORS),
    "logger": ("LOG_LEVEL", "setup_logger"),
}
"""Every public name in the modules of 0.3.5."""
assert tuple(FORMER) == dcipher._FORMER


@pytest.mark.parametrize("module", FORMER)
def test_every_name_of_the_former_version_has_a_replacement(module: str) -> None:
    """By import, and as an attribute of the package, which had its modules as attributes."""
    for name in FORMER[module]:
        for code in (f"from dcipher.{module} import {name}", f"dcipher.{module}.{name}"):
            with pytest.raises(ImportError) as caught:
                exec(code, {"dcipher": dcipher})  # noqa: S102 - a line of a program
            assert f"dcipher.{module} was a module of dcipher 0.3.5" in str(caught.value)
            assert "help(" not in str(caught.value)


@pytest.mark.parametrize("module", FORMER)
def test_a_former_module_is_an_attribute_before_it_is_imported(module: str) -> None:
    """`import dcipher` made its modules attributes; in a new process, nothing has imported them."""
    code = f"import dcipher; dcipher.{module}.{FORMER[module][0]}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert f"dcipher.{module} was a module of dcipher 0.3.5" in done.stderr


@pytest.mark.parametrize("module", FORMER)
def test_everything_of_a_former_module_is_an_error(module: str) -> None:
    """`import *` fails, because it would leave names undefined."""
    with pytest.raises(ImportError, match="import what you need from dcipher"):
        exec(f"from dcipher.{module} import *")  # noqa: S102 - a line of a program


@pytest.mark.parametrize("page", ["CHANGELOG.md", "docs/guides/upgrading.md"])
def test_the_pages_list_every_former_name(page: str) -> None:
    """Each argument, attribute, key, name and module of 0.3.5 is in the section about upgrading."""
    text = (Path(__file__).resolve().parents[2] / page).read_text(encoding="utf-8")
    if page == "CHANGELOG.md":
        text = text.partition("\n## [1.0.0]")[2]
    tables = "\n".join(line for line in text.splitlines() if line.startswith("| "))
    named = (*ARGUMENTS, *ATTRIBUTES, *ITEMS, *NAMES, *(f"dcipher.{module}" for module in FORMER))
    assert [name for name in named if name not in tables] == []
