"""`Settings`: what `DCIPHER_*` says, from arguments, the environment and `.env`.

It is a pydantic-settings model, for applications that keep their settings in such models. The
clients read the same places by the same rules (`configuration` below), without importing
pydantic-settings, which costs more than httpx to import.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import PrivateAttr, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from typing_extensions import override

from ._core.configuration import (
    CHECKS,
    DEFAULT_BASE_URL,
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT,
    DOTENV,
    is_blank,
)
from ._environment import unreadable_dotenv
from .errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import ValidationInfo

__all__ = ["Settings"]


class Settings(BaseSettings):
    """The settings of a client: argument > environment > `.env` > default.

    Blank values count as missing; unrelated lines in `.env` are ignored; secrets are masked.
    `Settings(_env_file=None)` reads no file, `Settings(_env_file="prod.env")` reads another one.
    Raises `ConfigurationError` for a value that cannot be used, without showing it.
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
    """The key of the API. There is no client without one."""
    api_secret: SecretStr | None = None
    """Where it is set, every request is signed (RFC 9421)."""
    base_url: str = DEFAULT_BASE_URL
    """Where the API is; may have a path. Plain `http` only to this machine."""
    log: str | None = None
    """`debug`, `info`, `warning`, `error` or `critical`: logs from that level on, to stderr."""
    timeout: float = DEFAULT_TIMEOUT
    """What one HTTP request may take, of which connecting 10 at most; not the run."""
    max_retries: int = DEFAULT_MAX_RETRIES
    """Attempts after the first."""

    _given: frozenset[str] = PrivateAttr(default=frozenset())

    def __init__(self, **values: Any) -> None:
        unknown = [name for name in values if name not in CHECKS and not name.startswith("_")]
        if unknown:
            raise ConfigurationError(
                f"There is no setting {unknown[0]!r}. There are: {', '.join(CHECKS)}."
            )
        given = {name: value for name, value in values.items() if not is_blank(value)}
        given.update((name, None) for name in ("_env_file",) if values.get(name, "") is None)
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise _first_problem(error) from None
        except UnicodeDecodeError as error:
            raise unreadable_dotenv(str(values.get("_env_file", DOTENV)), error) from None
        except SettingsError as error:
            raise ConfigurationError(f"The settings cannot be read: {error}.") from None
        self._given = frozenset(given)

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
        """The usual ones; a variable of nothing but blanks does not hide what stands in `.env`."""
        sources = (init_settings, env_settings, dotenv_settings, file_secret_settings)
        for source in sources:
            if isinstance(source, EnvSettingsSource):
                source.env_vars = {n: v for n, v in source.env_vars.items() if not is_blank(v)}
        return sources

    @field_validator(*CHECKS, mode="before")
    @classmethod
    def _checked(cls, value: object, info: ValidationInfo) -> object:
        name = str(info.field_name)
        if is_blank(value):
            return cls.model_fields[name].default
        return CHECKS[name](value, f"{name} (DCIPHER_{name.upper()})")

    def source(self, name: str) -> str:
        """Where the value of a setting came from.

        `argument`, `environment`, `.env` or `default`.
        """
        if name in self._given:
            return "argument"
        environ = {key.upper(): value for key, value in os.environ.items()}
        if not is_blank(environ.get(f"DCIPHER_{name.upper()}")):
            return "environment"
        return DOTENV if name in self.model_fields_set else "default"

    # A pickle would hold the secrets in the clear.
    def __getstate__(self) -> dict[Any, Any]:
        raise TypeError(
            "Settings cannot be pickled: they hold secrets. Make them again where they are needed."
        )


def _first_problem(error: ValidationError) -> ConfigurationError:
    first = error.errors(include_url=False, include_context=True, include_input=False)[0]
    raised = first.get("ctx", {}).get("error")
    if isinstance(raised, ConfigurationError):
        return raised
    where = ".".join(str(part) for part in first["loc"])
    return ConfigurationError(f"{where} does not fit: {first['msg']}.")
