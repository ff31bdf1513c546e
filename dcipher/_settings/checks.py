"""Validates settings, and resolves their precedence: argument, environment, `.env`, default."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dcipher._urls.hosts import leads_here
from dcipher.errors import ConfigurationError, MissingAPIKeyError
from dcipher.errors._hints import with_hint

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

# The sources of values.
ARGUMENT, COMMAND_LINE, ENVIRONMENT = "argument", "command line", "environment"
SECRETS_DIR, DEFAULT, UNKNOWN = "secrets_dir", "default", "unknown"
VALIDATED = "validated data"
"""The data passed to `Settings.model_validate`, of unknown origin."""
DOTENV = ".env"
"""The file in the working directory. Another file is named by its path, another source by its class."""
_TRUSTED = frozenset({ARGUMENT, COMMAND_LINE, ENVIRONMENT, SECRETS_DIR, DEFAULT})
"""The program and its user: their base URL may receive any key. Anybody may have written a file."""
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
    """The source of each value, by name. A name that is missing has its default."""


def resolve(layers: Iterable[tuple[str, Mapping[str, object]]]) -> Configuration:
    """Returns the settings of several layers. The first non-blank value is used, and validated."""
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
    """Returns the API key, if there is one and it may be sent to the base URL."""
    if configuration.api_key is None:
        raise with_hint(
            MissingAPIKeyError("There is no API key."),
            "Set DCIPHER_API_KEY in the environment or in a .env file, or pass api_key=…. "
            "Without an account, use the local service in dcipher.emulator, or run `dcipher demo`.",
            cli="",
        )
    # Whoever can put a file into the working directory must not be able to have the key sent to
    # themselves.
    place = configuration.sources.get("base_url", DEFAULT)
    for name, called in (("api_key", "API key"), ("api_secret", "API secret")):
        source = configuration.sources.get(name, DEFAULT)
        if getattr(configuration, name) is not None and not _may_say(place, source):
            origin = {DOTENV: "a .env file", UNKNOWN: "an unknown source"}.get(place, place)
            raise with_hint(
                ConfigurationError(
                    f"The base URL {configuration.base_url} comes from {origin}, but the {called} "
                    "does not. So it was not sent there."
                ),
                "Set both in the same place, or pass base_url=….",
                cli="Set both in the same place, or pass --base-url.",
            )
    return configuration.api_key


def _may_say(place: str, source: str) -> bool:
    """Returns whether a base URL from `place` may receive a key from `source`."""
    return place in _TRUSTED or (place == source and place != UNKNOWN)


def is_blank(value: object) -> bool:
    """Returns whether a setting counts as missing: `None`, or only blanks."""
    return value is None or (isinstance(value, str) and not value.strip())


def _plain(value: object, where: str) -> str:
    """Returns the text of a value or of a secret (any object with `get_secret_value`)."""
    reveal = getattr(value, "get_secret_value", None)
    text = reveal() if callable(reveal) else value
    if not isinstance(text, str):
        raise ConfigurationError(f"{where} must be text, not {type(value).__name__}.")
    return text


def check_api_key(value: object, where: str) -> str:
    """Returns a key that a header can contain. Errors never contain it (those of httpx would)."""
    text = _plain(value, where)
    key = text.strip()
    if key != text:
        warnings.warn(
            f"{where} had surrounding blanks or a line break, which were removed.", stacklevel=2
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
        raise with_hint(
            ConfigurationError(
                f"{where} is a placeholder from an example, such as … or <key>, or a variable that "
                "the shell has not expanded."
            ),
            "Replace it with your own value.",
        )


def _refuse_bad_characters(text: str, where: str) -> None:
    for position, character in enumerate(text):
        if not "!" <= character <= "~":
            kind = (
                "a blank or control" if character <= " " or character == "\x7f" else "a non-ASCII"
            )
            raise ConfigurationError(f"{where} contains {kind} character at position {position}.")


def check_api_secret(value: object, where: str) -> str:
    """Returns the secret for signing: any text, without surrounding blanks."""
    text = _plain(value, where)
    secret = text.strip()
    if secret != text:
        warnings.warn(
            f"{where} had surrounding blanks or a line break, which were removed.", stacklevel=2
        )
    _refuse_placeholder(secret, where)
    if any("\ud800" <= character <= "\udfff" for character in secret):
        raise ConfigurationError(f"{where} cannot be encoded as UTF-8.")
    return secret


def check_base_url(value: object, where: str) -> str:
    """Returns a base URL without its trailing slash.

    It may have a path, but no user info, query or fragment.
    """
    text = str(value).strip()
    if "${" in text:
        raise with_hint(
            ConfigurationError(
                f"{where} contains a reference to a variable, ${{…}}, which is not expanded."
            ),
            "Write the URL itself.",
        )
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise ConfigurationError(f"{where} is not a URL.") from None
    if parts.scheme.lower() not in {"http", "https"} or not host:
        # Without the value: it may be a key or a password in the wrong variable.
        raise ConfigurationError(f"{where} must look like https://host.")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{where} must not have a user name or password.")
    if "?" in text or "#" in text:
        raise ConfigurationError(f"{where} must have neither a query nor a fragment.")
    if any(not character.isprintable() or character.isspace() for character in text):
        raise ConfigurationError(f"{where} contains blanks or control characters.")
    if "\\" in text:
        raise ConfigurationError(f"{where} contains a backslash: use slashes.")
    # RFC 1035 section 2.3.4. What has a colon is an IPv6 address.
    if len(host) > 253 or not (":" in host or _HOST.fullmatch(host)):
        raise ConfigurationError(f"{where} has a host that cannot be a name or an address.")
    return text.rstrip("/")


_HOST = re.compile(r"(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?")


def refuse_plain_http(base_url: str) -> None:
    """Raises `ConfigurationError` for plain http to another machine: the key could be read."""
    if urlsplit(base_url).scheme == "http" and not leads_here(base_url):
        raise with_hint(
            ConfigurationError(
                f"{base_url} is not https: others on the network could read the API key."
            ),
            "Use https, or pass allow_insecure=True.",
            cli="Use https.",
        )


def check_timeout(value: object, where: str) -> float:
    """Returns a number of seconds: positive and finite."""
    try:
        seconds = float(value) if isinstance(value, (str, int, float)) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    # Three years: sockets and locks accept no more than some hundred.
    if isinstance(value, bool) or not 0 < seconds <= LONGEST:
        raise ConfigurationError(
            f"{where} must be a positive, finite number of seconds, {LONGEST:,} at most."
        )
    return seconds


def check_max_retries(value: object, where: str) -> int:
    """Returns an integer, not negative."""
    try:
        count = int(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else -1
    except ValueError:
        count = -1
    if count < 0:
        raise ConfigurationError(f"{where} must be an integer, 0 or more.")
    return count


def check_log(value: object, where: str) -> str:
    """Returns the name of a level, in lower case."""
    level = str(value).strip().lower()
    if level not in _LEVELS:
        # Without the value: it may be a key in the wrong variable.
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
"""The function of each setting that returns a valid value, or raises `ConfigurationError`."""
