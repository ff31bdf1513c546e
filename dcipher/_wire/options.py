"""The options of a client, which `with_options` changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import httpx

from dcipher._settings.checks import (
    check_max_retries,
    check_timeout,
)
from dcipher._settings.headers import check_headers
from dcipher._settings.kinds import check_kind
from dcipher._wire.transport.deadlines import total_timeout_of
from dcipher.resilience import Resilience

from .arguments import request_timeout

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Options", "request_limits"]


class Options(NamedTuple):
    """The options of a client, which `with_options` changes."""

    resilience: Resilience
    timeout: httpx.Timeout
    total_timeout: float | None
    """Seconds for one request, from its first byte to its last. httpx limits only each read."""
    headers: dict[str, str]

    def changed(
        self,
        *,
        timeout: float | httpx.Timeout | None,
        max_retries: int | None,
        headers: Mapping[str, str] | None,
        resilience: Resilience | None,
    ) -> Options:
        """Returns these options with the changes that are not `None`."""
        check_kind("resilience", resilience, Resilience, "a Resilience")
        policy = self.resilience if resilience is None else resilience
        if max_retries is not None:
            policy = replace(policy, max_retries=check_max_retries(max_retries, "max_retries"))
        limits, total = (
            (self.timeout, self.total_timeout) if timeout is None else request_limits(timeout)
        )
        return Options(policy, limits, total, {**self.headers, **check_headers(headers)})


def request_limits(timeout: float | httpx.Timeout) -> tuple[httpx.Timeout, float | None]:
    limits = request_timeout(timeout)
    if isinstance(timeout, httpx.Timeout):
        return limits, total_timeout_of(limits.as_dict())
    return limits, check_timeout(timeout, "timeout")
