"""An immutable HTTP client, which builds httpx clients."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx
from typing_extensions import Self

import dcipher
from dcipher._concurrency.limiting import Permit
from dcipher._concurrency.scopes import ForkLock
from dcipher._masking.secret_names import secret_values
from dcipher._settings.checks import check_base_url
from dcipher._settings.headers import plain_headers
from dcipher._settings.kinds import check_kind
from dcipher._settings.secret_arguments import drops_frames
from dcipher._wire.layers.direct import adds_something, note
from dcipher._wire.layers.layers import layered
from dcipher._wire.pools.routes import Reference, Routes
from dcipher.errors import DcipherError
from dcipher.resilience import Resilience

from .arguments import plain_cookies, reachable, request_timeout, slots_of
from .httpx2_clients import AsyncHttpx2Client, Httpx2Client, usable_client

if TYPE_CHECKING:
    import dcipher.signing

__all__ = ["HTTPClient"]


class HTTPClient:
    """An HTTP client for any JSON API.

    It is immutable: `with_…` derives another client, which shares the connections. It builds one
    blocking and one async httpx client at their first use.

    Cookies, and headers with the name of a secret, are sent only to the origin of the base URL. A
    redirect or an absolute URL to another origin is requested without them.

    Args:
        base_url: The URL of the API, which may have a path.
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
        ConfigurationError: The URL, the timeout, a header or another argument is invalid.
    """

    __slots__ = (
        "_async_client",
        "_async_transport",
        "_base_url",
        "_client",
        "_cookies",
        "_follow_redirects",
        "_headers",
        "_httpx_args",
        "_is_ended",
        "_lock",
        "_raise_on_unexpected_status",
        "_reference",
        "_resilience",
        "_routes",
        "_timeout",
        "_transport",
        "_verify_ssl",
    )

    @drops_frames
    def __init__(
        self,
        base_url: str,
        *,
        cookies: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | httpx.Timeout | None = None,
        verify_ssl: ssl.SSLContext | str | bool = True,
        follow_redirects: bool = False,
        httpx_args: Mapping[str, Any] | None = None,
        raise_on_unexpected_status: bool = False,
        resilience: Resilience | None = None,
    ) -> None:
        request_timeout(timeout)  # says now what is wrong with it
        check_kind("httpx_args", httpx_args, Mapping, "a mapping")
        check_kind("resilience", resilience, Resilience, "a Resilience")
        self._base_url = reachable(check_base_url(base_url, "base_url"))
        self._cookies = plain_cookies(cookies)
        self._headers = plain_headers(headers)
        self._timeout = timeout
        self._verify_ssl = verify_ssl
        self._follow_redirects = follow_redirects
        self._httpx_args = dict(httpx_args or {})
        self._raise_on_unexpected_status = raise_on_unexpected_status
        self._resilience = resilience
        # As long as this object lives, the connections stay open.
        self._reference: Reference | None = Reference()
        self._routes = Routes(verify_ssl, self._httpx_args, reference=self._reference)
        self._routes.check(self._base_url)
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._lock = ForkLock()
        self._transport: httpx.BaseTransport | None = None
        self._async_transport: httpx.AsyncBaseTransport | None = None
        self._client: httpx.Client | None = None
        self._async_client: httpx.AsyncClient | None = None
        self._is_ended = False

    @property
    def base_url(self) -> str:
        """The base URL, without its trailing slash."""
        return self._base_url

    @property
    def cookies(self) -> dict[str, str]:
        """A copy of the cookies."""
        return dict(self._cookies)

    @property
    def headers(self) -> dict[str, str]:
        """A copy of the headers, without that of the key."""
        return dict(self._headers)

    @property
    def timeout(self) -> float | httpx.Timeout | None:
        """The timeout, as it was passed."""
        return self._timeout

    @property
    def resilience(self) -> Resilience | None:
        """The retry policy of the httpx clients."""
        return self._resilience

    @property
    def raise_on_unexpected_status(self) -> bool:
        """Whether a status that the OpenAPI document does not list is raised as `UnexpectedStatus`."""
        return self._raise_on_unexpected_status

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._base_url!r})"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError(
            f"{type(self).__name__} cannot be copied or pickled: it holds connections. "
            "Derive another one with with_headers({})."
        )

    # Deriving.

    def _derived(self, **changes: Any) -> Self:
        derived = object.__new__(type(self))
        for name in slots_of(type(self)):
            object.__setattr__(derived, name, changes.get(name, getattr(self, name)))
        derived._reference = None
        derived._start_afresh()
        return derived

    @drops_frames
    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """Returns a client with additional headers."""
        return self._derived(_headers={**self._headers, **plain_headers(headers)})

    @drops_frames
    def with_cookies(self, cookies: Mapping[str, str]) -> Self:
        """Returns a client with additional cookies."""
        return self._derived(_cookies={**self._cookies, **plain_cookies(cookies)})

    @drops_frames
    def with_timeout(self, timeout: float | httpx.Timeout) -> Self:
        """Returns a client with another timeout: seconds, or an `httpx.Timeout`."""
        request_timeout(timeout)
        return self._derived(_timeout=timeout)

    @drops_frames
    def with_resilience(self, resilience: Resilience | None) -> Self:
        """Returns a client with another retry policy; `None`: no retries."""
        check_kind("resilience", resilience, Resilience, "a Resilience")
        return self._derived(_resilience=resilience)

    def anonymous(self) -> HTTPClient:
        """Returns a client for other hosts with the same proxies and transports.

        It has no key, signature, headers, cookies and retries.
        """
        client = HTTPClient(
            self._base_url,
            timeout=self._timeout,
            verify_ssl=self._verify_ssl,
            httpx_args={"trust_env": False},  # the routes of this one only
        )
        client._routes, client._reference = self._routes.transports_only(), self._reference
        return client

    @property
    def was_used(self) -> bool:
        """Whether the blocking httpx client, or one that shares its connections, was built."""
        return self._client is not None or self._routes.was_used

    @property
    def is_custom_transport(self) -> bool:
        """Whether blocking requests use a transport or an httpx client of the user."""
        return self._routes.is_custom

    @property
    def is_custom_async_transport(self) -> bool:
        """Whether async requests use a transport or an httpx client of the user."""
        return self._routes.is_custom_async

    @property
    def _is_closed(self) -> bool:
        """Whether the sync httpx client was closed."""
        return self._is_ended or (self._client is not None and self._client.is_closed)

    @property
    def _is_closed_async(self) -> bool:
        """Whether the async httpx client was closed."""
        return self._async_client is not None and self._async_client.is_closed

    def spare_permits(self, count: int) -> list[Permit]:
        """Returns permits for `count` more sync connections of a download, or as many as are available."""
        return self._routes.spare_permits(count)

    # The httpx clients.

    def set_httpx_client(self, client: httpx.Client | Httpx2Client) -> Self:
        """Uses this client of httpx or httpx2 instead of building one. Returns `self`.

        Its own headers, cookies and timeout are used; this client does not add the key.
        """
        self._client, self._transport = usable_client(client, "Client"), None
        self._routes = self._routes.via(client)
        return self

    def set_async_httpx_client(self, async_client: httpx.AsyncClient | AsyncHttpx2Client) -> Self:
        """Uses this async client of httpx or httpx2 instead of building one. Returns `self`.

        Its own headers, cookies and timeout are used; this client does not add the key.
        """
        self._async_client, self._async_transport = usable_client(async_client, "AsyncClient"), None
        self._routes = self._routes.async_via(async_client)
        return self

    def get_or_create_httpx_client(self) -> httpx.Client:
        """Returns the httpx client, which is built at the first call, or the one that was set."""
        return self._client or self._build()

    def get_or_create_async_httpx_client(self) -> httpx.AsyncClient:
        """Returns the async httpx client, which is built at the first call, or the one that was set."""
        return self._async_client or self._build_async()

    def _build(self) -> httpx.Client:
        with self._lock():
            if self._client is None and self._is_ended:
                raise DcipherError("This client is closed.")
            if self._client is None:
                routes = self._routes.transport_args(self._layered, self._reference)
                self._transport = None if routes["mounts"] else routes["transport"]
                self._client = httpx.Client(**self._client_args(), **routes)
            return self._client

    def _build_async(self) -> httpx.AsyncClient:
        with self._lock():
            if self._async_client is None:
                routes = self._routes.async_transport_args(self._async_layered, self._reference)
                self._async_transport = None if routes["mounts"] else routes["transport"]
                self._async_client = httpx.AsyncClient(**self._client_args(), **routes)
            return self._async_client

    def _send(self, request: httpx.Request) -> httpx.Response:
        """Sends a request of ours, directly if the httpx client would add nothing to it.

        The caller closes the response. Redirects are not followed.
        """
        client = self._client or self._build()
        transport = self._transport
        if transport is None or adds_something(client):
            return client.send(request, stream=True, follow_redirects=False)
        response = transport.handle_request(request)
        response.request = request
        note(client, response)
        return response

    async def _send_async(self, request: httpx.Request) -> httpx.Response:
        """Sends a request by the async httpx client in the same way."""
        client = self._async_client or self._build_async()
        transport = self._async_transport
        if transport is None or adds_something(client):
            return await client.send(request, stream=True, follow_redirects=False)
        response = await transport.handle_async_request(request)
        response.request = request
        note(client, response)
        return response

    def _client_args(self) -> dict[str, Any]:
        given = self._routes.client_args
        headers = httpx.Headers(given.get("headers"))
        headers.update(self.request_headers())  # the key's header replaces any other of its name
        return {
            "base_url": self._base_url,
            "cookies": self._cookies,
            "timeout": request_timeout(self._timeout),
            "follow_redirects": self._follow_redirects,
            **given,
            "headers": headers,
        }

    def request_headers(self) -> dict[str, str]:
        """Returns the headers of every request."""
        return self._headers

    def secrets(self) -> tuple[str, ...]:
        """Returns the secrets to redact."""
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        own = secret_values({**self._headers, "Cookie": cookies})
        return (*own, *self._routes.secrets())

    def _signer(self) -> dcipher.signing.Signer | None:
        return None

    def _key_header(self) -> str | None:
        return None

    def _layered(self, pool: Any, reference: Reference | None) -> httpx.BaseTransport:
        return layered(pool, reference, **self._layers())

    def _async_layered(self, pool: Any, reference: Reference | None) -> httpx.AsyncBaseTransport:
        from dcipher._wire.layers.layers_async import async_layered

        return async_layered(pool, reference, **self._layers())

    def _layers(self) -> dict[str, Any]:
        policy = self._resilience
        retries = policy is not None and (policy.max_retries > 0 or policy.deadline is not None)
        return {
            "base_url": self._base_url,
            "key_header": self._key_header(),
            "signer": self._signer(),
            "retries": policy if retries else None,
            "secrets": self.secrets() if self._raise_on_unexpected_status else None,
        }

    def close(self) -> None:
        """Closes the httpx client. Clients that share its connections remain open."""
        self.get_or_create_httpx_client().close()

    def _end(self) -> None:
        """Closes the httpx client, if there is one; otherwise, none is built any more."""
        with self._lock():
            self._is_ended = True
            client = self._client
        if client is None:
            self._routes.release(self._reference)
        else:
            client.close()

    async def aclose(self) -> None:
        """Closes the async httpx client. Clients that share its connections remain open."""
        await self.get_or_create_async_httpx_client().aclose()

    def __enter__(self) -> Self:
        self.get_or_create_httpx_client().__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.get_or_create_httpx_client().__exit__(exc_type, exc_value, traceback)

    async def __aenter__(self) -> Self:
        await self.get_or_create_async_httpx_client().__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.get_or_create_async_httpx_client().__aexit__(exc_type, exc_value, traceback)
