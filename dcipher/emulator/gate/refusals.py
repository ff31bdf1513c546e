"""The exception for a request that gets an error response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcipher.emulator.contract.contract import ErrorResponse, FieldError
from dcipher.emulator.gate.masking import masked_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Refusal"]


class Refusal(Exception):  # noqa: N818 (not an error of the emulator: an response to its caller)
    """A rejected request, with the status and the body of the response."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        detail: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        unmatched: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status: int = status
        self.body: ErrorResponse = ErrorResponse(
            message=message, detail=list(detail) if detail else None
        )
        self.headers: Mapping[str, str] = headers or {}
        self.unmatched: str | None = unmatched

    def to_json(self, secrets: Iterable[str]) -> bytes:
        """Returns the body of the response. It may repeat parts of the request, but no secret."""
        return masked_json(self.body.to_json(), secrets)
