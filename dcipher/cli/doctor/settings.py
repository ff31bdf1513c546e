"""`dcipher config show`: prints settings, options and the network configuration."""

from __future__ import annotations

import os
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

import httpx
from click.exceptions import Exit

from dcipher._client.assembly import user_agent
from dcipher._masking.text import redact_query
from dcipher._wire.arguments import request_timeout
from dcipher._wire.pools.routes import KEEPALIVE_EXPIRY, MAX_CONNECTIONS
from dcipher._wire.proxies.environment import environment_proxies, origin_of, usable_proxy
from dcipher.cli.doctor.setting_sources import Setting, explained
from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.errors import ConfigurationError
from dcipher.resilience import Resilience

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dcipher._settings.checks import Configuration
    from dcipher._wire.proxies.choice import Named
    from dcipher.cli.app.invocation import Invocation

__all__ = ["proxy_for", "show"]


def show(call: Invocation) -> None:
    """Prints all values, and the problems."""
    found = explained(call)
    everything = [*found.settings, *_options(found.values), *_network(found.values.base_url)]
    rows = [asdict(setting) for setting in everything]
    problems = [*(s.problem for s in everything if s.problem), *found.problems]
    if call.options.json:
        unknown = [asdict(variable) for variable in found.unknown]
        call.output.data({"settings": rows, "unknown": unknown, "problems": problems})
    else:
        call.output.data(rows, columns=["name", "value", "source"], key="name")
    for variable in found.unknown:
        call.output.warn(f"warning: {variable}")
    for problem in dict.fromkeys(problems):
        call.output.warn(f"error: {problem}")
    if problems:
        raise Exit(ExitCode.USAGE)


def _options(values: Configuration) -> Iterator[Setting]:
    """Yields the options of the client that only Python can set."""
    yield Setting("connect_timeout", request_timeout(values.timeout).connect, "default")
    policy = Resilience()
    for field in fields(Resilience):
        if field.name == "retry_statuses":
            yield Setting("resilience.retry_statuses", _ranges(policy.retry_statuses), "default")
        elif field.name != "max_retries":  # a setting
            value: object = getattr(policy, field.name)
            yield Setting(f"resilience.{field.name}", value, "default")
    yield Setting("max_connections", MAX_CONNECTIONS, "default")
    yield Setting("keepalive_expiry", KEEPALIVE_EXPIRY, "default")
    yield Setting("user_agent", user_agent(), "default")


def _ranges(numbers: Iterable[int]) -> str:
    """Returns numbers as ranges, such as `408, 500-599`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _network(base_url: str) -> Iterator[Setting]:
    try:
        proxy = proxy_for(base_url)
        shown = None if proxy is None else redact_query(proxy.value)
        yield Setting("proxy", shown, "default" if proxy is None else proxy.source)
    except ConfigurationError as error:
        yield Setting("proxy", None, "environment", error.message)
    # The file takes precedence, as in httpx.
    names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    source = next(iter(names), "default")
    yield Setting("certificates", os.environ.get(source, "certifi's"), source)


def proxy_for(url: str) -> Named | None:
    """Returns the proxy for a request to `url`, with its password; `None`: it is sent directly.

    Raises `ConfigurationError` for a variable with an invalid proxy.
    """
    return usable_proxy(environment_proxies(), origin_of(httpx.URL(url)))
