"""Records the source of each value of `Settings`.

pydantic-settings calls its sources in order of precedence, and passes each of them the values of
those before it (`current_state`). A probe after each source records the new values.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from pydantic import AliasChoices
from pydantic_settings import DotEnvSettingsSource, PydanticBaseSettingsSource
from typing_extensions import override

from .checks import (
    ARGUMENT,
    COMMAND_LINE,
    DOTENV,
    ENVIRONMENT,
    SECRETS_DIR,
    UNKNOWN,
    VALIDATED,
    is_blank,
)
from .dotenv import dotenv_variables

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings, EnvSettingsSource

__all__ = ["Reading", "Recorded", "given_as", "names_of", "records_sources", "within_validation"]


class Recorded(NamedTuple):
    """A value and its source."""

    source: str
    value: object


class Reading:
    """One reading of all sources: the `.env` files, and the values of each source."""

    def __init__(self, env_file: Any, encoding: str | None = None) -> None:
        """`env_file`: a path, several of them, or `None`, as in pydantic-settings."""
        self._files = env_file
        self._encoding = encoding
        self._read: dict[Any, Mapping[str, str | None]] = {}
        self._found: dict[str, str] = {}
        self._labels: list[tuple[object, str]] = []
        self._given = _given.get()

    def source_of(self, name: str, field: FieldInfo) -> str | None:
        """Returns the source of a field's value; `None`: no source has one."""
        keys = {key.lower() for key in names_of(name, field)}
        found = {self._found[key] for key in keys if key in self._found}
        return found.pop() if len(found) == 1 else UNKNOWN if found else None

    @contextmanager
    def current(self) -> Generator[None]:
        """Makes this object record the sources that are read in this context."""
        # pydantic-settings passes no argument of the caller to settings_customise_sources.
        token = _current.set(self)
        try:
            with given_as(ARGUMENT):
                yield
        finally:
            _current.reset(token)

    def prepare(
        self,
        *,
        init_settings: Any,
        env_settings: Any,
        dotenv_settings: Any,
        file_secret_settings: Any,
    ) -> None:
        """Sets the values of the sources that pydantic-settings created."""
        if self._labels:
            return  # a subclass that calls super()
        dotenv_settings.env_file = self._files
        for one in self._each_file(dotenv_settings):  # for a source of the user that reads this one
            dotenv_settings.env_vars = {**one.env_vars, **dotenv_settings.env_vars}
        env_settings.env_vars = _without_blanks(env_settings.env_vars)
        self._labels += [
            (init_settings, self._given),
            (env_settings, ENVIRONMENT),
            (file_secret_settings, SECRETS_DIR),
        ]

    def probed(self, cls: type[BaseSettings], sources: Iterable[Any]) -> Iterator[Any]:
        """Yields the sources, each followed by a probe, with a source for each `.env` file."""
        # pydantic-settings itself puts its parser of the command line before them.
        yield _Probe(cls, self._found, COMMAND_LINE)
        for source in sources:
            if isinstance(source, _Probe):
                continue
            is_file = type(source) is DotEnvSettingsSource and not self._is_labelled(source)
            for one in self._each_file(source) if is_file else [source]:
                yield one
                yield _Probe(cls, self._found, self._label_of(one))

    def _each_file(self, source: Any) -> Iterator[Any]:
        """Yields a source for each `.env` file of `source`, in order of precedence: the last one first."""
        for path in reversed(_paths(source.env_file)):
            one = copy(source)
            one.env_vars = _named(self._variables(path), source)
            self._labels.append((one, _label(path)))
            yield one

    def _variables(self, path: Any) -> Mapping[str, str | None]:
        if path not in self._read:
            self._read[path] = dotenv_variables(path, self._encoding)
        return self._read[path]

    def _is_labelled(self, source: object) -> bool:
        return any(known is source for known, _ in self._labels)

    def _label_of(self, source: object) -> str:
        for known, label in self._labels:
            if known is source:
                return label
        name = getattr(source, "__name__", type(source).__name__)
        label = f"{name} {len(self._labels)}"  # there may be two of one class, for two files
        self._labels.append((source, label))
        return label


# Context variables, because pydantic-settings and Pydantic call our methods without our arguments.
# tests/test_settings.py: test_argument_environment_file_default, test_settings_created_by_a_model
_current: ContextVar[Reading | None] = ContextVar("_current", default=None)
_given: ContextVar[str] = ContextVar("_given", default=ARGUMENT)
"""The source of the keyword arguments of `Settings.__init__`, in which Pydantic passes data, too."""


@contextmanager
def given_as(place: str) -> Generator[None]:
    """Records `place` as the source of the arguments of `Settings` in this context."""
    token = _given.set(place)
    try:
        yield
    finally:
        _given.reset(token)


def within_validation() -> AbstractContextManager[None]:
    """Records that Pydantic creates `Settings` from data in this context.

    In the field of another model, the data may have several sources: pydantic-settings merges the
    environment and `.env` into one dict.
    """
    return given_as(VALIDATED if _given.get() == VALIDATED else UNKNOWN)


_recording: WeakSet[Callable[..., Any]] = WeakSet()


def records_sources(customise: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """Wraps `settings_customise_sources` of a class, so that the values of its sources are recorded."""
    if customise in _recording:
        return customise

    @wraps(customise)
    def settings_customise_sources(
        cls: type[BaseSettings],
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[Any, ...]:
        given: dict[str, Any] = {
            "init_settings": init_settings,
            "env_settings": env_settings,
            "dotenv_settings": dotenv_settings,
            "file_secret_settings": file_secret_settings,
        }
        reading = _current.get() or Reading(given["dotenv_settings"].env_file)
        reading.prepare(**given)
        return tuple(reading.probed(settings_cls, customise(cls, settings_cls, **given)))

    _recording.add(settings_customise_sources)
    return settings_customise_sources


class _Probe(PydanticBaseSettingsSource):
    """Returns no value, and records the values that the source before it has added."""

    def __init__(self, cls: type[BaseSettings], found: dict[str, str], label: str) -> None:
        super().__init__(cls)
        self._found = found
        self._label = label

    @override
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    @override
    def __call__(self) -> dict[str, Any]:
        for key, value in self.current_state.items():
            if not is_blank(value):
                self._found.setdefault(key.lower(), self._label)
        return {}


def names_of(name: str, field: FieldInfo) -> set[str]:
    """Returns the names that arguments and sources can use for a field."""
    aliases = field.validation_alias
    choices = aliases.choices if isinstance(aliases, AliasChoices) else [aliases]
    return {one for one in (name, field.alias, *choices) if isinstance(one, str)}


def _paths(env_file: Any) -> list[Any]:
    """Returns a list of paths, for a path, several of them, or `None`."""
    if env_file is None or isinstance(env_file, str) or hasattr(env_file, "__fspath__"):
        return [] if env_file is None else [env_file]
    return list(env_file)


def _label(path: str | os.PathLike[str]) -> str:
    return DOTENV if Path(path) == Path(DOTENV) else str(Path(path).expanduser().absolute())


def _named(variables: Any, source: EnvSettingsSource) -> dict[str, Any]:
    """Returns the variables by the names that the source uses."""
    cased = {n if source.case_sensitive else n.lower(): v for n, v in variables.items()}
    return _without_blanks(cased)


def _without_blanks(variables: Any) -> dict[str, Any]:
    """Removes blank variables: they must not hide values of sources with lower precedence."""
    return {name: value for name, value in variables.items() if not is_blank(value)}
