"""The options of `flows.map`, as type checkers know them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, Literal, TypeAlias

from typing_extensions import TypedDict

import dcipher

__all__ = ["MapOptions", "Progress"]

Progress: TypeAlias = Literal["auto"] | bool | Callable[["dcipher.BatchProgress"], object]


class MapOptions(TypedDict, total=False):
    """The options of `flows.map`, without the flow, the rows and the type to read."""

    key: str | Callable[[Any], object] | None
    params: Sequence[str] | Callable[[Any], object] | None
    journal: str | os.PathLike[str] | None
    save: str | os.PathLike[str] | None
    in_flight: int | None
    starts_per_second: float | None
    max_failures: float | None
    retry_failed: bool
    on_unknown: Literal["resend", "hold"]
    ordered: bool
    progress: Progress
    executor: Executor | None
    shard: int
