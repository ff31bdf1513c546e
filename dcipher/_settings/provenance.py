"""Where each value of `Settings` came from, recorded by the sources when they are read.

pydantic-settings asks its sources one after the other, the strongest first, and tells each of them
what those before it found (`current_state`). A probe behind each source records what is new.
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
    """Where a value came from. It says nothing of any other value."""

    source: str
    value: object


class Reading:
    """One reading of all sources: the `.env` files in it, and what each source gave."""

    def __init__(self, env_file: Any, encoding: str | None = None) -> None:
        """`env_file`: a path, several of them, or `None`, as pydantic-settings takes it."""
        self._files = env_file
        self._encoding = encoding
        self._read: dict[Any, Mapping[str, str | None]] = {}
        self._found: dict[str, str] = {}
        self._labels: list[tuple[object, str]] = []
        self._given = _given.get()

    def source_of(self, name: str, field: FieldInfo) -> str | None:
        """Where the value of a field came from; `None`: no source gave one."""
        keys = {key.lower() for key in names_of(name, field)}
        found = {self._found[key] for key in keys if key in self._found}
        return found.pop() if len(found) == 1 else UNKNOWN if found else None

    @contextmanager
    def current(self) -> Generator[None]:
        """Within, sources that are read are recorded here."""
        # pydantic-settings passes nothing of the caller's on to settings_customise_sources.
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
        """Fill in what the sources that pydantic-settings made are to give."""
        if self._labels:
            return  # a subclass that calls super()
        dotenv_settings.env_file = self._files
        for one in self._each_file(
            dotenv_settings
        ):  # for a source of the user's that asks this one
            dotenv_settings.env_vars = {**one.env_vars, **dotenv_settings.env_vars}
        env_settings.env_vars = _without_blanks(env_settings.env_vars)
        self._labels += [
            (init_settings, self._given),
            (env_settings, ENVIRONMENT),
            (file_secret_settings, SECRETS_DIR),
        ]

    def probed(self, cls: type[BaseSettings], sources: Iterable[Any]) -> Iterator[Any]:
        """The sources, each with a probe behind it, and in the place of `.env` each of its files."""
        # What pydantic-settings itself puts before them is its parser of the command line.
        yield _Probe(cls, self._found, COMMAND_LINE)
        for source in sources:
            if isinstance(source, _Probe):
                continue
            is_file = type(source) is DotEnvSettingsSource and not self._is_labelled(source)
            for one in self._each_file(source) if is_file else [source]:
                yield one
                yield _Probe(cls, self._found, self._label_of(one))

    def _each_file(self, source: Any) -> Iterator[Any]:
        """A source for each `.env` file of one, the strongest first, which is the last."""
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


_current: ContextVar[Reading | None] = ContextVar("_current", default=None)

_given: ContextVar[str] = ContextVar("_given", default=ARGUMENT)
"""What the keyword arguments of `Settings.__init__` are. pydantic passes validated data in them, too."""


@contextmanager
def given_as(place: str) -> Generator[None]:
    """Within, what `Settings` are made of comes from `place`."""
    token = _given.set(place)
    try:
        yield
    finally:
        _given.reset(token)


def within_validation() -> AbstractContextManager[None]:
    """Within, pydantic makes `Settings` of data.

    In the field of another model, the data may be of several places at once: pydantic-settings merges
    the environment and `.env` into one dict.
    """
    return given_as(VALIDATED if _given.get() == VALIDATED else UNKNOWN)


_recording: WeakSet[Callable[..., Any]] = WeakSet()


def records_sources(customise: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """The `settings_customise_sources` of a class, so that what its sources give is recorded."""
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
    """Gives nothing, and records what the source before it has added."""

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
    """What arguments and sources may call a field."""
    aliases = field.validation_alias
    choices = aliases.choices if isinstance(aliases, AliasChoices) else [aliases]
    return {one for one in (name, field.alias, *choices) if isinstance(one, str)}


def _paths(env_file: Any) -> list[Any]:
    """As pydantic-settings takes them: a path, several of them, or `None`."""
    if env_file is None or isinstance(env_file, str) or hasattr(env_file, "__fspath__"):
        return [] if env_file is None else [env_file]
    return list(env_file)


def _label(path: str | os.PathLike[str]) -> str:
    return DOTENV if Path(path) == Path(DOTENV) else str(Path(path).expanduser().absolute())


def _named(variables: Any, source: EnvSettingsSource) -> dict[str, Any]:
    """The variables by the names that the source looks for."""
    cased = {n if source.case_sensitive else n.lower(): v for n, v in variables.items()}
    return _without_blanks(cased)


def _without_blanks(variables: Any) -> dict[str, Any]:
    """A variable of nothing but blanks does not hide what stands in a weaker source."""
    return {name: value for name, value in variables.items() if not is_blank(value)}
