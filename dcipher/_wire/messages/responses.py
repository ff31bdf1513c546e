"""A complete response of the API, before it is parsed."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import httpx
from pydantic_core import from_json

from dcipher._concurrency.once import once
from dcipher._masking.redaction import redact
from dcipher._masking.text import clean
from dcipher._masking.urls import redact_message
from dcipher._urls.signed_urls import looks_signed
from dcipher.errors import InvalidResponseError, RequestInfo
from dcipher.errors._hints import with_hint

from .encodings import Inflater, encoding_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BOM", "MAX_BODY", "APIResponse", "JSONObject", "decoded", "has_readable_charset"]

BOM = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8."""
MAX_BODY = 8 * 1024 * 1024
"""Bytes of a response that are read at most. No response of this API is longer."""

LONGEST_TEXT = 65_536
"""Bytes of a body that are read as text."""
EXCERPT = 16_384
"""Characters that are used for an excerpt. They are redacted before the excerpt is cut."""

JSONObject: TypeAlias = "dict[str, Any]"

_PAGE = re.compile(r"\s*text/(?:html|plain)\b", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class APIResponse:
    """A response of the API, and what an error needs to know of the request."""

    # What may contain a secret is not in its repr, which error reporters record.
    status_code: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    """Decoded, without a byte order mark."""
    request: RequestInfo
    attempts: int = 1
    secrets: Sequence[str] = field(default=(), repr=False)
    """The secrets of the request, which an error must not contain even if the service repeats them."""

    @property
    def request_id(self) -> str | None:
        """The service's id of the request."""
        value = self.headers.get("x-request-id")
        return None if value is None else clean(redact(value, self.secrets))

    @property
    def excerpt(self) -> str:
        """At most 200 clean characters of the body, without secrets and signed URLs."""
        text = self.text[:EXCERPT]
        is_cut = self.is_cut or len(text) < len(self.text)
        return clean(redact_message(text, self.secrets, is_cut=is_cut))

    @property
    def is_cut(self) -> bool:
        """Whether `text` is only the beginning of the body."""
        return len(self.body) > LONGEST_TEXT

    @once
    def may_repeat(self) -> bool:
        """Whether the body may contain something that has to be redacted.

        This is determined once, so that an ordinary response is not searched field by field.
        """
        raw = self.body.decode("utf-8", "replace")
        # JSON may escape any character: then its texts are searched.
        return "\\u" in raw or looks_signed(raw) or redact(raw, self.secrets) != raw

    @once
    def charset(self) -> str:
        """The charset of the body, or UTF-8 if that one would hide a secret or cannot be decoded."""
        response = httpx.Response(200, headers=self.headers)
        named = response.charset_encoding if has_readable_charset(response) else None
        text = None if named is None else self._decoded(named)
        if named is None or text is None:
            return "utf-8"
        raw = self._decoded("utf-8") or ""
        hides = redact(text, self.secrets) == text and redact(raw, self.secrets) != raw
        return "utf-8" if hides else named

    @once
    def text(self) -> str:
        """The beginning of the body as text, decoded as httpx would. No error is longer."""
        return self._decoded(self.charset) or ""

    def _decoded(self, charset: str) -> str | None:
        return _text(self.body[:LONGEST_TEXT], charset, is_cut=self.is_cut)

    def json_object(self) -> JSONObject:
        """Parses the body as a JSON object. Raises `InvalidResponseError` if it is not one."""
        try:
            value = from_json(self.body, allow_inf_nan=False)
        except ValueError:
            raise self.invalid(self._not_json()) from None
        if not isinstance(value, dict):
            raise self.invalid(f"the body is a JSON {type(value).__name__} instead of an object")
        return cast("JSONObject", value)

    def _not_json(self) -> str:
        if not self.body.strip():
            return "the body is empty"
        declared = self.headers.get("content-type", "no content type")
        kind = clean(redact_message(declared, self.secrets), 60)
        # Truncated JSON is the API's, and may contain values of the caller. A page or a text comes
        # from a proxy, and has the reason.
        is_foreign = _PAGE.match(self.headers.get("content-type", "")) is not None
        return f"the body is not JSON ({kind})" + (f": {self.excerpt!r}" if is_foreign else "")

    def invalid(self, why: str) -> InvalidResponseError:
        """Returns the error for a success without the documented form."""
        error = InvalidResponseError(
            f"{self.request} returned {self.status_code}, but {why}.",
            request=self.request,
            attempts=self.attempts,
            request_id=self.request_id,
        )
        return with_hint(
            error,
            "Check base_url: a proxy or another service may have responded instead of Dcipher.",
            "Check the base URL: a proxy or another service may have responded instead of Dcipher.",
        )


def has_readable_charset(response: httpx.Response) -> bool:
    """Returns whether httpx can determine the charset without an error."""
    try:
        _ = response.charset_encoding
    except Exception:  # noqa: BLE001 - the parser of email, which it uses, raises errors of many kinds
        return False
    return True


def _text(body: bytes, charset: str, *, is_cut: bool) -> str | None:
    """Decodes `body` as httpx does. Returns `None` for an unknown charset, or for one like `hex`."""
    try:
        b"a".decode(charset, "replace")
        return codecs.getincrementaldecoder(charset)(errors="replace").decode(
            body, final=not is_cut
        )
    # A program can turn warnings into errors.
    except (LookupError, ValueError, AssertionError, Warning):
        return None


def decoded(body: bytes, content_encoding: str) -> bytes:
    """Returns `body` without its Content-Encoding and its byte order mark.

    Raises ValueError if it cannot be decoded.
    """
    encoding = encoding_of(content_encoding)
    if encoding is not None and body:
        inflater = Inflater(encoding, lambda _: MAX_BODY)
        body = b"".join(inflater.feed(body))
        inflater.finish()
    return body.removeprefix(BOM)
