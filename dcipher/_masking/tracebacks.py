"""Removes our frames, those of libraries below, and requests from exceptions.

Their variables contain the key, the secret and signed URLs, and error reporters record them.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from dcipher._urls.signed_urls import looks_signed

from .redaction import redact
from .urls import redact_query

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["presentable"]

E = TypeVar("E", bound=BaseException)

_BELOW = {
    *("dcipher", "tenacity", "anyio", "sniffio", "trio", "outcome", "socksio", "truststore"),
    *("pydantic", "pydantic_settings"),
    *("httpx", "httpcore", "httpx2", "httpcore2", "h11", "h2", "hpack", "hyperframe"),
    *sys.stdlib_module_names,
}


def presentable(
    error: E, outer: BaseException | None, secrets: Sequence[str] = (), *, keeps_query: bool = False
) -> E:
    """Keeps only the frames of the program in `error`, its causes and its contexts.

    A cause that repeats one of `secrets`, or a signed URL, is dropped. `outer`: the exception that
    the program was handling when it called. `keeps_query`: no URL of a request is secret.
    """
    for one in _chain(error, outer):
        # Not by `=`: an error of the program may reject it, such as a frozen dataclass.
        one.with_traceback(_visible(one.__traceback__))
        _forget_request(one, keeps_query=keeps_query)
        for name in ("__cause__", "__context__"):
            behind: BaseException | None = getattr(one, name)
            if behind is not None and behind is not outer and _tells(behind, secrets):
                is_hidden = one.__suppress_context__
                object.__setattr__(one, name, None)
                object.__setattr__(one, "__suppress_context__", is_hidden)
    return error


def _chain(error: BaseException, outer: BaseException | None) -> Iterator[BaseException]:
    """Yields `error`, its causes and contexts, each once, up to those of the program."""
    seen = {id(outer)}
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]


def _visible(traceback: TracebackType | None) -> TracebackType | None:
    """Yields the entries of a traceback with code of the program: a callback, its own transport."""
    kept: list[TracebackType] = []
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _BELOW:
            kept.append(traceback)
        traceback = traceback.tb_next
    visible: TracebackType | None = None
    for entry in reversed(kept):
        visible = TracebackType(visible, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return visible


def _forget_request(error: BaseException, *, keeps_query: bool) -> None:
    """Removes the request, with its headers, from an exception of httpx or httpx2."""
    roots = {base.__module__.partition(".")[0] for base in type(error).__mro__}
    name = next((name for name in ("httpx", "httpx2") if name in roots), "")
    httpx: Any = sys.modules.get(name)  # loaded if the error is its own
    if httpx is None or not isinstance(error, (httpx.RequestError, httpx.HTTPStatusError)):
        return
    failed: Any = error
    try:
        sent = failed.request
    except RuntimeError:  # it has none
        return
    url = str(sent.url)
    failed.request = httpx.Request(sent.method, url if keeps_query else redact_query(url))
    if isinstance(error, httpx.HTTPStatusError):
        failed.response.request = failed.request


def _tells(error: BaseException, secrets: Sequence[str]) -> bool:
    try:
        text = f"{error} {error!r} {getattr(error, '__notes__', '')}"
    except Exception:  # noqa: BLE001 - the program's own, and broken: nobody can read it
        return False
    return looks_signed(text) or redact(text, secrets) != text
