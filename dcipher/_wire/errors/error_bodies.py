"""Parses the body of an error response, in any of the usual forms; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from dcipher.models import ErrorResponse, FieldError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeAlias

__all__ = ["error_response", "is_about_an_error"]

JSONObject: TypeAlias = "dict[str, Any]"


_READABLE = re.compile(
    r"(?:text/(?:plain|html|xml)|application/(?:[a-z0-9.-]+\+)?(?:json|xml|xhtml\+xml))\s*(?:;|\Z)",
    re.ASCII | re.IGNORECASE,
)


def is_about_an_error(status_code: int, headers: Mapping[str, str]) -> bool:
    """Returns whether an excerpt of the body may be quoted: it is text that describes an error.

    Outside of 400 to 599, the body may be the requested result itself (RFC 9110 section 15); and so
    may a table or a file with any status.
    """
    kind = headers.get("content-type", "").strip()
    return 400 <= status_code < 600 and (not kind or _READABLE.match(kind) is not None)


def error_response(body: object) -> ErrorResponse | None:
    """Returns the body of an error as a model; `None` for an unknown form.

    The known forms are Dcipher's `message`, RFC 9457 and FastAPI's `detail`.
    """
    extra = dict(_object(body))
    detail = extra.pop("detail", None)
    fields = tuple(_field_errors(detail)) + tuple(_field_errors(extra.get("errors")))
    texts = {name: _text(extra.pop(name, None)) for name in ("title", "type", "instance")}
    message = _text(extra.pop("message", None)) or _nested_message(extra)
    message = message or (_text(detail) or texts["title"])
    if not message and fields:
        message = "; ".join(str(field) for field in fields)
    if detail is not None:
        extra["detail"] = detail
    known = {name: value for name, value in extra.items() if name not in ErrorResponse.model_fields}
    if message is None and not fields and not any(texts.values()):
        return None
    return ErrorResponse(**known, **texts, message=message, field_errors=fields)


def _nested_message(extra: JSONObject) -> str | None:
    """`{"error": "…"}` and `{"error": {"message": "…"}}`, as gateways write them."""
    error = extra.get("error")
    return _text(error) or _text(_object(error).get("message"))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _field_errors(items: object) -> Iterator[FieldError]:
    """FastAPI.

    `[{"loc": […], "msg": "…", "type": "…"}]`; RFC 9457 section 3: `[{"detail": "…", "pointer":
    "#/…"}]`.
    """
    for item in map(_object, _list(items)):
        if item:
            message = (
                _text(item.get("msg")) or _text(item.get("message")) or _text(item.get("detail"))
            )
            if message is not None:
                yield FieldError(loc=_location(item), message=message, type=_text(item.get("type")))


def _location(item: JSONObject) -> tuple[str | int, ...]:
    loc, pointer = _list(item.get("loc")), item.get("pointer")
    if loc:
        return tuple(part if isinstance(part, int) else str(part) for part in loc)
    if isinstance(pointer, str):
        # RFC 6901 sections 3, 4 and 6: percent escapes in a fragment, then ~1 and ~0.
        parts = unquote(pointer.lstrip("#")).split("/")
        return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts if part)
    return ()


def _object(value: object) -> JSONObject:
    return cast("JSONObject", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
