"""An answer of the API, whole, before anything is made of it."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import httpx
from pydantic_core import from_json

from dcipher._concurrency.once import once
from dcipher._masking.text import clean, redact, unsigned
from dcipher._urls.signed_urls import looks_signed
from dcipher.errors import InvalidResponseError, RequestInfo

from .encodings import Inflater, encoding_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_BODY", "Answer", "JSONObject", "decoded", "has_readable_charset"]

MAX_BODY = 8 * 1024 * 1024
"""Bytes of an API answer that are read at most: what is longer is not an answer of this API."""

LONGEST_TEXT = 65_536
"""Bytes of a body that are read as text."""
EXCERPT = 16_384
"""Characters of it that are looked at for an excerpt: masked before it is cut, half a secret too."""

JSONObject: TypeAlias = "dict[str, Any]"

_PAGE = re.compile(r"\s*text/(?:html|plain)\b", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """An answer of the API, and what an error has to know of the request."""

    # Not in its repr, which reporters of errors keep with the variables of a frame: what may hold a
    # secret.
    status_code: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    """Decoded, without a byte order mark."""
    request: RequestInfo
    attempts: int = 1
    secrets: Sequence[str] = field(default=(), repr=False)
    """What must not be repeated in an error, should the service repeat it."""

    @property
    def request_id(self) -> str | None:
        """The service's own name for the request."""
        value = self.headers.get("x-request-id")
        return None if value is None else clean(redact(value, self.secrets))

    @property
    def excerpt(self) -> str:
        """At most 200 clean characters of the body, without secrets and signed URLs."""
        said = self.text[:EXCERPT]
        is_cut = self.is_cut or len(said) < len(self.text)
        return clean(unsigned(said, self.secrets, is_cut=is_cut))

    @property
    def is_cut(self) -> bool:
        """Whether `text` is the beginning of the body alone."""
        return len(self.body) > LONGEST_TEXT

    @once
    def may_repeat(self) -> bool:
        """Whether there is anything in the body that has to be masked.

        It is looked at once, so that an ordinary answer is not searched field by field.
        """
        raw = self.body.decode("utf-8", "replace")
        # JSON may write any character as an escape: then its texts are looked at.
        return "\\u" in raw or looks_signed(raw) or redact(raw, self.secrets) != raw

    @once
    def charset(self) -> str:
        """What the body is text in, as far as it can be read so: a secret is one in any charset."""
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
        """The beginning of the body as text, as httpx would read it: what is longer is no error."""
        return self._decoded(self.charset) or ""

    def _decoded(self, charset: str) -> str | None:
        return _text(self.body[:LONGEST_TEXT], charset, is_cut=self.is_cut)

    def json_object(self) -> JSONObject:
        """The JSON object that the body is; one parser for every way in which it may be none."""
        try:
            value = from_json(self.body, allow_inf_nan=False)
        except ValueError:
            raise self.invalid(self._not_json()) from None
        if not isinstance(value, dict):
            raise self.invalid(f"with a JSON {type(value).__name__} instead of an object")
        return cast("JSONObject", value)

    def _not_json(self) -> str:
        if not self.body.strip():
            return "with an empty body"
        said = self.headers.get("content-type", "no content type")
        kind = clean(unsigned(said, self.secrets), 60)
        # JSON that breaks off is the API's, and may hold the caller's values. A page or a text comes
        # from something in between, and says what is wrong.
        is_foreign = _PAGE.match(self.headers.get("content-type", "")) is not None
        return f"not with JSON ({kind})" + (f": {self.excerpt!r}" if is_foreign else "")

    def invalid(self, why: str) -> InvalidResponseError:
        """The error for a success that is not what the API promises."""
        return InvalidResponseError(
            f"{self.request} answered {self.status_code}, but {why}. "
            "Check base_url: a proxy or another service may have answered instead of Dcipher.",
            request=self.request,
            attempts=self.attempts,
            request_id=self.request_id,
        )


def has_readable_charset(response: httpx.Response) -> bool:
    """Whether httpx can say the charset, or that there is none, whenever it is asked."""
    try:
        _ = response.charset_encoding
    except Exception:  # noqa: BLE001 - the parser of email, which it asks, raises errors of many kinds
        return False
    return True


def _text(body: bytes, charset: str, *, is_cut: bool) -> str | None:
    """`body` as httpx decodes it; `None`: Python knows no such charset, or `hex`, which is not one of text."""
    try:
        b"a".decode(charset, "replace")
        return codecs.getincrementaldecoder(charset)(errors="replace").decode(
            body, final=not is_cut
        )
    # A warning is raised where the program asks for that.
    except (LookupError, ValueError, AssertionError, Warning):
        return None


def decoded(body: bytes, content_encoding: str) -> bytes:
    """`body` without its Content-Encoding and its byte order mark.

    Raises ValueError for what cannot be undone.
    """
    encoding = encoding_of(content_encoding)
    if encoding is not None and body:
        inflater = Inflater(encoding, lambda _: MAX_BODY)
        body = b"".join(inflater.feed(body))
        inflater.finish()
    return body.removeprefix(b"\xef\xbb\xbf")
