"""Any environment and `.env` is a value or a `ConfigurationError`, without a secret."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dcipher import AsyncDcipher, ConfigurationError, Dcipher, Settings
from dcipher._client.configuration import configuration
from tests.fuzz.exploring import assert_told_well, efforts, explore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CANARY = "CANARY-5f2c"
NAMES = ("api_key", "api_secret", "base_url", "log", "timeout", "max_retries")

words = st.text(max_size=10) | st.sampled_from(
    [
        *("", " ", "\t", "1", "1e3", "nan", "inf", "-0", "1_0", "0x1", "true", "null", "{}", "[1]"),
        *(
            "debug",
            "DEBUG ",
            "https://h",
            "http://h:99999",
            "https://[::1]:1/p/",
            "https://h/é",
            "//",
        ),
        *("Api-Key ", "${HOME}", "$(id)", "'", '"', "\\n", "#", "=", "\ufeff", "\u2028", "\udc80"),
    ]
)
values = st.builds(
    lambda before, canary, after: before + canary + after,
    words,
    st.sampled_from(["", CANARY, f"https://u:{CANARY}@h", f"https://h?{CANARY}"]),
    words,
)
names = st.sampled_from([f"DCIPHER_{name.upper()}" for name in NAMES] + ["UNRELATED"])
environments = st.dictionaries(names, values.map(lambda value: value.replace("\0", "")), max_size=4)
lines = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "export ", " ", "#"]),
    names,
    st.sampled_from(["=", " = ", "='", '="', ":", "", "=\\"]),
    values,
    st.sampled_from(["", "'", '"', " # comment", "\\"]),
)
dotenvs = st.binary(max_size=60) | st.lists(lines, max_size=4).map(
    lambda found: "\n".join(found).encode("utf-8", "surrogateescape")
)


@contextmanager
def surroundings(environment: Mapping[str, str], dotenv: bytes | None) -> Iterator[None]:
    """A folder with this `.env`, and these variables; everything else as before."""
    before, level = Path.cwd(), logging.getLogger("dcipher").level
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        os.chdir(folder)
        patch.setattr(logging.getLogger("dcipher"), "handlers", [])
        try:
            for name, value in environment.items():
                patch.setenv(name, value)
            if dotenv is not None:
                Path(".env").write_bytes(dotenv)
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                yield
            assert CANARY not in " ".join(str(warning.message) for warning in warned)
        finally:
            os.chdir(before)
            logging.getLogger("dcipher").setLevel(level)


def outcome(read: Any) -> Any:
    try:
        found = read()
    except ConfigurationError as error:
        assert_told_well(error, hides=CANARY)
        return type(error)
    assert CANARY not in f"{found!r} {found}" or found.base_url.find(CANARY) > 0
    plain = {}
    for name in NAMES:
        value = getattr(found, name)
        plain[name] = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    return plain


@efforts
def test_any_environment_is_settings_or_one_error(effort: int) -> None:
    """`Settings` and the clients have the same result. An error shows no value of a secret."""

    @example({}, b"DCIPHER_API_KEY=\x00x")
    @example({}, "DCIPHER_API_KEY=é".encode("utf-16"))
    @example({"DCIPHER_API_KEY": f"{CANARY}\udc80"}, None)
    @example({"DCIPHER_TIMEOUT": "9" * 5000}, None)
    @example({"DCIPHER_MAX_RETRIES": "9" * 5000}, None)
    @given(environments, st.none() | dotenvs)
    def check(environment: dict[str, str], dotenv: bytes | None) -> None:
        with surroundings(environment, dotenv):
            assert outcome(Settings) == outcome(lambda: configuration({}))

    explore(check, 100 * effort)


@efforts
@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher])
def test_any_environment_is_a_client_or_one_error(cls: Any, effort: int) -> None:
    """A client is created, or the reason is a `ConfigurationError`. Neither shows a secret."""

    @given(environments, st.none() | dotenvs)
    def check(environment: dict[str, str], dotenv: bytes | None) -> None:
        with surroundings(environment, dotenv):
            try:
                client = cls()
            except ConfigurationError as error:
                assert_told_well(error, hides=CANARY)
            else:
                base_url = client._api.base_url
                assert CANARY not in repr(client).replace(repr(base_url), "")

    explore(check, 40 * effort)


@efforts
def test_any_argument_is_a_client_or_one_error(effort: int) -> None:
    """Arguments of any type result in a client or in a `ConfigurationError`."""
    anything = values | st.none() | st.integers() | st.floats() | st.booleans() | st.binary()
    anything |= st.lists(st.integers(), max_size=1)

    @given(st.fixed_dictionaries({}, optional={name: anything for name in NAMES if name != "log"}))
    def check(arguments: dict[str, Any]) -> None:
        with surroundings({}, None):
            try:
                client = Dcipher(**arguments)
            except ConfigurationError as error:
                assert_told_well(error, hides=CANARY)
            else:
                assert CANARY not in repr(client).replace(repr(client._api.base_url), "")

    explore(check, 80 * effort)
