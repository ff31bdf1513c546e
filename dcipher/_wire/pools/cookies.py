"""A cookie jar that stores nothing."""

from __future__ import annotations

from http.cookiejar import CookieJar

__all__ = ["NoCookies"]


class NoCookies(CookieJar):
    """Stores and parses nothing, and has no lock that a fork could leave locked in a child."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Does nothing."""

    def add_cookie_header(self, request: object) -> None:
        """Does nothing."""
