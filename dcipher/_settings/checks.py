"""What a setting may be, and which of several values wins.

Argument, environment, `.env`, default, in this order.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dcipher._urls.hosts import leads_here
from dcipher.errors import ConfigurationError, MissingAPIKeyError

from .placeholders import is_placeholder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "ARGUMENT",
    "CHECKS",
    "COMMAND_LINE",
    "DEFAULT",
    "DEFAULT_BASE_URL",
    "DEFAULT_CONNECT_TIMEOUT",
    "DEFAULT_MAX_RETRIES",
    "DEFAULT_TIMEOUT",
    "DOTENV",
    "ENVIRONMENT",
    "SECRETS_DIR",
    "UNKNOWN",
    "VALIDATED",
    "Configuration",
    "is_blank",
    "resolve",
    "usable_key",
]


DEFAULT_BASE_URL = "https://api.dcipheranalytics.com"
DEFAULT_TIMEOUT = 60.0
DEFAULT_CONNECT_TIMEOUT = 10.0
DEFAULT_MAX_RETRIES = 5
LONGEST = 100_000_000

# Where values come from.
ARGUMENT, COMMAND_LINE, ENVIRONMENT = "argument", "command line", "environment"
SECRETS_DIR, DEFAULT, UNKNOWN = "secrets_dir", "default", "unknown"
VALIDATED = "validated data"
"""What `Settings.model_validate` is given: one place, of which nobody knows who wrote it."""
DOTENV = ".env"
"""Of the working directory; another file goes by its path, another source by its class."""
_TRUSTED = frozenset({ARGUMENT, COMMAND_LINE, ENVIRONMENT, SECRETS_DIR, DEFAULT})
"""May say where any key goes: the program itself, and who runs it. A file may lie anywhere."""
_LEVELS = ("debug", "info", "warning", "error", "critical")


@dataclass(frozen=True)
class Configuration:
    """The settings of one client, checked."""

    api_key: str | None = field(default=None, repr=False)
    api_secret: str | bytes | None = field(default=None, repr=False)
    base_url: str = DEFAULT_BASE_URL
    log: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    max_retries: int = DEFAULT_MAX_RETRIES
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name → where its value came from; a name that is missing has its default."""


def resolve(layers: Iterable[tuple[str, Mapping[str, object]]]) -> Configuration:
    """The first value that is not blank wins; only that one is checked."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, layer in layers:
        for name, value in layer.items():
            if name not in values and not is_blank(value):
                values[name] = CHECKS[name](value, f"{name} ({_called(name, source)})")
                sources[name] = source
    return Configuration(**values, sources=sources)


def _called(name: str, source: str) -> str:
    return ARGUMENT if source == ARGUMENT else f"DCIPHER_{name.upper()}, {source}"


def usable_key(configuration: Configuration) -> str:
    """The API key, if there is one and it may be sent to the base URL."""
    if configuration.api_key is None:
        raise MissingAPIKeyError(
            "There is no API key. Set DCIPHER_API_KEY in the environment or in a .env file, or pass api_key=…. "
            "Without an account, dcipher.emulator is a local service, and `dcipher demo` a first run."
        )
    # Whoever can put a file into the working directory must not be able to have the key sent to
    # themselves.
    place = configuration.sources.get("base_url", DEFAULT)
    for name, called in (("api_key", "API key"), ("api_secret", "API secret")):
        source = configuration.sources.get(name, DEFAULT)
        if getattr(configuration, name) is not None and not _may_say(place, source):
            shown = {DOTENV: "a .env file", UNKNOWN: "a place that is not known"}.get(place, place)
            raise ConfigurationError(
                f"The base URL {configuration.base_url} comes from {shown}, and the {called} does "
                "not: it is not sent there. Put both into the same place, or pass base_url=…."
            )
    return configuration.api_key


def _may_say(place: str, source: str) -> bool:
    """Whether a base URL from `place` may have a key from `source`."""
    return place in _TRUSTED or (place == source and place != UNKNOWN)


def is_blank(value: object) -> bool:
    """Whether a setting counts as missing: `None`, or text of nothing but blanks."""
    return value is None or (isinstance(value, str) and not value.strip())


def _plain(value: object, where: str) -> str:
    """The text of a value or of a secret (anything with `get_secret_value`)."""
    reveal = getattr(value, "get_secret_value", None)
    text = reveal() if callable(reveal) else value
    if not isinstance(text, str):
        raise ConfigurationError(f"{where} must be text, not {type(value).__name__}.")
    return text


def check_api_key(value: object, where: str) -> str:
    """A key as a header can carry it. The value itself is never shown (httpx would print it)."""
    text = _plain(value, where)
    key = text.strip()
    if key != text:
        warnings.warn(
            f"{where} had blanks or a line break around it; they were left out.", stacklevel=2
        )
    if key.lower() == "api-key" or key[:8].lower() == "api-key ":  # pasted with its scheme
        key = key[8:].strip()
    _refuse_placeholder(key, where)
    _refuse_bad_characters(key, where)
    if not key:
        raise MissingAPIKeyError(f"{where} is empty.")
    return key


def _refuse_placeholder(text: str, where: str) -> None:
    if is_placeholder(text):
        raise ConfigurationError(
            f"{where} is a placeholder of an example, such as … or <key>, or a variable that the "
            "shell has not replaced. Put your own in its place."
        )


def _refuse_bad_characters(text: str, where: str) -> None:
    for position, character in enumerate(text):
        if not "!" <= character <= "~":
            kind = (
                "a blank or control" if character <= " " or character == "\x7f" else "a non-ASCII"
            )
            raise ConfigurationError(f"{where} holds {kind} character at position {position}.")


def check_api_secret(value: object, where: str) -> str:
    """The secret for signing: any text; a line break at its end is left out."""
    text = _plain(value, where)
    secret = text.strip()
    if secret != text:
        warnings.warn(
            f"{where} had blanks or a line break around it; they were left out.", stacklevel=2
        )
    _refuse_placeholder(secret, where)
    if any("\ud800" <= character <= "\udfff" for character in secret):
        raise ConfigurationError(f"{where} is not text that can be written in UTF-8.")
    return secret


def check_base_url(value: object, where: str) -> str:
    """A base URL without its trailing slash.

    It may have a path, but no user info, query or fragment.
    """
    text = str(value).strip()
    if "${" in text:
        raise ConfigurationError(
            f"{where} holds a reference to a variable, ${{…}}, and none is filled in: write the URL itself."
        )
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise ConfigurationError(f"{where} is not a URL.") from None
    if parts.scheme.lower() not in {"http", "https"} or not host:
        # Not shown: what stands in the wrong variable may be a key or a password.
        raise ConfigurationError(f"{where} must look like https://host.")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{where} must not carry a user name or password.")
    if "?" in text or "#" in text:
        raise ConfigurationError(f"{where} must have neither a query nor a fragment.")
    if any(not character.isprintable() or character.isspace() for character in text):
        raise ConfigurationError(f"{where} holds blanks or control characters.")
    return text.rstrip("/")


def refuse_plain_http(base_url: str) -> None:
    """Plain http shows the key to everyone on the way; only this machine may be reached so."""
    if urlsplit(base_url).scheme == "http" and not leads_here(base_url):
        raise ConfigurationError(
            f"{base_url} is not https: the API key would be readable on the way. "
            "Use https, or pass allow_insecure=True."
        )


def check_timeout(value: object, where: str) -> float:
    """Seconds: positive and finite."""
    try:
        seconds = float(value) if isinstance(value, (str, int, float)) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    # Three years: sockets and locks take no more than some hundred.
    if isinstance(value, bool) or not 0 < seconds <= LONGEST:
        raise ConfigurationError(
            f"{where} must be a positive, finite number of seconds, {LONGEST:,} at most."
        )
    return seconds


def check_max_retries(value: object, where: str) -> int:
    """A whole number, not negative."""
    try:
        count = int(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else -1
    except ValueError:
        count = -1
    if count < 0:
        raise ConfigurationError(f"{where} must be a whole number, 0 or more.")
    return count


def check_log(value: object, where: str) -> str:
    """A level's name, in lower case."""
    level = str(value).strip().lower()
    if level not in _LEVELS:
        # Not shown: what stands in the wrong variable may be a key.
        raise ConfigurationError(f"{where} must be one of {', '.join(_LEVELS)}.")
    return level


CHECKS: dict[str, Any] = {
    "api_key": check_api_key,
    "api_secret": check_api_secret,
    "base_url": check_base_url,
    "log": check_log,
    "timeout": check_timeout,
    "max_retries": check_max_retries,
}
"""Name → what makes of a value, wherever it came from, a checked one, or raises `ConfigurationError`."""
