"""Assembles a client: validates its arguments and settings, and creates its parts."""

from __future__ import annotations

import platform
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast

import httpx

import dcipher
from dcipher import logs
from dcipher._settings.checks import (
    ARGUMENT,
    DEFAULT,
    Configuration,
    refuse_plain_http,
    usable_key,
)
from dcipher._settings.headers import check_headers
from dcipher._settings.kinds import check_flag, check_kind
from dcipher._version import __version__
from dcipher._wire.authenticated_client import HTTPAuthenticatedClient
from dcipher._wire.httpx2_clients import is_client, plain_timeout
from dcipher._wire.pools.cookies import NoCookies
from dcipher.errors import ConfigurationError
from dcipher.errors._hints import with_hint
from dcipher.resilience import Resilience

from .configuration import configuration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from dcipher._wire.httpx2_clients import AsyncHttpx2Client, Httpx2Client
    from dcipher.settings import Settings
from dcipher._wire.options import Options, request_limits

__all__ = ["Parts", "assemble", "user_agent"]


class Parts(NamedTuple):
    """The arguments of an API object."""

    http: HTTPAuthenticatedClient
    options: Options
    configured_by: str
    allow_insecure: bool


def assemble(
    *,
    api_key: str | SecretStr | None,
    api_secret: str | bytes | SecretStr | None,
    base_url: str | None,
    timeout: float | httpx.Timeout | None,
    max_retries: int | None,
    resilience: Resilience | None,
    headers: Mapping[str, str] | None,
    http_client: httpx.Client
    | httpx.AsyncClient
    | Httpx2Client
    | AsyncHttpx2Client
    | HTTPAuthenticatedClient
    | None,
    transport: httpx.BaseTransport | httpx.AsyncBaseTransport | None,
    settings: Settings | None,
    allow_insecure: bool,
    kinds: tuple[type, type],
) -> Parts:
    """Returns the parts of a client.

    `kinds`: the classes that its `http_client` and its `transport` must be instances of.
    """
    _check_kinds(http_client, transport, kinds)
    # The command line has its own settings class, which has `source` as `Settings` does. Using
    # `Settings` imports pydantic-settings, which takes longer than httpx.
    given: object = settings
    if given is not None and (isinstance(given, type) or not hasattr(given, "source")):
        check_kind("settings", settings, dcipher.Settings, "a Settings")
    check_kind("resilience", resilience, Resilience, "a Resilience")
    check_flag("allow_insecure", allow_insecure)  # the text "false" permits nothing
    identity = {"api_key": api_key, "api_secret": api_secret, "base_url": base_url}
    if isinstance(http_client, HTTPAuthenticatedClient):
        _check_brought(identity)
    found = configuration(
        {
            **identity,
            "api_secret": None if isinstance(api_secret, bytes) else api_secret,
            "max_retries": max_retries,
            "timeout": None if isinstance(timeout, httpx.Timeout) else timeout,
        },
        settings,
    )
    if isinstance(api_secret, bytes):
        sources = {**found.sources, "api_secret": ARGUMENT}
        found = replace(found, api_secret=api_secret, sources=sources)
    logs.configure(found.log)
    options = _options(found, timeout, resilience, headers, http_client)
    if isinstance(http_client, HTTPAuthenticatedClient):
        # Retries happen here: two layers of retries would multiply.
        http = http_client.with_resilience(None)
    else:
        http = _http(found, options, http_client, transport)
    if not allow_insecure:
        refuse_plain_http(http.base_url)
    return Parts(http, options, _named(found, http_client), allow_insecure)


def _check_brought(identity: Mapping[str, object]) -> None:
    if any(given is not None for given in identity.values()):
        raise with_hint(
            ConfigurationError("An HTTPAuthenticatedClient has its own key, secret and base URL."),
            "Do not pass them here.",
        )


def _options(
    found: Configuration,
    timeout: float | httpx.Timeout | None,
    resilience: Resilience | None,
    headers: Mapping[str, str] | None,
    http_client: object,
) -> Options:
    policy = resilience or Resilience()
    if resilience is None or found.sources.get("max_retries") == ARGUMENT:
        policy = replace(policy, max_retries=found.max_retries)
    if timeout is None and "timeout" not in found.sources:  # the httpx client's timeout is used
        timeout = plain_timeout(getattr(http_client, "timeout", None))
    limits, total = request_limits(found.timeout if timeout is None else timeout)
    return Options(
        policy, limits, total, {**_default_headers(http_client), **check_headers(headers)}
    )


def _check_kinds(http_client: object, transport: object, kinds: tuple[type, type]) -> None:
    clients, transports = kinds
    name = clients.__name__
    is_ours = http_client is None or isinstance(http_client, HTTPAuthenticatedClient)
    if not is_ours and not is_client(http_client, name):
        raise ConfigurationError(
            f"http_client must be an httpx.{name}, an httpx2.{name} or an HTTPAuthenticatedClient, "
            f"not {type(http_client).__name__}."
        )
    if transport is not None and not isinstance(transport, transports):
        raise ConfigurationError(
            f"transport must be an httpx.{transports.__name__}, not {type(transport).__name__}."
        )
    if http_client is not None and transport is not None:
        raise with_hint(
            ConfigurationError("http_client has its own transport."),
            "Pass http_client or transport, not both.",
        )


def _http(
    found: Configuration,
    options: Options,
    http_client: object,
    transport: object,
) -> HTTPAuthenticatedClient:
    http = HTTPAuthenticatedClient(
        found.base_url,
        api_key=usable_key(found),
        api_secret=found.api_secret,
        auth_header_name="Authorization",
        auth_scheme="Api-Key",
        timeout=options.timeout,
        # The httpx client of the user has its own proxies.
        httpx_args={
            "cookies": NoCookies(),
            "transport": transport,
            "trust_env": http_client is None,
        },
    )
    if is_client(http_client, "Client"):
        return http.set_httpx_client(cast("httpx.Client", http_client)).with_headers({})
    if is_client(http_client, "AsyncClient"):
        return http.set_async_httpx_client(cast("httpx.AsyncClient", http_client)).with_headers({})
    return http


def _named(found: Configuration, http_client: object) -> str:
    """Returns the source of the base URL."""
    if isinstance(http_client, HTTPAuthenticatedClient):
        return "http_client=…"
    source = found.sources.get("base_url", DEFAULT)
    where = {ARGUMENT: "base_url=…", DEFAULT: "the default base URL"}
    return where.get(source, f"DCIPHER_BASE_URL, {source}")


def _default_headers(http_client: object) -> dict[str, str]:
    # identity: a response of this API is small, and an uncompressed one cannot be a decompression bomb.
    ours = {
        "User-Agent": user_agent(),
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }
    if not any(is_client(http_client, name) for name in ("Client", "AsyncClient")):
        return ours
    given = cast("httpx.Client", http_client).headers
    usual = {
        "accept",
        "accept-encoding",
        "connection",
        "user-agent",
        "host",
        "authorization",
        "cookie",
    }
    return {
        **ours,
        **check_headers({k: v for k, v in given.items() if k not in usual}),
    }


def user_agent() -> str:
    """Returns the User-Agent."""
    return f"dcipher/{__version__} httpx/{httpx.__version__} python/{platform.python_version()}"
