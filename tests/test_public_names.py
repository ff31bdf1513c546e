"""The face of the package: its names, their signatures, and what importing it costs."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest

import dcipher
from dcipher import AsyncDcipher, Dcipher

CALLS = [
    ("flows.get", "(flow_id)"),
    ("flows.start", "(flow_id, params=None, *, idempotency_key=None)"),
    (
        "flows.run",
        (
            "(flow_id, params=None, *, save_path=None, wait_timeout=None, on_status=None, "
            "idempotency_key=None, overwrite=True)"
        ),
    ),
    ("run_flow", "(flow_id, params=None, save_path=None)"),
    ("runs.get", "(flow_id, task_id)"),
    ("runs.refresh", "(run)"),
    ("runs.wait", "(run, *, timeout=None, poll_interval=None, on_status=None)"),
    ("runs.watch", "(run, *, timeout=None, poll_interval=None)"),
    (
        "runs.download",
        "(run, path, *, overwrite=True, on_progress=None, require_integrity=False, max_connections=4)",
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


def test_the_names_are_sorted_and_there() -> None:
    """`__all__` is sorted, each of its names can be had, and `dir()` shows them."""
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
    """Every subclass of `DcipherError` in `errors.py` is a name of the package."""
    from dcipher import errors

    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, dcipher.DcipherError)
    }
    assert classes <= set(dcipher.__all__)


def test_importing_is_cheap() -> None:
    """`import dcipher` imports none of the libraries that it stands on, and no heavy part of Python's."""
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
def test_what_is_awaited(name: str) -> None:
    """Every call that talks is a coroutine (or an async iterator) on the one client and plain on the other."""
    function = attribute(AsyncDcipher("k"), name)
    talks = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    # `records` gives an async iterator, and checks its arguments at the call.
    assert talks is (name not in {"with_options", "runs.records"})
    plain = attribute(Dcipher("k"), name)
    assert not inspect.iscoroutinefunction(plain)
    assert inspect.isgeneratorfunction(plain) is inspect.isasyncgenfunction(function)


def test_a_watch_is_a_generator() -> None:
    """What `watch` gives can be closed early."""
    from dcipher import Run

    watching = AsyncDcipher("k").runs.watch(Run(flow_id="f", task_id="t"))
    assert isinstance(watching, AsyncGenerator)
