"""Names of secrets: one list for everything that redacts values by their name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["is_secret_name", "secret_values"]


_SECRET_NAME = re.compile(
    "auth|cookie|credential|key|password|secret|session|signature|token", re.IGNORECASE
)


def is_secret_name(header: str) -> bool:
    """Returns whether a header of that name contains a secret. `Idempotency-Key` does not."""
    return _SECRET_NAME.search(header) is not None and header.lower() != "idempotency-key"


def secret_values(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the secret values of headers, by their names; of each cookie separately."""
    found: set[str] = set()
    for name, value in headers.items():
        if _SECRET_NAME.search(name):
            cookies = value.split(";") if name.lower() == "cookie" else []
            found |= {value, *(cookie.partition("=")[2].strip() for cookie in cookies)}
    return tuple(sorted(found - {""}))
