"""The public names of `dcipher.fastapi`, and the cost and needs of importing it."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from pathlib import Path

import dcipher.fastapi

NAMES = [
    "DcipherDep",
    "RunView",
    "add_problem_handlers",
    "dcipher_lifespan",
    "event_responses",
    "get_dcipher",
    "problems",
    "status_events",
]


def python(code: str) -> str:
    root = str(Path(dcipher.__file__).parents[1])
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n{code}"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done.stdout + done.stderr


def test_names_are_these() -> None:
    """The names are these, and the annotations of each function resolve."""
    assert dcipher.fastapi.__all__ == NAMES
    for name in NAMES:
        value = getattr(dcipher.fastapi, name)
        if inspect.isfunction(value):
            assert typing.get_type_hints(value)


def test_signatures_are_these() -> None:
    """The arguments are those of the guide."""

    def bare(function: object) -> str:
        signature = inspect.signature(function)  # type: ignore[arg-type]
        empty = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
        return str(signature.replace(parameters=empty, return_annotation=signature.empty))

    assert bare(dcipher.fastapi.dcipher_lifespan) == "(**client_options)"
    assert bare(dcipher.fastapi.add_problem_handlers) == "(app, *, docs_url=None)"
    assert bare(dcipher.fastapi.problems) == "(*errors)"
    assert bare(dcipher.fastapi.event_responses) == "(*errors)"
    assert bare(dcipher.fastapi.status_events) == "(client, run, *, timeout=None)"


def test_without_fastapi_the_line_that_installs_it_is_named() -> None:
    """The package works without the extra, and the error has the command to install it."""
    said = python("sys.modules['fastapi'] = None\nimport dcipher.fastapi")
    assert "ImportError: dcipher.fastapi needs FastAPI: pip install" in said
    assert "[fastapi]" in said


def test_application_does_not_load_the_emulator() -> None:
    """An application in production imports neither the emulator, nor a server, nor pytest."""
    code = "import dcipher.fastapi\nprint(*sys.modules)"
    loaded = set(python(code).split())
    assert "dcipher.fastapi" in loaded
    assert not {"dcipher.emulator", "uvicorn", "pytest"} & loaded
