"""`Settings`, and that clients without it read the same sources in the same way."""

from __future__ import annotations

import copy
import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, Field, SecretStr, TypeAdapter
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from dcipher import ConfigurationError, Dcipher, Settings
from dcipher._client.configuration import configuration

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

READERS = [
    pytest.param(lambda: Settings(), id="Settings"),
    pytest.param(lambda: configuration({}), id="clients"),
]
NAMES = ("api_key", "api_secret", "base_url", "log", "timeout", "max_retries")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_anything_there_are_defaults() -> None:
    """The defaults are those that the documentation names."""
    found = Settings()
    assert (found.api_key, found.api_secret, found.log) == (None, None, None)
    assert found.base_url == "https://api.dcipheranalytics.com"
    assert (found.timeout, found.max_retries) == (60.0, 5)


def test_argument_environment_file_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The precedence is argument, environment, `.env`, default. Each source is recorded."""
    (tmp_path / ".env").write_text("DCIPHER_TIMEOUT=1\nDCIPHER_MAX_RETRIES=1\nUNRELATED=x\n")
    monkeypatch.setenv("DCIPHER_TIMEOUT", "2")
    found = Settings()
    assert (found.timeout, found.max_retries) == (2.0, 1)
    assert Settings(timeout=3).timeout == 3.0
    assert [found.source(name) for name in ("timeout", "max_retries", "log")] == [
        "environment",
        ".env",
        "default",
    ]
    assert Settings(timeout=3).source("timeout") == "argument"
    assert Settings(_env_file=None).max_retries == 5
    (tmp_path / "other.env").write_text("DCIPHER_MAX_RETRIES=7\n")
    assert Settings(_env_file="other.env").max_retries == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "a canary"),
        ("api_key", "canaryé"),
        ("base_url", "canary"),
        ("base_url", "https://u:canary@x"),
        ("timeout", "0"),
        ("timeout", "nan"),
        ("timeout", "inf"),
        ("timeout", "1e999"),
        ("timeout", "canary"),
        ("max_retries", "-1"),
        ("max_retries", "1.5"),
        ("log", "loud"),
    ],
)
def test_invalid_values_of_settings(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An invalid value of any source is a `ConfigurationError` that names the setting, without a secret."""
    output: list[str] = []
    with pytest.raises(ConfigurationError, match=name) as caught:
        Settings(**{name: value})
    output.append(str(caught.value))
    monkeypatch.setenv(f"DCIPHER_{name.upper()}", value)
    with pytest.raises(ConfigurationError, match=f"DCIPHER_{name.upper()}") as caught:
        Settings()
    output.append(str(caught.value))
    with pytest.raises(ConfigurationError, match=f"DCIPHER_{name.upper()}") as caught:
        configuration({})
    output.append(str(caught.value))
    monkeypatch.delenv(f"DCIPHER_{name.upper()}")
    (tmp_path / ".env").write_text(f"DCIPHER_{name.upper()}='{value}'\n", encoding="utf-8")
    for read in (Settings, lambda: configuration({})):
        with pytest.raises(ConfigurationError, match=name) as caught:
            read()
        output.append(str(caught.value))
    if name == "api_key" or "@" in value:
        assert "canary" not in "".join(output)


@pytest.mark.parametrize("value", ["", "  ", "\t"])
def test_blank_is_missing(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blank value counts as missing."""
    for name in NAMES:
        monkeypatch.setenv(f"DCIPHER_{name.upper()}", value)
    assert Settings(_env_file=None).model_dump() == Settings().model_dump()
    assert Settings(api_key=value).api_key is None


def test_a_blank_variable_does_not_hide_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blank variable counts as missing, so `.env` applies, as for the clients."""
    (tmp_path / ".env").write_text("DCIPHER_TIMEOUT=7\n")
    monkeypatch.setenv("DCIPHER_TIMEOUT", "  ")
    assert configuration({}).timeout == 7.0
    assert Settings().timeout == 7.0


def test_a_pasted_key_is_cleaned() -> None:
    """A line break at a key's end is left out with one warning, the scheme in front of it without."""
    with pytest.warns(UserWarning, match="blanks or a line break") as caught:
        found = Settings(api_key="Api-Key abc\n")
    assert len(caught) == 1
    assert "abc" not in str(caught[0].message)
    assert found.api_key is not None
    assert found.api_key.get_secret_value() == "abc"


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    """A `.env` that is not UTF-8 is a `ConfigurationError` with the file's name."""
    (tmp_path / ".env").write_bytes("DCIPHER_LOG=é".encode("utf-16"))
    for read in (Settings, lambda: configuration({})):
        with pytest.raises(ConfigurationError, match=r"\.env is not UTF-8"):
            read()


def test_a_folder_called_env(tmp_path: Path) -> None:
    """A folder of that name, such as a virtual environment, is no file of settings."""
    (tmp_path / ".env").mkdir()
    assert configuration({}).max_retries == 5
    assert Settings().max_retries == 5


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("read", READERS)
def test_only_regular_files_are_read(tmp_path: Path, make: Any, read: Any) -> None:
    """A pipe or a device is rejected before it is opened: it might block, or never end."""
    make(tmp_path / ".env")
    with pytest.raises(ConfigurationError, match=r"\.env cannot be read: it is not a regular file"):
        read()


@pytest.mark.parametrize("read", READERS)
def test_no_file_by_any_name(tmp_path: Path, read: Any) -> None:
    """A link that leads nowhere, and one to the null device, are no file."""
    for target in ("nowhere", os.devnull):
        (tmp_path / ".env").symlink_to(target)
        assert read().max_retries == 5
        (tmp_path / ".env").unlink()


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_is_far_too_large(tmp_path: Path, read: Any) -> None:
    """It is no file of settings, and not read to its end."""
    with (tmp_path / ".env").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ConfigurationError, match="more than 1,048,576 bytes"):
        read()


@pytest.mark.parametrize("read", READERS)
def test_a_byte_order_mark(tmp_path: Path, read: Any) -> None:
    """A byte order mark of editors on Windows is ignored."""
    (tmp_path / ".env").write_text(
        "DCIPHER_BASE_URL=https://h\r\nDCIPHER_TIMEOUT=7\r\n", "utf-8-sig"
    )
    assert (read().base_url, read().timeout) == ("https://h", 7.0)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"# x\nDCIPHER_API_KEY=canary\n\xe9\n", "(byte 27) in line 3"),
        (b"\xef\xbb\xbfDCIPHER_API_KEY=\xe9", "(byte 19) in line 1"),
        ("DCIPHER_API_KEY=canary".encode("utf-16-le"), "(byte 1) in line 1"),
    ],
)
@pytest.mark.parametrize("read", READERS)
def test_where_a_file_is_in_another_encoding(
    tmp_path: Path, read: Any, content: bytes, place: str
) -> None:
    """The error has the position, also if the bytes are valid UTF-8 by chance, but no content."""
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read()
    assert f".env is not UTF-8 text {place}" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("reference", ["${CANARY}", "${CANARY:-x}", "${DCIPHER_API_SECRET}"])
@pytest.mark.parametrize("name", ["api_key", "api_secret", "base_url"])
@pytest.mark.parametrize("read", READERS)
def test_a_reference_is_not_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Any, name: str, reference: str
) -> None:
    """The author of a `.env` gets nothing of the environment. The error says that it is not expanded."""
    monkeypatch.setenv("CANARY", "canary-value")
    monkeypatch.setenv("DCIPHER_API_SECRET", "" if name == "api_secret" else "canary-value")
    value = f"https://h/{reference}" if name == "base_url" else reference
    (tmp_path / ".env").write_text(f"DCIPHER_{name.upper()}={value}\n")
    with pytest.raises(ConfigurationError, match=f"{name} .*a variable") as caught:
        read()
    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize("read", READERS)
def test_a_secret_may_resemble_a_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Any
) -> None:
    """It is unchanged, in any quotes."""
    monkeypatch.setenv("B", "canary-value")
    for quote in ("", "'", '"'):
        (tmp_path / ".env").write_text(f"DCIPHER_API_KEY={quote}a${{B}}c${{B{quote}\n")
        key = read().api_key
        assert getattr(key, "get_secret_value", lambda key=key: key)() == "a${B}c${B"


def test_a_setting_that_is_not_there() -> None:
    """A misspelt argument is an error, not ignored."""
    with pytest.raises(ConfigurationError, match="api_kye"):
        Settings(api_kye="x")


# Where values came from.

KEY, EVIL = "SECRET-key", "https://evil.example"


def client(settings: Settings, **arguments: Any) -> Dcipher:
    return Dcipher(settings=settings, **arguments)


def refuses(settings: Settings, **arguments: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"comes from .*was not sent there") as caught:
        client(settings, **arguments)
    assert "SECRET" not in str(caught.value)


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A `.env` of another author in the working directory."""
    (tmp_path / ".env").write_text(f"DCIPHER_BASE_URL={EVIL}\n")
    return tmp_path


class Vault(PydanticBaseSettingsSource):
    """A source of the user's."""

    values: ClassVar[dict[str, Any]] = {"api_key": KEY}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(self.values)


class FromVault(Settings):
    """Settings with one more source, the strongest."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: Any,
        init_settings: Any,
        env_settings: Any,
        dotenv_settings: Any,
        file_secret_settings: Any,
    ) -> Any:
        return Vault(settings_cls), init_settings, env_settings, dotenv_settings


class FromVaultToo(FromVault):
    """A source that calls the class above by position, and is the last one."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: Any,
        init_settings: Any,
        env_settings: Any,
        dotenv_settings: Any,
        file_secret_settings: Any,
    ) -> Any:
        first, *others = super().settings_customise_sources(
            settings_cls, init_settings, env_settings, dotenv_settings, file_secret_settings
        )
        return (*others, first)


def with_a_key_of(place: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Returns settings whose key comes from `place`, which is empty afterwards."""
    if place == "argument":
        return Settings(api_key=KEY)
    if place == "environment":
        with monkeypatch.context() as patch:
            patch.setenv("dcipher_api_KEY", KEY)
            return Settings()
    if place == "secrets_dir":
        (folder / "secrets").mkdir()
        (folder / "secrets" / "DCIPHER_API_KEY").write_text(KEY)
        return Settings(_secrets_dir=folder / "secrets")
    if place == "other file":
        (folder / "prod.env").write_text(f"DCIPHER_API_KEY={KEY}\n")
        return Settings(_env_file=("prod.env", ".env"))
    return {"vault": FromVault, "vault, last": FromVaultToo}[place]()


PLACES = ["argument", "environment", "secrets_dir", "other file", "vault", "vault, last"]


@pytest.mark.parametrize("place", PLACES)
def test_a_base_url_of_a_file_and_another_key(
    evil: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The source is recorded when the value is read, also for a copy."""
    found = with_a_key_of(place, evil, monkeypatch)
    assert found.base_url == EVIL
    for one in (found, copy.copy(found), copy.deepcopy(found), found.model_copy()):
        assert one.source("base_url") == ".env"
        assert one.source("api_key") not in {".env", "default", "unknown"}
        refuses(one)
        client(one, base_url="https://h").close()


@pytest.mark.parametrize("place", PLACES)
def test_later_variables_do_not_change_sources(
    evil: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A variable that is set after the settings were read does not change the source of a value."""
    found = with_a_key_of(place, evil, monkeypatch)
    monkeypatch.setenv("DCIPHER_BASE_URL", "https://h")
    monkeypatch.setenv("DCIPHER_API_KEY", KEY)
    assert found.source("base_url") == ".env"
    refuses(found)


@pytest.mark.parametrize("secret", ["SECRET-secret", b"SECRET-secret"])
def test_a_secret_is_protected_as_the_key_is(evil: Path, secret: Any) -> None:
    """A base URL that has its key from the same file gets no signatures by a secret of elsewhere."""
    with (evil / ".env").open("a") as file:
        file.write("DCIPHER_API_KEY=mine\n")
    client(Settings()).close()
    refuses(Settings(), api_secret=secret)
    with pytest.raises(ConfigurationError, match="the API secret does not"):
        Dcipher(api_secret=secret)


def test_two_files_are_two_sources(tmp_path: Path) -> None:
    """Each value has its file. Of several, the last takes precedence, and blanks count as missing."""
    (tmp_path / "a.env").write_text(f"DCIPHER_API_KEY={KEY}\nDCIPHER_BASE_URL=https://a\n")
    (tmp_path / "b.env").write_text("DCIPHER_API_KEY=' '\nDCIPHER_TIMEOUT=3\n")
    found = Settings(_env_file=["a.env", "b.env"])
    assert found.source("api_key") == found.source("base_url") == str(tmp_path / "a.env")
    assert found.source("timeout") == str(tmp_path / "b.env")
    client(found).close()
    (tmp_path / "b.env").write_text(f"DCIPHER_BASE_URL={EVIL}\n")
    refuses(Settings(_env_file=["a.env", "b.env"]))
    client(Settings(_env_file=["b.env", "a.env"])).close()
    assert Settings(_env_file=None).source("base_url") == "default"


def test_a_base_url_of_another_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the key of the same source; one of elsewhere goes to the program's and the environment's."""
    both = {"api_key": KEY, "base_url": "https://h"}
    monkeypatch.setattr(Vault, "values", both)
    client(FromVault()).close()
    monkeypatch.setattr(Vault, "values", {"base_url": "https://h"})
    refuses(FromVault(api_key=KEY))
    monkeypatch.setenv("DCIPHER_BASE_URL", "https://h")
    monkeypatch.setattr(Vault, "values", {"api_key": KEY})
    found = FromVault()
    assert (found.source("base_url"), found.source("api_key")[:5]) == ("environment", "Vault")
    client(found).close()


def test_a_file_that_a_source_of_the_users_reads(
    evil: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `DotEnvSettingsSource` of the user's is read by the same rules, file by file."""

    class Own(Settings):
        @classmethod
        def settings_customise_sources(cls, settings_cls: Any, **given: Any) -> Any:
            return DotEnvSettingsSource(settings_cls, env_file="own.env"), *given.values()

    monkeypatch.setenv("CANARY", KEY)
    (evil / "own.env").write_text("DCIPHER_API_KEY=a${CANARY}\n")
    found = Own()
    assert found.api_key == SecretStr("a${CANARY}")
    refuses(found)


def test_settings_of_the_program(evil: Path) -> None:
    """A value of the program counts as an argument: by a copy, or without validation."""
    with (evil / ".env").open("a") as file:
        file.write("DCIPHER_API_KEY=mine\n")
    found = Settings()
    refuses(found.model_copy(update={"api_key": SecretStr(KEY)}))
    client(found.model_copy(update={"base_url": "https://h"})).close()
    client(Settings.model_construct(api_key=SecretStr(KEY), base_url="https://h")).close()
    refuses(Settings.model_validate({"api_key": KEY}))
    client(Settings.model_validate({"api_key": KEY, "base_url": "https://h"})).close()
    refuses(Settings(), api_key=KEY)


class App(BaseSettings):
    """An application's settings, with ours in a field."""

    model_config = SettingsConfigDict(
        env_prefix="APP_", env_nested_delimiter="__", env_file=".env", extra="ignore"
    )
    dcipher: Settings


class Holder(BaseModel):
    """A model with our settings in a list."""

    services: list[Settings]


class Outer(Settings):
    """Settings in settings."""

    inner: Settings


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("DCIPHER_API_KEY", f"APP_DCIPHER__BASE_URL={EVIL}"),
        ("DCIPHER_API_KEY", f'APP_DCIPHER={{"base_url": "{EVIL}"}}'),
        ("APP_DCIPHER__API_KEY", f"APP_DCIPHER__BASE_URL={EVIL}"),
        ("APP_DCIPHER__API_KEY", f'APP_DCIPHER={{"base_url": "{EVIL}"}}'),
    ],
)
def test_settings_in_a_field_of_another_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    """Merged values have an unknown source, unless the program sets them."""
    monkeypatch.setenv(variable, KEY)
    (tmp_path / ".env").write_text(f"{text}\n")
    found = App().dcipher  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert (found.base_url, found.source("base_url")) == (EVIL, "unknown")
    refuses(found)
    client(found, base_url="https://h").close()


@pytest.mark.parametrize(
    "made",
    [
        lambda data: Holder(services=[data]).services[0],
        lambda data: TypeAdapter(Settings).validate_python(data),
        lambda data: Outer(inner=data, base_url="https://h").inner,
        lambda data: Outer.model_validate({"inner": data, "base_url": "https://h"}).inner,
    ],
)
def test_settings_created_by_a_model(made: Any) -> None:
    """Data from another model have an unknown source; settings keep their sources."""
    refuses(made({"api_key": KEY, "base_url": EVIL}))
    client(made({"api_key": KEY})).close()
    assert made(Settings(base_url="https://h")).source("base_url") == "argument"


@pytest.mark.parametrize(
    "validate",
    [
        Settings.model_validate,
        Settings.model_validate_strings,
        lambda data: Settings.model_validate_json(json.dumps(data)),
    ],
)
def test_validated_data_are_one_source(validate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base URL in data receives the key in them, and no other."""
    client(validate({"api_key": KEY, "base_url": "https://h"})).close()
    monkeypatch.setenv("DCIPHER_API_KEY", KEY)
    found = validate({"base_url": EVIL})
    assert found.source("base_url") == "validated data"
    refuses(found)
    client(Settings(base_url="https://h")).close()


@pytest.mark.parametrize(
    "error", [ConnectionError("vault down"), TimeoutError(), OSError(5, "I/O")]
)
def test_a_source_that_fails(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason or class of its exception is reported, but not its text."""

    def down(_: object) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(Vault, "__call__", down)
    shown = error.strerror or type(error).__name__
    with pytest.raises(ConfigurationError, match=f"cannot be read: {shown}.$"):
        FromVault()


def test_a_value_without_a_source(evil: Path) -> None:
    """A value that was set past the model has an unknown source, and receives no key."""
    found = Settings(_env_file=None, api_key=KEY)
    found.__dict__["base_url"] = EVIL
    assert found.source("base_url") == "unknown"
    refuses(found)


def test_settings_with_other_names(evil: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subclass may call its fields otherwise, and have more of them."""

    class Named(Settings):
        api_key: SecretStr | None = Field(None, validation_alias=AliasChoices("OUR_KEY", "api_key"))
        region: str = "eu"

    monkeypatch.setenv("our_key", KEY)
    found = Named(region="us")
    assert (found.source("api_key"), found.source("region")) == ("environment", "argument")
    refuses(found)
    client(Named(base_url="https://h")).close()
    assert Named(OUR_KEY="k").source("api_key") == "argument"


def test_an_empty_key_after_the_scheme() -> None:
    """`Api-Key ` alone is no key."""
    with (
        pytest.raises(ConfigurationError, match="is empty"),
        pytest.warns(UserWarning, match="blanks"),
    ):
        Settings(api_key="Api-Key  ")


VALUES = {
    "api_key": st.sampled_from(["k1", "Api-Key k2", " k3 ", "", " ", "a b"]),
    "api_secret": st.sampled_from(["s1", " s2", "", "é"]),
    "base_url": st.sampled_from(["https://x", "https://x/", "HTTPS://X/p/", "", "x", "http://h:1"]),
    "log": st.sampled_from(["debug", "INFO", " error ", "", "loud"]),
    "timeout": st.sampled_from(["1", " 2.5 ", "1e2", "", "0", "nan", "-1", "x", "1_0"]),
    "max_retries": st.sampled_from(["0", " 3 ", "", "-1", "1.0", "x", "1_0", "+2"]),
}
DOTENV = st.fixed_dictionaries({}, optional=VALUES)
# A variable of nothing but blanks has a test of its own.
ENVIRONMENT = DOTENV.map(lambda found: {k: v for k, v in found.items() if not v or v.strip()})


def outcome(read: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = read()
        except ConfigurationError as error:
            return type(error)
    plain = {}
    for name in NAMES:
        value = getattr(found, name)
        plain[name] = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    return plain


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(environment=ENVIRONMENT, dotenv=DOTENV, lower=st.booleans())
def test_settings_and_the_clients_agree(
    environment: dict[str, str], dotenv: dict[str, str], lower: bool
) -> None:
    """For any environment and `.env`, `Settings` and the clients read the same values."""
    names = {name: f"DCIPHER_{name.upper()}" for name in NAMES}
    written = {name: value.lower() if lower else value for name, value in names.items()}
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        os.chdir(folder)
        try:
            for name, value in environment.items():
                patch.setenv(written[name], value)
            lines = [f"{written[name]}='{value}'" for name, value in dotenv.items()]
            Path(".env").write_text("\n".join(lines), encoding="utf-8")
            assert outcome(Settings) == outcome(lambda: configuration({}))
        finally:
            os.chdir(before)
