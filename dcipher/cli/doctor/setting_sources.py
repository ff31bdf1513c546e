"""Every setting, with its value, its source and its problem."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from io import StringIO
from typing import TYPE_CHECKING, Any

from dcipher._masking.text import clean
from dcipher._settings.checks import (
    CHECKS,
    DOTENV,
    Configuration,
    is_blank,
    refuse_plain_http,
    usable_key,
)
from dcipher._settings.dotenv import dotenv_text
from dcipher.cli.app.layers import layers
from dcipher.errors import ConfigurationError, DcipherError, MissingAPIKeyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from dcipher.cli.app.invocation import Invocation
    from dcipher.cli.app.options import Options

__all__ = ["Explained", "Setting", "Unknown", "explained"]

PREFIX = "DCIPHER_"
OTHERS = ("DCIPHER_NO_LEDGER", "DCIPHER_STATE_DIR")
"""Variables that only the command line reads."""
_SECRET = ("api_key", "api_secret")


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
    found, problems = _layers(call)
    places = _Places(call.options)
    checked = [_checked(name, found, places) for name in CHECKS]
    values = _values(checked, found)
    problems += list(_together(values))
    settings = tuple(setting for setting, _ in checked)
    return Explained(settings, tuple(_unknown(places)), tuple(problems), values, tuple(found))


def _layers(call: Invocation) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
    # Each file is read separately: an unreadable one does not hide the other.
    bare = replace(call.options, api_key_file=None, env_file=None)
    found, problems = dict(layers(bare, call.read)), list[str]()
    for options, source in (
        (replace(bare, api_key_file=call.options.api_key_file), "argument"),
        (replace(bare, env_file=call.options.env_file), DOTENV),
    ):
        try:
            found.update(pair for pair in layers(options, call.read) if pair[0] == source)
        except DcipherError as error:
            problems.append(error.message)
    return list(found.items()), problems


class _Places:
    """The place of each setting."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.environment = _by_name(os.environ)
        self.lines = {} if options.env_file is None else _lines(options.env_file)

    def of(self, source: str, name: str) -> str:
        """Returns the place of a setting in a source."""
        variable = PREFIX + name.upper()
        if source == "argument":
            path = self._options.api_key_file
            named = "standard input" if str(path) == "-" else path
            return {"api_key": f"--api-key-file {named}", "log": "--verbose"}.get(
                name, "--base-url"
            )
        if source == "environment":
            return self.environment.get(variable, variable)
        written, line = self.lines.get(variable, (variable, 0))
        return f"{self._options.env_file}:{line}, {written}"

    def all(self) -> Iterator[tuple[str, str]]:
        """Yields every variable with our prefix, and its place."""
        yield from ((name, "environment") for name in self.environment.values())
        for written, line in self.lines.values():
            yield written, f"{self._options.env_file}:{line}"


def _by_name(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns upper case → spelling: names are case-insensitive."""
    return {name.upper(): name for name in variables if name.upper().startswith(PREFIX)}


def _lines(path: Path) -> dict[str, tuple[str, int]]:
    """Returns upper case → spelling and line. The last line takes precedence."""
    from dotenv.parser import parse_stream

    try:
        text = dotenv_text(path)
    except ConfigurationError:
        return {}  # reported by `layers`
    found: dict[str, tuple[str, int]] = {}
    for binding in parse_stream(StringIO(text)):
        name, before = binding.key or "", binding.original.string
        blanks = len(before) - len(
            before.lstrip("\n")
        )  # preceding blank lines belong to the binding
        if name.upper().startswith(PREFIX):
            found[name.upper()] = (name, binding.original.line + blanks)
    return found


def _checked(
    name: str, found: list[tuple[str, dict[str, Any]]], places: _Places
) -> tuple[Setting, Any]:
    """Returns the setting, and its valid value."""
    for source, layer in found:
        value = layer.get(name)
        if is_blank(value):
            continue
        place = places.of(source, name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # blanks around a key are valid
                usable = CHECKS[name](value, f"{name} ({place})")
        except ConfigurationError as error:
            # The value is not shown: in the wrong variable, it may be a key.
            return Setting(name, None, place, error.message), None
        return Setting(name, _shown(name, usable), place), usable
    default = getattr(Configuration(), name)
    return Setting(name, default, "default"), default


def _shown(name: str, value: Any) -> object:
    return f"set, {len(value)} characters" if name in _SECRET else value


def _values(
    checked: list[tuple[Setting, Any]], found: list[tuple[str, dict[str, Any]]]
) -> Configuration:
    values = {setting.name: value for setting, value in checked if value is not None}
    sources = {
        name: source
        for source, layer in reversed(found)
        for name in values
        if not is_blank(layer.get(name))
    }
    return Configuration(**values, sources=sources)


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


def _unknown(places: _Places) -> Iterator[Unknown]:
    known = [*(PREFIX + name.upper() for name in CHECKS), *OTHERS]
    for name, place in places.all():
        if name.upper() not in known:
            ends = [one.removeprefix(PREFIX) for one in known]
            near = get_close_matches(name.upper().removeprefix(PREFIX), ends, 1)
            yield Unknown(name, place, PREFIX + near[0] if near else None)
