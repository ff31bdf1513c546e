"""The `Location` of a response."""

from __future__ import annotations

import httpx

__all__ = ["forget_bad_location"]


def forget_bad_location(request: httpx.Request, response: httpx.Response) -> None:
    """Removes a Location that httpx cannot parse: its error would hide the status, followed or not."""
    try:
        url = httpx.URL(response.headers.get("location", ""))
        usable = bool(url.host) or not url.scheme
        if url.is_relative_url:  # it may be too long only when joined to the base
            request.url.join(url)
    except (httpx.InvalidURL, ValueError):
        usable = False
    if not usable:
        del response.headers["location"]
