"""Every setting, and every option of the client that follows: what it is, and where that was said."""

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
"""Variables that the command line alone reads."""
_SECRET = ("api_key", "api_secret")


@dataclass(frozen=True)
class Setting:
    """One setting, or option of the client."""

    name: str
    value: object
    """What counts; of a secret, how long it is; None where there is none, or it cannot be used."""
    source: str
    """An option of the command line, a variable, a place in a file, or `default`."""
    problem: str | None = None
    """Why it cannot be used."""


@dataclass(frozen=True)
class Unknown:
    """A variable that looks like one of ours, and is none."""

    name: str
    source: str
    nearest: str | None

    def __str__(self) -> str:
        """As a sentence."""
        meant = f" Is it {self.nearest}?" if self.nearest else ""
        return f"There is no setting {clean(self.name, 64)} ({self.source}).{meant}"


@dataclass(frozen=True)
class Explained:
    """All that is known of the settings."""

    settings: tuple[Setting, ...]
    unknown: tuple[Unknown, ...]
    problems: tuple[str, ...]
    """What is wrong with files, and with settings together."""
    values: Configuration
    """What can be used of them."""
    layers: tuple[tuple[str, dict[str, Any]], ...] = field(repr=False)
    """What the client is made of."""

    @property
    def all_problems(self) -> tuple[str, ...]:
        """Those of single settings, too."""
        own = (setting.problem for setting in self.settings if setting.problem)
        return tuple(dict.fromkeys((*own, *self.problems)))


def explained(call: Invocation) -> Explained:
    """Reads all places, and never raises for what stands in them."""
    found, problems = _layers(call)
    places = _Places(call.options)
    checked = [_checked(name, found, places) for name in CHECKS]
    values = _values(checked, found)
    problems += list(_together(values))
    settings = tuple(setting for setting, _ in checked)
    return Explained(settings, tuple(_unknown(places)), tuple(problems), values, tuple(found))


def _layers(call: Invocation) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
    # Each file by itself, and once: one that cannot be read hides nothing of the other.
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
    """Where each setting stands."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.environment = _by_name(os.environ)
        self.lines = {} if options.env_file is None else _lines(options.env_file)

    def of(self, source: str, name: str) -> str:
        """The place of a setting that came from one of the layers."""
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
        """Every variable that begins like ours, and where it stands."""
        yield from ((name, "environment") for name in self.environment.values())
        for written, line in self.lines.values():
            yield written, f"{self._options.env_file}:{line}"


def _by_name(variables: Mapping[str, str]) -> dict[str, str]:
    """Upper case → as it is written: names are taken in any case."""
    return {name.upper(): name for name in variables if name.upper().startswith(PREFIX)}


def _lines(path: Path) -> dict[str, tuple[str, int]]:
    """Upper case → as it is written, and its line; the last one counts."""
    from dotenv.parser import parse_stream

    try:
        text = dotenv_text(path)
    except ConfigurationError:
        return {}  # said by `layers`
    found: dict[str, tuple[str, int]] = {}
    for binding in parse_stream(StringIO(text)):
        name, before = binding.key or "", binding.original.string
        blanks = len(before) - len(before.lstrip("\n"))  # blank lines belong to what follows
        if name.upper().startswith(PREFIX):
            found[name.upper()] = (name, binding.original.line + blanks)
    return found


def _checked(
    name: str, found: list[tuple[str, dict[str, Any]]], places: _Places
) -> tuple[Setting, Any]:
    """The setting, and the value that can be used."""
    for source, layer in found:
        value = layer.get(name)
        if is_blank(value):
            continue
        place = places.of(source, name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # blanks around a key: it can be used
                usable = CHECKS[name](value, f"{name} ({place})")
        except ConfigurationError as error:
            # Not shown: what stands in the wrong variable may be a key.
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
        pass  # nothing is wrong with what is there
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
