"""The files of the page, and the headers that keep it to itself."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PAGES", "Page"]

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY: Final = "; ".join(
    [
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
        # Nothing may become markup, should the page's code ever try to make it from text.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)


@dataclass(frozen=True, slots=True)
class Page:
    """A file as it is served."""

    content: bytes
    content_type: str

    @property
    def headers(self) -> Mapping[str, str]:
        """Its type, and what a browser may do with it: nothing outside of the emulator."""
        return {
            "content-type": self.content_type,
            "content-security-policy": _POLICY,
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "referrer-policy": "no-referrer",
            "x-frame-options": "DENY",
        }


def _pages() -> dict[str, Page]:
    """By the name behind `/_emulator/`; no file of Python is among them."""
    found = {
        file.name: Page(file.read_bytes(), _TYPES[suffix])
        for file in resources.files(__package__ or __name__).iterdir()
        for suffix in [file.name[file.name.rfind(".") :]]
        if suffix in _TYPES
    }
    return {"": found["index.html"], **found}


PAGES: Final[Mapping[str, Page]] = _pages()
