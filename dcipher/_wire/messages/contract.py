"""The statuses of each operation in the OpenAPI document of the package; pure."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

__all__ = ["is_documented"]


@lru_cache(maxsize=1)
def _operations() -> tuple[tuple[str, re.Pattern[str], frozenset[int]], ...]:
    """Returns method, path and statuses of every operation in the document."""
    from importlib.resources import files

    document: dict[str, Any] = json.loads(
        (files("dcipher") / "_wire" / "messages" / "openapi.json").read_bytes()
    )
    return tuple(
        (method.upper(), _pattern(path), frozenset(int(code) for code in operation["responses"]))
        for path, item in document["paths"].items()
        for method, operation in item.items()
    )


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]*\}", template)
    return re.compile("[^/]+".join(re.escape(part) for part in parts))


def is_documented(method: str, path: str, status_code: int) -> bool:
    """Returns whether the document lists the status for the operation.

    For an unknown path: for any operation.
    """
    of_the_operation = [
        statuses for verb, pattern, statuses in _operations()
        if verb == method.upper() and pattern.fullmatch(path)
    ]  # fmt: skip
    candidates = of_the_operation or [statuses for _, _, statuses in _operations()]
    return any(status_code in statuses for statuses in candidates)
