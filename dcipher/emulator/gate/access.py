"""Access control: the API key, the signature, the rate limit."""

from __future__ import annotations

import hmac
import math
import re
import secrets
import time
from typing import TYPE_CHECKING, final

from dcipher._concurrency.clock import monotonic
from dcipher.emulator.gate.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["KEY_PREFIX", "RateLimit", "SignatureCheck", "authenticate", "new_key", "own_key"]

KEY_PREFIX = "emu_"
_KEY = re.compile(KEY_PREFIX + r"[!-~]+")  # it is the value of a header
_CHALLENGE = {"WWW-Authenticate": "Api-Key"}  # RFC 9110 section 15.5.2: a 401 has one


def new_key() -> str:
    """Returns a random key."""
    return KEY_PREFIX + secrets.token_urlsafe(24)


def own_key(key: object) -> str:
    """Returns the given key, or ''. Raises TypeError, or a ValueError that does not contain the key."""
    if key is None:
        return ""
    if not isinstance(key, str):
        raise TypeError(f"api_key must be a str, not {type(key).__name__}.")
    if not key.startswith(KEY_PREFIX):
        raise ValueError(
            f"The emulator's api_key must begin with {KEY_PREFIX}: a real key does not belong here."
        )
    if not _KEY.fullmatch(key):
        raise ValueError(
            f"The emulator's api_key must be {KEY_PREFIX} and one or more visible ASCII characters."
        )
    return key


def authenticate(authorization: str | None, api_key: str) -> None:
    """Raises a `Refusal` with 401 unless the header has the key. No message contains it."""
    if authorization is None:
        raise _unauthorized("The API key is missing: send the header 'Authorization: Api-Key …'.")
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "api-key" or not key:
        raise _unauthorized("The Authorization header must have the form 'Api-Key …'.")
    if not key.startswith(KEY_PREFIX):
        message = (
            f"The emulator accepts only keys that begin with {KEY_PREFIX}. This looks like a key of the "
            "real service, which does not belong here. Use the api_key of the emulator."
        )
        raise _unauthorized(message)
    if not hmac.compare_digest(key.encode(), api_key.encode()):
        raise _unauthorized("The API key is not that of this emulator. Use its api_key.")


@final
class SignatureCheck:
    """Verifies RFC 9421 signatures, each nonce once."""

    def __init__(self, secret: str | None, *, required: bool) -> None:
        self.secret: str | None = secret
        self._required = required
        self._nonces: dict[str, float] = {}

    def verify(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Raises a `Refusal` with 401 if the signature is missing, but required, or invalid."""
        if "signature-input" not in headers and "signature" not in headers:
            if self._required:
                raise _unauthorized("The request is not signed, and this emulator requires it.")
            return
        if self.secret is None:
            raise _unauthorized(
                "The request is signed, but the emulator has no secret. Pass it an api_secret."
            )
        # Imported here: an emulator without signed requests does not need it.
        from dcipher.signing import SignatureError, verify_request

        required = {"@method", "@authority", "@path", "@query", "authorization"}
        if body:
            required.add("content-digest")
        now = time.time()
        try:
            verified = verify_request(
                method, url, headers, body, secret=self.secret, required=required, now=now
            )
        except SignatureError as error:
            raise _unauthorized(f"The signature is not valid: {error}") from None
        self._once(verified.nonce, now, verified.expires)

    def clear(self) -> None:
        """Removes the nonces."""
        self._nonces.clear()

    def _once(self, nonce: str | None, now: float, expires: float | None) -> None:
        if not nonce:
            raise _unauthorized("The signature has no nonce.")
        if self._nonces.get(nonce, 0.0) > now:
            raise _unauthorized("The nonce of the signature was used before.")
        if len(self._nonces) >= _MANY_NONCES:
            self._nonces = {known: end for known, end in self._nonces.items() if end > now}
        self._nonces[nonce] = (math.inf if expires is None else expires) + _SKEW


@final
class RateLimit:
    """A token bucket: `rate` requests per second, and as many at once."""

    def __init__(self, rate: float, *, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._capacity = max(1.0, rate)
        self._tokens = self._capacity
        self._clock = clock
        self._at = clock()

    def check(self) -> None:
        """Takes a token. Raises a `Refusal` with 429 and Retry-After if there is none."""
        now = self._clock()
        self._tokens = min(self._capacity, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            wait = math.ceil((1.0 - self._tokens) / self._rate)
            raise Refusal(
                429,
                f"Too many requests: at most {self._rate:g} a second. Wait {wait} s.",
                headers={"Retry-After": str(wait)},
            )
        self._tokens -= 1.0

    def clear(self) -> None:
        """Refills the bucket."""
        self._tokens = self._capacity


_MANY_NONCES = 100_000
_SKEW = 120.0  # seconds that an expired signature may still be accepted, with a margin


def _unauthorized(message: str) -> Refusal:
    return Refusal(401, message, headers=_CHALLENGE)
