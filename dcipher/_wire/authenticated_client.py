"""An HTTP client with an API key."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx
from pydantic import SecretStr

import dcipher
from dcipher._settings.checks import (
    check_api_key,
    check_api_secret,
    is_blank,
)
from dcipher._settings.headers import check_header
from dcipher._settings.secret_arguments import drops_frames
from dcipher._wire.http_client import HTTPClient
from dcipher.errors import ConfigurationError, MissingAPIKeyError
from dcipher.resilience import Resilience

if TYPE_CHECKING:
    import dcipher.signing

__all__ = ["HTTPAuthenticatedClient"]


class HTTPAuthenticatedClient(HTTPClient):
    """An `HTTPClient` that authenticates with an API key.

    The key and the signature are sent only to the origin of the base URL. No `repr` and no error
    contains the key or the secret.

    Args:
        base_url: The URL of the API, which may have a path.
        api_key: The API key.
        api_secret: The secret that signs every attempt (RFC 9421), as text or bytes.
        auth_header_name: The header that contains the key.
        auth_scheme: A word before the key: with `"Api-Key"` and the header `Authorization`, the
            client sends `Authorization: Api-Key <key>`.
        signer: Your own signer, which takes precedence over `api_secret`.
        cookies: Cookies that are sent with every request.
        headers: Headers that are sent with every request.
        timeout: Seconds for one request, of which at most 10 to connect, or an `httpx.Timeout`.
            Default: 60.
        verify_ssl: `False` disables the verification of certificates. A path to certificates, or an
            SSL context, replaces the default ones.
        follow_redirects: Whether the httpx clients follow redirects.
        httpx_args: Further arguments for `httpx.Client` and `httpx.AsyncClient`.
        raise_on_unexpected_status: Raise `UnexpectedStatus` for a status that the shipped OpenAPI
            document does not list.
        resilience: The retry policy of the httpx clients. `None`: no retries.

    Raises:
        MissingAPIKeyError: The key is missing or blank.
        ConfigurationError: An argument is invalid.
    """

    __slots__ = ("_api_key", "_auth_header_name", "_auth_scheme", "_own_signer")

    @drops_frames
    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | SecretStr | None,
        api_secret: str | bytes | SecretStr | None = None,
        auth_header_name: str = "API-Key",
        auth_scheme: str | None = None,
        signer: dcipher.signing.Signer | None = None,
        cookies: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | httpx.Timeout | None = None,
        verify_ssl: ssl.SSLContext | str | bool = True,
        follow_redirects: bool = False,
        httpx_args: Mapping[str, Any] | None = None,
        raise_on_unexpected_status: bool = False,
        resilience: Resilience | None = None,
    ) -> None:
        super().__init__(
            base_url,
            cookies=cookies,
            headers=headers,
            timeout=timeout,
            verify_ssl=verify_ssl,
            follow_redirects=follow_redirects,
            httpx_args=httpx_args,
            raise_on_unexpected_status=raise_on_unexpected_status,
            resilience=resilience,
        )
        if is_blank(api_key):
            raise MissingAPIKeyError("api_key is missing.")
        key = check_api_key(api_key, "api_key")
        check_header(auth_header_name, "" if auth_scheme is None else auth_scheme)
        self._api_key = SecretStr(key)
        self._auth_header_name = auth_header_name
        self._auth_scheme = auth_scheme
        self._own_signer = signer
        if signer is None and api_secret is not None:
            secret = (
                api_secret
                if isinstance(api_secret, bytes)
                else check_api_secret(api_secret, "api_secret")
            )
            if not secret:
                raise ConfigurationError("api_secret is empty.")
            from dcipher.signing import HMACSigner, key_id

            self._own_signer = HMACSigner(
                secret, key_id=key_id(key), key_header=auth_header_name.lower()
            )

    @property
    def auth_header_name(self) -> str:
        """The header that carries the key."""
        return self._auth_header_name

    @property
    def auth_scheme(self) -> str | None:
        """The word before the key in its header."""
        return self._auth_scheme

    def request_headers(self) -> dict[str, str]:
        """Returns the headers of every request, with the key in plain text."""
        key, name = self._api_key.get_secret_value(), self._auth_header_name
        others = {
            header: value
            for header, value in self._headers.items()
            if header.lower() != name.lower()
        }
        return {**others, name: f"{self._auth_scheme} {key}" if self._auth_scheme else key}

    def secrets(self) -> tuple[str, ...]:
        """Returns the secrets to redact."""
        return (self._api_key.get_secret_value(), *super().secrets())

    def _signer(self) -> dcipher.signing.Signer | None:
        return self._own_signer

    def _key_header(self) -> str | None:
        return self._auth_header_name
