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
    """The answer to a start, without the emulator's address: that may change over a restart."""

    task_id: str
    paths: tuple[str, ...]
    """Path and query of the signed URL of each result."""


@final
class IdempotencyKeys:
    """The starts by flow and key, with the answers that they got."""

    def __init__(self) -> None:
        self._starts: dict[tuple[str, str], Start] = {}

    def claim(self, flow_id: str, key: str, body: bytes) -> Start:
        """The start under this key: a new one, or the one that was answered already.

        Raises `Refusal` with 409 while it is in progress, with 422 where its body was another.
        """
        digest = hashlib.sha256(body).digest()
        known = self._starts.get((flow_id, key))
        if known is None:
            known = self._starts[flow_id, key] = Start(self, (flow_id, key), digest)
        elif known.digest != digest:
            raise Refusal(422, "This Idempotency-Key was used for a start with another body.")
        elif known.answer is None:
            raise Refusal(
                409,
                "A start with this Idempotency-Key is still in progress.",
                headers={"Retry-After": "1"},
            )
        return known

    def restore(self, flow_id: str, key: str, digest: bytes, answer: Started) -> None:
        """Know a start that was answered before a restart."""
        start = self._starts[flow_id, key] = Start(self, (flow_id, key), digest)
        start.answer = answer

    def forget(self, start: Start | None = None) -> None:
        """Forget one start, or all."""
        if start is None:
            self._starts.clear()
        # After a reset, the key may be another start's already.
        elif self._starts.get(start.key) is start:
            del self._starts[start.key]


@final
class Start:
    """One start; as a context manager it is forgotten where it ends without an answer."""

    def __init__(self, keys: IdempotencyKeys, key: tuple[str, str], digest: bytes) -> None:
        self._keys = keys
        self.key: tuple[str, str] = key
        self.digest: bytes = digest
        self.answer: Started | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A refused start started nothing: the key is free for a corrected one.
        if self.answer is None:
            self._keys.forget(self)
