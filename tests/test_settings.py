"""`Settings`, and that the clients, which read the same places without it, come to the same."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcipher import ConfigurationError, Settings
from dcipher._environment import configuration

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
    """An argument beats the environment, that beats `.env`, that beats the default; each says where it came from."""
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
def test_values_that_cannot_be_used(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Wherever it stands, such a value is a `ConfigurationError` that names the setting; a secret is not shown."""
    said: list[str] = []
    with pytest.raises(ConfigurationError, match=name) as caught:
        Settings(**{name: value})
    said.append(str(caught.value))
    monkeypatch.setenv(f"DCIPHER_{name.upper()}", value)
    with pytest.raises(ConfigurationError, match=f"DCIPHER_{name.upper()}") as caught:
        Settings()
    said.append(str(caught.value))
    with pytest.raises(ConfigurationError, match=f"DCIPHER_{name.upper()}") as caught:
        configuration({})
    said.append(str(caught.value))
    monkeypatch.delenv(f"DCIPHER_{name.upper()}")
    (tmp_path / ".env").write_text(f"DCIPHER_{name.upper()}='{value}'\n", encoding="utf-8")
    for read in (Settings, lambda: configuration({})):
        with pytest.raises(ConfigurationError, match=name) as caught:
            read()
        said.append(str(caught.value))
    if name == "api_key" or "@" in value:
        assert "canary" not in "".join(said)


@pytest.mark.parametrize("value", ["", "  ", "\t"])
def test_blank_is_missing(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blank value counts as none at all."""
    for name in NAMES:
        monkeypatch.setenv(f"DCIPHER_{name.upper()}", value)
    assert Settings(_env_file=None).model_dump() == Settings().model_dump()
    assert Settings(api_key=value).api_key is None


def test_a_blank_variable_does_not_hide_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of blanks counts as missing, so `.env` has its say, as it has for the clients."""
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


def test_a_setting_that_is_not_there() -> None:
    """A misspelt argument is an error, not ignored."""
    with pytest.raises(ConfigurationError, match="api_kye"):
        Settings(api_kye="x")


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
    """Whatever stands in the environment and in `.env`, `Settings` and the clients' own reading come to the same."""
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
