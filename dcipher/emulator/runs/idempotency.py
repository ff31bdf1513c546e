"""Idempotency keys: the same start twice is one run (draft-ietf-httpapi-idempotency-key-header)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from dcipher.emulator.gate.refusals import Refusal

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["IdempotencyKeys", "Start", "Started"]


@dataclass(frozen=True, slots=True)
class Started:
    """The response to a start, without the address of the emulator, which a restart may change."""

    task_id: str
    paths: tuple[str, ...]
    """Path and query of the signed URL of each result."""


@final
class IdempotencyKeys:
    """The starts by flow and key, with their responses."""

    def __init__(self) -> None:
        self._starts: dict[tuple[str, str], Start] = {}

    def claim(self, flow_id: str, key: str, body: bytes) -> Start:
        """Returns the start with this key: a new one, or one with a response.

        Raises `Refusal` with 409 while it is in progress, and with 422 if its body was different.
        """
        digest = hashlib.sha256(body).digest()
        known = self._starts.get((flow_id, key))
        if known is None:
            known = self._starts[flow_id, key] = Start(self, (flow_id, key), digest)
        elif known.digest != digest:
            raise Refusal(422, "This Idempotency-Key was used for a start with another body.")
        elif known.response is None:
            raise Refusal(
                409,
                "A start with this Idempotency-Key is still in progress.",
                headers={"Retry-After": "1"},
            )
        return known

    def restore(self, flow_id: str, key: str, digest: bytes, response: Started) -> None:
        """Restores a start from before a restart."""
        start = self._starts[flow_id, key] = Start(self, (flow_id, key), digest)
        start.response = response

    def clear(self, start: Start | None = None) -> None:
        """Removes one start, or all."""
        if start is None:
            self._starts.clear()
        # After a reset, the key may be another start's already.
        elif self._starts.get(start.key) is start:
            del self._starts[start.key]


@final
class Start:
    """A start. As a context manager, it is removed if the block ends without a response."""

    def __init__(self, keys: IdempotencyKeys, key: tuple[str, str], digest: bytes) -> None:
        self._keys = keys
        self.key: tuple[str, str] = key
        self.digest: bytes = digest
        self.response: Started | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A rejected start started nothing: the key is free for a corrected one.
        if self.response is None:
            self._keys.clear(self)
