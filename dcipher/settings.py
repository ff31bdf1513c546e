"""`Settings`: the settings of a client, from arguments, the environment and `.env`.

It is a pydantic-settings model, for applications that keep their settings in such models. The
clients themselves read the same sources by the same rules (`_client/configuration.py`), but do not
import pydantic-settings, whose import takes longer than that of httpx.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import (
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

# The lowest Pydantic that we take names it in this module alone.
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from typing_extensions import Self, override

from dcipher._settings.checks import (
    ARGUMENT,
    CHECKS,
    DEFAULT,
    DEFAULT_BASE_URL,
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT,
    DOTENV,
    UNKNOWN,
    VALIDATED,
    is_blank,
)
from dcipher._settings.provenance import (
    Reading,
    Recorded,
    given_as,
    names_of,
    records_sources,
    within_validation,
)
from dcipher._settings.secret_arguments import drops_frames

from .errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import ValidationInfo

__all__ = ["Settings"]

_usual_sources: Any = BaseSettings.settings_customise_sources
_recorded_sources = records_sources(_usual_sources.__func__)


class Settings(BaseSettings):
    """The settings of a client.

    Precedence: argument, environment, `.env` file, default. A blank value counts as missing. Other
    lines of the `.env` file are ignored, and secrets are redacted. `Settings(_env_file=None)` reads
    no file; `Settings(_env_file="prod.env")` reads another file.

    Raises:
        ConfigurationError: A value is invalid. The message does not contain it.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="DCIPHER_",
        env_file=DOTENV,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    api_key: SecretStr | None = None
    """The API key. Required by the clients."""
    api_secret: SecretStr | None = None
    """The secret that signs every request (RFC 9421). Without it, requests are not signed."""
    base_url: str = DEFAULT_BASE_URL
    """The URL of the API, which may have a path. Plain `http` is accepted only for this machine."""
    log: str | None = None
    """Logs to stderr from this level on: `debug`, `info`, `warning`, `error` or `critical`."""
    timeout: float = DEFAULT_TIMEOUT
    """The limit for one HTTP request, of which at most 10 seconds to connect. Not a limit for the run."""
    max_retries: int = DEFAULT_MAX_RETRIES
    """Attempts after the first."""

    _recorded: dict[str, Recorded] = PrivateAttr(default_factory=dict[str, Recorded])

    @drops_frames
    def __init__(self, **values: Any) -> None:
        fields = type(self).model_fields
        known = {alias for name, field in fields.items() for alias in names_of(name, field)}
        unknown = [name for name in values if name not in known and not name.startswith("_")]
        if unknown:
            raise ConfigurationError(
                f"Unknown setting {unknown[0]!r}. The settings are {', '.join(fields)}."
            )
        config = type(self).model_config
        reading = Reading(
            values.pop("_env_file", config.get("env_file")),
            values.get("_env_file_encoding") or config.get("env_file_encoding"),
        )
        given = {name: value for name, value in values.items() if not is_blank(value)}
        with reading.current(), _configuration_errors():
            # The files are read by the sources of `reading`.
            super().__init__(**given, _env_file=None)
        self._record({name: reading.source_of(name, field) for name, field in fields.items()})

    @override
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Returns the sources of pydantic-settings, which record the values that they return."""
        return _recorded_sources(
            cls,
            settings_cls,
            init_settings=init_settings,
            env_settings=env_settings,
            dotenv_settings=dotenv_settings,
            file_secret_settings=file_secret_settings,
        )

    @override
    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        own: Any = cls
        own.settings_customise_sources = classmethod(
            records_sources(own.settings_customise_sources.__func__)
        )

    def _record(self, sources: Mapping[str, str | None]) -> None:
        self._recorded = self._recorded | {
            name: Recorded(source, getattr(self, name, None))
            for name, source in sources.items()
            if source is not None
        }

    @model_validator(mode="wrap")
    @classmethod
    def _made(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        with within_validation():
            return handler(data)

    @override
    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Validates as Pydantic does. The source of the values is `validated data`."""
        with given_as(VALIDATED):
            return super().model_validate(obj, **options)

    @override
    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Validates as Pydantic does. The source of the values is `validated data`."""
        with given_as(VALIDATED):
            return super().model_validate_json(json_data, **options)

    @override
    @classmethod
    def model_validate_strings(cls, obj: Any, **options: Any) -> Self:
        """Validates as Pydantic does. The source of the values is `validated data`."""
        with given_as(VALIDATED):
            return super().model_validate_strings(obj, **options)

    @override
    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
        """Constructs as Pydantic does. The source of the values is `argument`."""
        made = super().model_construct(_fields_set, **values)
        made._record(dict.fromkeys(values, ARGUMENT))  # noqa: SLF001 - of its own class
        return made

    @override
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copies as Pydantic does. The source of the updated values is `argument`."""
        made = super().model_copy(update=update, deep=deep)
        made._record(dict.fromkeys(update or (), ARGUMENT))  # noqa: SLF001 - of its own class
        return made

    @field_validator(*CHECKS, mode="before")
    @classmethod
    def _checked(cls, value: object, info: ValidationInfo) -> object:
        name = str(info.field_name)
        if is_blank(value):
            return cls.model_fields[name].default
        return CHECKS[name](value, f"{name} (DCIPHER_{name.upper()})")

    def source(self, name: str) -> str:
        """Returns the source of a setting's value, as recorded when it was read.

        The sources are:

        - `argument`, `environment`, `secrets_dir`, `command line`, `default`;
        - `.env` of the working directory, or the path of another such file;
        - `validated data`: it was passed to `model_validate`;
        - a name that begins with the class of another settings source;
        - `unknown`: it has no recorded source, or was set by a field of another model.
        """
        value = getattr(self, name)
        recorded = self._recorded.get(name)
        if recorded is not None and recorded.value == value:
            return recorded.source
        return DEFAULT if value == type(self).model_fields[name].default else UNKNOWN

    # A pickle would contain the secrets in plain text.
    def __getstate__(self) -> dict[Any, Any]:
        raise TypeError(
            "Settings cannot be pickled: they contain secrets. Create them where they are needed."
        )


@contextmanager
def _configuration_errors() -> Generator[None]:
    """Converts errors of pydantic-settings to a `ConfigurationError` that contains no value."""
    try:
        yield
    except ValidationError as error:
        raise _first_problem(error) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"The settings cannot be read: a file is not {error.encoding} text (byte {error.start})."
        ) from None
    except SettingsError as error:
        raise ConfigurationError(f"The settings cannot be read: {error}.") from None
    except OSError as error:
        raise ConfigurationError(
            f"The settings cannot be read: {error.strerror or type(error).__name__}."
        ) from None


def _first_problem(error: ValidationError) -> ConfigurationError:
    first = error.errors(include_url=False, include_context=True, include_input=False)[0]
    raised = first.get("ctx", {}).get("error")
    if isinstance(raised, ConfigurationError):
        return raised
    where = ".".join(str(part) for part in first["loc"])
    return ConfigurationError(f"{where} is invalid: {first['msg']}.")
