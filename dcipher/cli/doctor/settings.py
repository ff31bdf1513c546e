"""`dcipher config show`: every setting and option, with its value, its source and its problem."""

from __future__ import annotations

import os
import warnings
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
from click.exceptions import Exit

from dcipher._client.assembly import user_agent
from dcipher._masking.text import clean
from dcipher._masking.urls import redact_query
from dcipher._settings.checks import (
    CHECKS,
    DOTENV,
    Configuration,
    is_blank,
    refuse_plain_http,
    usable_key,
)
from dcipher._settings.dotenv import dotenv_text
from dcipher._wire.arguments import request_timeout
from dcipher._wire.pools.routes import KEEPALIVE_EXPIRY, MAX_CONNECTIONS
from dcipher._wire.proxies.environment import environment_proxies, origin_of, usable_proxy
from dcipher.cli.app.layers import loaders
from dcipher.cli.terminal.errors import ExitCode
from dcipher.errors import ConfigurationError, DcipherError, MissingAPIKeyError
from dcipher.resilience import Resilience

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from dcipher._wire.proxies.choice import Named
    from dcipher.cli.app.invocation import Invocation
    from dcipher.cli.app.options import Options

__all__ = ["Explained", "Setting", "Unknown", "explained", "proxy_for", "show"]

PREFIX = "DCIPHER_"
OTHERS = ("DCIPHER_NO_LEDGER", "DCIPHER_STATE_DIR")
"""Variables that only the command line reads."""
_SECRET = ("api_key", "api_secret")


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
    for option in fields(Resilience):
        if option.name == "retry_statuses":
            yield Setting("resilience.retry_statuses", _ranges(policy.retry_statuses), "default")
        elif option.name != "max_retries":  # a setting
            value: object = getattr(policy, option.name)
            yield Setting(f"resilience.{option.name}", value, "default")
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


@dataclass(frozen=True)
class Setting:
    """One setting, or option of the client."""

    name: str
    value: object
    """The value in use; for a secret, its length; `None` if it is missing or invalid."""
    source: str
    """An option of the command line, a variable, a line of a file, or `default`."""
    problem: str | None = None
    """Why it is invalid."""


@dataclass(frozen=True)
class Unknown:
    """A variable with our prefix that is not a setting."""

    name: str
    source: str
    nearest: str | None

    def __str__(self) -> str:
        """Returns a sentence."""
        meant = f" Is it {self.nearest}?" if self.nearest else ""
        return f"There is no setting {clean(self.name, 64)} ({self.source}).{meant}"


@dataclass(frozen=True)
class Explained:
    """The settings, and their problems."""

    settings: tuple[Setting, ...]
    unknown: tuple[Unknown, ...]
    problems: tuple[str, ...]
    """The problems of files, and of combinations of settings."""
    values: Configuration
    """The valid values."""
    layers: tuple[tuple[str, dict[str, Any]], ...] = field(repr=False)
    """The settings of the client."""

    @property
    def all_problems(self) -> tuple[str, ...]:
        """All problems, including those of single settings."""
        own = (setting.problem for setting in self.settings if setting.problem)
        return tuple(dict.fromkeys((*own, *self.problems)))


def explained(call: Invocation) -> Explained:
    """Reads all sources. Invalid values are problems, not exceptions."""
    found: list[tuple[str, dict[str, Any]]] = []
    problems: list[str] = []
    for source, load in loaders(call.options, call.read):
        try:
            found.append((source, load()))
        except DcipherError as error:
            problems.append(error.message)
    variables = {"environment": _environment(), DOTENV: _lines(call.options.env_file)}
    settings: list[Setting] = []
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, check in CHECKS.items():
        given = ((one, layer[name]) for one, layer in found if not is_blank(layer.get(name)))
        source, value = next(given, ("default", None))
        if source == "default":
            settings.append(Setting(name, getattr(Configuration(), name), source))
            continue
        place = _place(name, source, variables, call.options)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # blanks around a key are valid
                values[name] = check(value, f"{name} ({place})")
            sources[name] = source
            settings.append(Setting(name, _shown(name, values[name]), place))
        except ConfigurationError as error:
            # The value is not shown: in the wrong variable, it may be a key.
            settings.append(Setting(name, None, place, error.message))
    valid = Configuration(**values, sources=sources)
    unknown = [one for known in variables.values() for one in _unknown(known)]
    problems += _together(valid)
    return Explained(tuple(settings), tuple(unknown), tuple(problems), valid, tuple(found))


def _place(
    name: str, source: str, variables: Mapping[str, Mapping[str, _Variable]], options: Options
) -> str:
    if source == "argument":
        path = options.api_key_file
        key_file = f"--api-key-file {'standard input' if str(path) == '-' else path}"
        return {"api_key": key_file, "log": "--verbose"}.get(name, "--base-url")
    written, place = variables[source][PREFIX + name.upper()]
    return written if place == "environment" else f"{place}, {written}"


class _Variable(NamedTuple):
    """A variable as it is written, and `environment`, or its file and line."""

    name: str
    place: str


def _environment() -> dict[str, _Variable]:
    """Returns the variables by their names in upper case, because names are case-insensitive."""
    ours = (name for name in os.environ if name.upper().startswith(PREFIX))
    return {name.upper(): _Variable(name, "environment") for name in ours}


def _lines(path: Path | None) -> dict[str, _Variable]:
    """Returns the variables of a file by their names in upper case. The last line takes precedence."""
    from dotenv.parser import parse_stream

    try:
        text = "" if path is None else dotenv_text(path)
    except ConfigurationError:
        return {}  # reported by its loader
    found: dict[str, _Variable] = {}
    for binding in parse_stream(StringIO(text)):
        name, line, written = binding.key or "", binding.original.line, binding.original.string
        line += len(written) - len(written.lstrip("\n"))  # preceding blank lines belong to it
        if name.upper().startswith(PREFIX):
            found[name.upper()] = _Variable(name, f"{path}:{line}")
    return found


def _shown(name: str, value: Any) -> object:
    return f"set, {len(value)} characters" if name in _SECRET else value


def _together(values: Configuration) -> Iterator[str]:
    try:
        usable_key(values)
    except MissingAPIKeyError:
        pass  # a missing key is not a problem here
    except ConfigurationError as error:
        yield error.message
    try:
        refuse_plain_http(values.base_url)
    except ConfigurationError as error:
        yield error.message


def _unknown(variables: Mapping[str, _Variable]) -> Iterator[Unknown]:
    known = [*(PREFIX + name.upper() for name in CHECKS), *OTHERS]
    for name, (written, place) in variables.items():
        if name not in known:
            ends = [one.removeprefix(PREFIX) for one in known]
            near = get_close_matches(name.removeprefix(PREFIX), ends, 1)
            yield Unknown(written, place, PREFIX + near[0] if near else None)
