"""The public names of the package: their signatures, and the cost of importing it."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import pydoc
import subprocess
import sys
import types
import typing
from collections.abc import AsyncGenerator, Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, create_autospec

import pytest
from pydantic import ValidationError, validate_call

import dcipher
from dcipher import AsyncDcipher, Dcipher, InvalidParamsError, Run
from dcipher._typing.lazy import Lazy

if TYPE_CHECKING:
    from tests.faulty import FaultyServer

CALLS = [
    ("flows.get", "(flow_id)"),
    ("flows.start", "(flow_id, params=None, *, idempotency_key=None)"),
    (
        "flows.run",
        (
            "(flow_id, params=None, *, save_path=None, wait_timeout=None, on_status=None, "
            "idempotency_key=None, overwrite=True, progress=False)"
        ),
    ),
    (
        "flows.map",
        (
            "(flow_id, rows=None, *, key=None, params=None, journal=None, read=None, save=None, "
            "in_flight=None, starts_per_second=None, max_failures=None, retry_failed=False, "
            "on_unknown='resend', ordered=False, progress='auto', executor=None, shard=500)"
        ),
    ),
    (
        "flows.partition",
        (
            "(flow_id, *, key, params=None, journal, read=None, in_flight=None, "
            "starts_per_second=None, max_failures=None, retry_failed=False, on_unknown='resend')"
        ),
    ),
    ("run_flow", "(flow_id, params=None, save_path=None)"),
    ("call", "(call, *, wait_timeout=None, on_status=None, idempotency_key=None)"),
    ("runs.get", "(flow_id, task_id)"),
    ("runs.refresh", "(run)"),
    ("runs.wait", "(run, *, timeout=None, poll_interval=None, on_status=None, progress=False)"),
    ("runs.watch", "(run, *, timeout=None, poll_interval=None)"),
    (
        "runs.download",
        (
            "(run, path, *, overwrite=True, on_progress=None, require_integrity=False, "
            "max_connections=4, progress=False)"
        ),
    ),
    ("runs.read", "(run, type_=typing.Any, *, output_index=None)"),
    (
        "runs.records",
        (
            "(run, type_=typing.Any, *, on_invalid='raise', max_invalid=None, keep_raw=False, "
            "output_index=None)"
        ),
    ),
    ("runs.table", "(run, type_=None, *, output_index=None)"),
    ("runs.batches", "(run, type_=None, *, size=65536, output_index=None)"),
    ("runs.to_arrow", "(run, type_=None, *, output_index=None)"),
    ("runs.to_pandas", "(run, type_=None, *, output_index=None)"),
    ("runs.to_polars", "(run, type_=None, *, output_index=None)"),
    ("with_options", "(*, timeout=None, max_retries=None, headers=None, resilience=None)"),
]
CONSTRUCTOR = (
    "(api_key=None, *, api_secret=None, base_url=None, timeout=None, max_retries=None, resilience=None, headers=None, "
    "http_client=None, transport=None, settings=None, allow_insecure=False)"
)


def bare(function: Any) -> str:
    """A signature without its annotations."""
    signature = inspect.signature(function)
    plain = [
        parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=plain, return_annotation=signature.empty))


def attribute(client: object, name: str) -> Any:
    for part in name.split("."):
        client = getattr(client, part)
    return client


def test_the_names_are_sorted_and_exist() -> None:
    """`__all__` is sorted, each of its names exists, and `dir()` shows them."""
    assert dcipher.__all__ == sorted(dcipher.__all__)
    assert len(set(dcipher.__all__)) == len(dcipher.__all__)
    for name in dcipher.__all__:
        assert getattr(dcipher, name) is not None
        assert name in dir(dcipher)
    star: dict[str, object] = {}
    exec("from dcipher import *", star)  # noqa: S102 - what a user may write
    assert set(dcipher.__all__) <= set(star)


def test_a_name_that_is_not_there() -> None:
    """Another name is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="Dicpher"):
        _ = dcipher.Dicpher


def test_every_error_is_public() -> None:
    """Every subclass of `DcipherError` of `dcipher.errors` is a name of the package."""
    from dcipher import errors

    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, dcipher.DcipherError)
    }
    assert classes <= set(dcipher.__all__)


def test_importing_is_cheap() -> None:
    """`import dcipher` imports none of its libraries, and no slow part of the standard library."""
    code = (
        "import sys, dcipher; heavy = {'httpx', 'pydantic', 'anyio', 'tenacity', "
        "'pydantic_settings', 'asyncio', 'ssl', 'json', 'pyarrow', 'pandas', 'polars', 'numpy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["Dcipher", "AsyncDcipher"])
def test_a_first_answer_is_cheap(api: FaultyServer, name: str) -> None:
    """A client without `Settings`, and its first answer, import no more than they need."""
    code = (
        f"import sys, inspect, anyio; from dcipher import {name}\n"
        "async def main():\n"
        f"    flow = {name}('k', base_url={api.url!r}).flows.get('f')\n"
        "    return await flow if inspect.isawaitable(flow) else flow\n"
        "assert anyio.run(main).name == 'F'\n"
        "heavy = {'pydantic_settings', 'dotenv', 'dcipher.settings', 'dcipher.calls', 'dcipher.signing', "
        "'dcipher._results.downloads.download', 'fastapi', 'pyarrow', 'pandas', 'polars', 'tenacity', "
        "'dcipher._results.outputs.row_policy', 'dcipher._results.tables.table', 'dcipher.rejects'}\n"
        f"other = 'dcipher._wire.transport.exchanges{'_async' if name == 'Dcipher' else ''}'\n"
        "print(sorted({*heavy, other} & set(sys.modules)))"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("name", "signature"), CALLS, ids=lambda value: value[:16])
@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher])
def test_the_calls(cls: type, name: str, signature: str) -> None:
    """Each call has the signature of the design, on both clients."""
    assert bare(attribute(cls("k"), name)) == signature


@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher])
def test_the_constructor(cls: type) -> None:
    """Both clients are constructed by the same arguments."""
    assert bare(cls) == CONSTRUCTOR


def public(value: object) -> set[str]:
    return {name for name in dir(value) if not name.startswith("_")}


def test_the_clients_are_twins() -> None:
    """Every public name of one client is on the other, with the same words in its docstring."""
    plain, other = Dcipher("k"), AsyncDcipher("k")
    assert public(plain) - {"close"} == public(other) - {"aclose"}
    for part in ("flows", "runs"):
        assert public(getattr(plain, part)) == public(getattr(other, part))


@pytest.mark.parametrize("name", [name for name, _ in CALLS])
def test_coroutines(name: str) -> None:
    """Every call that sends is a coroutine (or an async iterator) on the async client and plain on the other."""
    function = attribute(AsyncDcipher("k"), name)
    talks = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    # `records` gives an async iterator, and checks its arguments at the call.
    # `map` gives an async iterator, too.
    assert talks is (name not in {"with_options", "runs.records", "flows.map", "flows.partition"})
    plain = attribute(Dcipher("k"), name)
    assert not inspect.iscoroutinefunction(plain)
    assert inspect.isgeneratorfunction(plain) is inspect.isasyncgenfunction(function)


def test_a_watch_is_a_generator() -> None:
    """The result of `watch` can be closed early."""
    from dcipher import Run

    watching = AsyncDcipher("k").runs.watch(Run(flow_id="f", task_id="t"))
    assert isinstance(watching, AsyncGenerator)


# Signatures at run time


MODULES = (
    "dcipher",
    "dcipher.emulator",
    "dcipher.emulator.faults",
    *(f"dcipher.{name}" for name in dcipher._SUBMODULES),
    *(f"dcipher._client.{name}" for name in ("flows", "runs", "flows_async", "runs_async")),
)


def _public_callables() -> Iterator[tuple[str, Any]]:
    """Every function and class of the public modules, and every method, property and base of ours."""
    extra = {"dcipher.emulator", "dcipher.emulator.faults"} if not find_spec("fastapi") else set()
    for name in [name for name in dict.fromkeys(MODULES) if name not in extra]:
        module = importlib.import_module(name)
        for value in (getattr(module, entry) for entry in module.__all__):
            if isinstance(value, types.FunctionType):
                yield f"{name}.{value.__qualname__}", value
            elif isinstance(value, type):
                for cls in value.__mro__:
                    yield from _of_class(cls)


def _of_class(cls: type) -> Iterator[tuple[str, Any]]:
    if cls.__module__.partition(".")[0] != "dcipher":
        return
    where = f"{cls.__module__}.{cls.__qualname__}"
    yield where, cls
    for name, member in [*vars(cls).items()]:
        function = getattr(member, "__func__", getattr(member, "fget", member))
        ours = isinstance(function, types.FunctionType) and function.__module__.startswith(
            cls.__module__  # errors are in the modules of a package
        )
        if ours and (name[0] != "_" or name.endswith("__")):
            yield f"{where}.{name}", function


def test_every_public_signature_resolves() -> None:
    """Containers for dependency injection and decorators of tools find the types of all arguments."""
    callables = dict(_public_callables())
    assert len(callables) > 200
    broken: dict[str, str] = {}
    for name, function in callables.items():
        try:
            typing.get_type_hints(function, include_extras=True)
            if not isinstance(function, type) or inspect.isfunction(function.__init__):
                inspect.signature(function, eval_str=True)
        except Exception as error:  # noqa: BLE001 - each of them is a finding
            broken[name] = repr(error)
    assert broken == {}


@pytest.mark.parametrize(("name", "_"), CALLS)
@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher])
def test_the_calls_of_a_client_resolve(cls: type, name: str, _: str) -> None:
    """So do the calls of a client object, wrapped or not."""
    call = attribute(cls("k"), name)

    @functools.wraps(call)
    def wrapped(*args: Any, **options: Any) -> Any:
        return call(*args, **options)

    hints = typing.get_type_hints(call)
    assert hints["return"] is not None
    if sys.version_info >= (3, 11):  # before, a default of None makes a hint Optional
        assert typing.get_type_hints(wrapped) == hints
    assert inspect.signature(wrapped, eval_str=True) == inspect.signature(call, eval_str=True)


@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher])
def test_the_parts_of_a_client_have_types(cls: type) -> None:
    """The class of a client shows the calls of `flows` and `runs`."""
    assert typing.get_type_hints(cls) == {"flows": cls("k").flows.__class__, "runs": cls.runs}


def test_the_fixtures_resolve() -> None:
    """So do the fixtures of the pytest plugin, for plugins that check types."""
    pytest.importorskip("fastapi")
    plugin = importlib.import_module("dcipher.pytest_plugin")
    for name in plugin.__all__:
        assert "return" in typing.get_type_hints(getattr(plugin, name).__wrapped__)


def test_a_type_of_a_library_that_is_not_installed_is_any() -> None:
    """A frame of pandas has the type `Any` without pandas. A wrong name is an error."""
    assert Lazy("no_such_library").DataFrame is Any
    assert Lazy("decimal").Decimal.__name__ == "Decimal"
    with pytest.raises(AttributeError):
        _ = Lazy("decimal").NoSuchName


@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher])
def test_pydantic_validates_a_call(cls: type) -> None:
    """`validate_call` reads the signature, and accepts valid arguments."""
    start = validate_call(cls("k").flows.start)

    def call(*args: Any) -> None:
        answer = start(*args)
        if cls is AsyncDcipher:
            answer.send(None)  # to its first step, which raises

    with pytest.raises(ValidationError):
        call(5, "no mapping")
    with pytest.raises(InvalidParamsError):
        call("..", {"a": 1})


def test_pydantic_takes_every_public_callable() -> None:
    """`validate_call` accepts public callables. Classes of httpx are checked by `isinstance`."""
    arbitrary = validate_call(config={"arbitrary_types_allowed": True})
    clients = (Dcipher, AsyncDcipher, dcipher.HTTPClient, dcipher.HTTPAuthenticatedClient)
    calls: list[Any] = [vars(cls)["__init__"] for cls in clients]
    calls += [call for name, call in _public_callables() if name[-2:] != "__"]
    assert all(callable(arbitrary(call)) for call in calls if inspect.isfunction(call))


def test_fastapi_injects_a_call() -> None:
    """A call of a client is a dependency of FastAPI's: its arguments become those of the request."""
    pytest.importorskip("fastapi")
    from fastapi import Depends, FastAPI

    app = FastAPI()

    @app.get("/runs")
    def see(run: Run = Depends(Dcipher("k").runs.get)) -> str:  # noqa: B008 - as FastAPI has it
        return run.task_id

    parameters = app.openapi()["paths"]["/runs"]["get"]["parameters"]
    assert [parameter["name"] for parameter in parameters] == ["flow_id", "task_id"]


@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher])
@pytest.mark.parametrize(
    "specified",
    [lambda cls: create_autospec(cls, instance=True), lambda cls: create_autospec(cls)("k")],
    ids=["instance", "class"],
)
def test_a_double_of_a_client_has_its_calls(cls: type, specified: Callable[[type], Any]) -> None:
    """An object of `create_autospec` has every call of a client, with its arguments."""
    double = specified(cls)
    for name, _ in CALLS:
        call = attribute(double, name)
        assert isinstance(call, AsyncMock) is inspect.iscoroutinefunction(attribute(cls("k"), name))
        with pytest.raises(TypeError):
            call(no_such_argument=1)
    with pytest.raises(AttributeError):
        _ = double.flows.no_such_call


@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher, dcipher.HTTPClient, dcipher.Table])
def test_a_class_can_be_inspected(cls: type) -> None:
    """`dir`, `help` and `inspect.getmembers` show the public names of a class, without an instance."""
    names = {name for name, _ in inspect.getmembers(cls) if not name.startswith("_")}
    assert names == public(cls)
    text = pydoc.render_doc(cls, renderer=pydoc.plaintext)
    assert all(name in text for name in names)


@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher])
def test_the_parts_of_a_client_on_its_class(cls: type) -> None:
    """On the class, `flows` and `runs` are the classes of the parts of a client."""
    for part in ("flows", "runs"):
        assert getattr(cls, part) is type(getattr(cls("k"), part))
        with pytest.raises(AttributeError, match=f"no attribute '{part}'"):
            getattr(object.__new__(cls), part)
