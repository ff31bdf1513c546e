"""The search for secrets finds each one that was placed on purpose."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import BaseModel

import dcipher._masking.text
from dcipher import APIError, Run
from dcipher._masking.redaction import redact
from dcipher.errors import APIStatusError, RequestInfo
from tests.fuzz.leaks import Search, forms

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = 'canary/key+1"é=?'


class Loose(BaseModel):
    model_config = {"extra": "allow"}


def failing(error: BaseException) -> BaseException:
    try:
        raise error  # noqa: TRY301 - here, for the traceback
    except BaseException as raised:  # noqa: BLE001 - a traceback is what it is for
        return raised


def behind(secret: str) -> BaseException:
    error = APIError("clean")
    error.__context__ = ValueError(secret)
    return error


def with_locals(secret: str) -> BaseException:
    """An error whose frame of the package has the secret among its variables."""
    code = compile(
        "def f(secret):\n    raise ValueError\nf(S)", dcipher._masking.text.__file__, "exec"
    )
    try:
        exec(code, {"S": secret})  # noqa: S102 - a frame that counts as one of the package's
    except ValueError as error:
        return error
    raise AssertionError


def noted(secret: str) -> BaseException:
    error = ValueError()
    error.__notes__ = [secret]  # type: ignore[attr-defined] # add_note is new in 3.11
    return error


def status_error(**parts: Any) -> APIStatusError:
    return APIStatusError("clean", **parts)


def response(secret: str) -> httpx.Response:
    request = httpx.Request("GET", "https://x", headers={"X-Password": secret})
    return httpx.Response(400, request=request)


PLANTS: dict[str, Callable[[Search, str], None]] = {
    "text": lambda s, x: s.text("", f"a {x} b"),
    "repr of a list": lambda s, x: s.value("", [[x]]),
    "attribute": lambda s, x: s.value("", Run(flow_id=x, task_id="t")),
    "private attribute": lambda s, x: (
        s.value("", type("A", (), {"__init__": lambda _: None})()) or s.value("", _private(x))
    ),
    "extra field": lambda s, x: s.model("", Loose.model_validate({"more": {"a": [x]}})),
    "error": lambda s, x: s.error("", failing(APIError(x))),
    "error's request": lambda s, x: s.error(
        "", failing(APIError("", request=RequestInfo("GET", x)))
    ),
    "error's body": lambda s, x: s.error("", failing(status_error(body={"a": [x]}))),
    "error's response": lambda s, x: s.error(
        "", failing(status_error(response=httpx.Response(400, content=x.encode())))
    ),
    "error's headers": lambda s, x: s.error(
        "",
        failing(status_error(response=httpx.Response(400, headers=[(b"a", x.encode())]))),
    ),
    "error's run": lambda s, x: s.error("", failing(_with_run(x))),
    "behind an error": lambda s, x: s.error("", failing(behind(x))),
    "notes": lambda s, x: s.error("", failing(noted(x))),
    "locals": lambda s, x: s.error("", with_locals(x)),
}


def _private(secret: str) -> object:
    class Holder:
        def __init__(self) -> None:
            self._held = secret

    return Holder()


def _with_run(secret: str) -> APIError:
    error = APIError("clean")
    error.run = Run(flow_id="f", task_id="t", message=secret)
    return error


@pytest.mark.parametrize("plant", list(PLANTS))
def test_a_leak_is_found(plant: str) -> None:
    """An existing secret is found, and no other."""
    search = Search(key=SECRET)
    PLANTS[plant](search, "nothing")
    assert search.looked_at > 0
    assert search.found() == []
    PLANTS[plant](search, SECRET)
    assert search.found()


@pytest.mark.parametrize("form", sorted(forms(SECRET)))
def test_every_form_is_found(form: str) -> None:
    """Percent-encoded, escaped, in base64: it is the same secret."""
    search = Search(key=SECRET)
    search.text("", f"x{form}y")
    assert search.found()


@pytest.mark.parametrize("form", sorted(forms(SECRET)))
def test_every_form_is_redacted(form: str) -> None:
    """An error repeats no form that the search finds, in any notation of the service."""
    search = Search(key=SECRET)
    search.text("", redact(f"x{form}y", [SECRET]))
    assert search.found() == []


@pytest.mark.parametrize(
    "name", ["dcipher", "httpx", "httpcore.http11", "asyncio", "tenacity", "x.y"]
)
def test_every_log_is_read(name: str) -> None:
    """A secret in the message, the arguments, the exception or the extras of a record is found."""
    for log in (
        lambda logger: logger.warning("a %s", SECRET),
        lambda logger: logger.error("a", exc_info=ValueError(SECRET)),
        lambda logger: logger.warning("a", extra={"more": SECRET}),
    ):
        search = Search(key=SECRET)
        with search.of_all_logs():
            logging.getLogger(name).warning("clean")
            assert search.looked_at > 0
            assert search.found() == []
            log(logging.getLogger(name))
        assert search.found()


def test_every_warning_is_read() -> None:
    """A secret in a warning is found."""
    search = Search(key=SECRET)
    with search.of_all_logs():
        warnings.warn(SECRET, stacklevel=1)
    assert search.found()


def test_a_request_behind_a_response_is_read() -> None:
    """A header of the request that a response belongs to is found."""
    search = Search(key="canary-password")
    search.value("", response("canary-password"))
    assert search.found()
