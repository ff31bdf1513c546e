"""The files of the console, and the headers that isolate it."""

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
        # No text may become markup, even if the code of the page has an error.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)


@dataclass(frozen=True, slots=True)
class Page:
    """A served file."""

    content: bytes
    content_type: str

    @property
    def headers(self) -> Mapping[str, str]:
        """Its type, and the policies for the browser: no access beyond the emulator."""
        return {
            "content-type": self.content_type,
            "content-security-policy": _POLICY,
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "referrer-policy": "no-referrer",
            "x-frame-options": "DENY",
        }


def _pages() -> dict[str, Page]:
    """Returns the files by their names below `/_emulator/`, without Python files."""
    found = {
        file.name: Page(file.read_bytes(), _TYPES[suffix])
        for file in resources.files(__package__ or __name__).iterdir()
        for suffix in [file.name[file.name.rfind(".") :]]
        if suffix in _TYPES
    }
    return {"": found["index.html"], **found}


PAGES: Final[Mapping[str, Page]] = _pages()
