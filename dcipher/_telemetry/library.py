"""OpenTelemetry, if the program has imported it: it is never imported first, and cannot break a call."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dcipher.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import ParamSpec

    P = ParamSpec("P")

__all__ = ["api", "is_loaded", "quietly"]

T = TypeVar("T")

OFF: Final = frozenset({"0", "false", "no", "off"})


def is_loaded() -> bool:
    """Whether the program has imported any part of OpenTelemetry."""
    return "opentelemetry" in sys.modules


def api(name: str) -> Any:
    """Returns `opentelemetry.<name>`; `None` if it is not imported, or DCIPHER_OTEL=0."""
    module = sys.modules.get(f"opentelemetry.{name}")
    if module is None or os.environ.get("DCIPHER_OTEL", "").strip().lower() in OFF:
        return None
    return module


def quietly(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """Calls a function of OpenTelemetry. Its errors, such as those of an exporter, are only logged."""
    try:
        return function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - telemetry must not break a call
        # Without its message, which may be of any code.
        logger.debug("OpenTelemetry failed: %s", type(error).__name__)
        return None
