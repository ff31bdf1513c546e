"""A jar that stores nothing."""

from __future__ import annotations

from http.cookiejar import CookieJar

__all__ = ["NoCookies"]


class NoCookies(CookieJar):
    """Stores nothing, parses nothing, and takes no lock that a fork might leave locked in a child."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Nothing."""

    def add_cookie_header(self, request: object) -> None:
        """Nothing."""
