"""Describes unmatched requests: an unknown route, flow or run, with a suggestion."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["no_flow", "no_route", "no_run"]

_LONG = 200  # characters that are compared: the time is quadratic


def no_flow(flow_id: str, known: Iterable[str]) -> str:
    """Describes an unknown flow, with the nearest id."""
    text = f"no flow {_quoted(flow_id)}"
    flows = tuple(known)
    near = get_close_matches(flow_id[:_LONG], flows, n=1)
    if near:
        return f"{text}; did you mean {near[0]!r}?"
    return text if flows else f"{text}: none is registered"


def no_run(task_id: str, flow_id: str, *, actual_flow: str | None) -> str:
    """Describes an unknown run of a flow; `actual_flow`: the flow that has it."""
    text = f"no run {_quoted(task_id)} of flow {_quoted(flow_id)}"
    return text if actual_flow is None else f"{text}; it is one of {actual_flow!r}"


def no_route(method: str, path: str, routes: Iterable[tuple[str, str]]) -> str:
    """Describes an unknown route, with the nearest one; `routes`: method and path of each."""
    wanted = f"{method} {path[:_LONG]}"
    filled = {_filled(verb, template, path): f"{verb} {template}" for verb, template in routes}
    near = get_close_matches(wanted, filled, n=1)
    return f"no route; did you mean {filled[near[0]]}?" if near else "no route"


def _filled(method: str, template: str, path: str) -> str:
    """Returns a route with the ids of the path."""
    given = path[:_LONG].split("/")
    parts = [
        given[place] if part.startswith("{") and place < len(given) else part
        for place, part in enumerate(template.split("/"))
    ]
    return f"{method} {'/'.join(parts)}"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _LONG else text[: _LONG - 1] + "…")
