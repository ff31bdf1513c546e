"""Names that sound like a secret: one list for everything that hides values by their name."""

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
    """Whether what a header of that name carries sounds like a secret. An `Idempotency-Key` is none."""
    return _SECRET_NAME.search(header) is not None and header.lower() != "idempotency-key"


def secret_values(headers: Mapping[str, str]) -> tuple[str, ...]:
    """What of headers must not be shown, by their names; of cookies, each by itself."""
    found: set[str] = set()
    for name, value in headers.items():
        if _SECRET_NAME.search(name):
            cookies = value.split(";") if name.lower() == "cookie" else []
            found |= {value, *(cookie.partition("=")[2].strip() for cookie in cookies)}
    return tuple(sorted(found - {""}))
