"""Settings that cannot be used, from each of the places that they come from."""

from __future__ import annotations

import math
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dcipher import ConfigurationError, MissingAPIKeyError, Settings
from tests.faulty import json_reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Connect
    from tests.faulty import FaultyServer

KEY = "emu_canary-key-0123456789"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a working directory of its own, for its `.env`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["argument", "environment", ".env", "settings"])
def give(
    request: pytest.FixtureRequest,
    construct: Callable[..., Any],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Construct a client with one setting that comes from one of the places."""

    def make(name: str, value: str, **others: Any) -> Any:
        if request.param == "argument":
            return construct(**others, **{name: value})
        if request.param == ".env":
            (folder / ".env").write_text(f'DCIPHER_{name.upper()}="{value}"\n', encoding="utf-8")
        else:
            monkeypatch.setenv(f"DCIPHER_{name.upper()}", value)
        if request.param == "settings":
            others["settings"] = Settings()
        return construct(**others)

    return make


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("api_key", "emu_canary key", "position 10"),
        ("api_key", "emu_canary\x7fkey", "position 10"),
        ("api_key", "emu_canaryükey", "position 10"),
        ("api_key", "Api-Key emu_canary key", "position 10"),
        ("timeout", "nan", "positive, finite"),
        ("timeout", "inf", "positive, finite"),
        ("timeout", "0", "positive, finite"),
        ("timeout", "-1", "positive, finite"),
        ("timeout", "1e12", "positive, finite"),
        ("timeout", "soon", "positive, finite"),
        ("base_url", "api.example.com", "https://host"),
        ("base_url", "ftp://api.example.com", "https://host"),
        ("base_url", "https://", "https://host"),
        ("base_url", "https:///path", "https://host"),
        ("base_url", "https://user:canary@api.example.com", "user name"),
        ("base_url", "https://canary@api.example.com", "user name"),
        ("base_url", "https://api.example.com?key=canary", "query"),
        ("base_url", "https://api.example.com/#canary", "fragment"),
        ("base_url", "https://api.example.com:port", "not a URL"),
        ("base_url", "http://api.example.com", "not https"),
        ("max_retries", "-1", "whole number"),
        ("max_retries", "2.5", "whole number"),
    ],
)
def test_what_cannot_be_used(give: Callable[..., Any], name: str, value: str, says: str) -> None:
    """From whichever place, it is a `ConfigurationError` that says what is wrong, and not the value."""
    others = {} if name == "api_key" else {"api_key": KEY}
    with pytest.raises(ConfigurationError) as caught:
        give(name, value, **others)
    text = str(caught.value) + repr(caught.value) + repr(caught.value.__cause__)
    # A usable base URL of a file is refused already since the key is not from there.
    assert says in text or "comes from a .env file" in text
    assert "canary" not in text


@pytest.mark.parametrize("name", ["api_key", "api_secret", "base_url", "timeout", "max_retries"])
def test_a_traceback_without_the_value(name: str) -> None:
    """Neither the error of `Settings` nor what is behind it shows the value, of whatever type."""
    for value in ("canary canary\x7f\ud800", ["canary"], {"canary": 1}):
        try:
            Settings(_env_file=None, **{name: value})
        except ConfigurationError as error:
            text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            assert "canary" not in text
        else:
            assert name == "api_secret"


@pytest.mark.parametrize("value", ["", " ", "\t", "\u00a0"])
def test_blank_is_missing(give: Callable[..., Any], value: str) -> None:
    """A key of nothing but blanks is none."""
    with pytest.raises(MissingAPIKeyError):
        give("api_key", value)


@pytest.mark.parametrize("value", [f" {KEY}", f"{KEY} ", f"\t{KEY}\t"])
def test_blanks_around_a_key(give: Callable[..., Any], value: str, api: FaultyServer) -> None:
    """They are left out, with one warning, which does not show the key."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = give("api_key", value, base_url=api.url)
    client.flows.get("f")
    client.close()
    assert api.requests[0].headers["authorization"] == f"Api-Key {KEY}"
    assert len(caught) <= 1
    assert KEY not in "".join(str(one.message) for one in caught)


@pytest.mark.parametrize("prefix", ["Api-Key ", "api-key ", "API-KEY   "])
def test_a_pasted_prefix(give: Callable[..., Any], prefix: str, api: FaultyServer) -> None:
    """A key that was pasted with its scheme is sent with it once."""
    client = give("api_key", f"{prefix}{KEY}", base_url=api.url)
    client.flows.get("f")
    client.close()
    assert api.requests[0].headers["authorization"] == f"Api-Key {KEY}"


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
@pytest.mark.parametrize("reading", ["client", "settings"])
def test_a_file_in_another_encoding(
    construct: Callable[..., Any], folder: Path, encoding: str, reading: str
) -> None:
    """A `.env` that is not UTF-8 is a `ConfigurationError` that names it."""
    (folder / ".env").write_text(f"DCIPHER_API_KEY={KEY}\n# é\n", encoding=encoding)
    with pytest.raises(ConfigurationError, match=r"\.env is not UTF-8"):
        construct() if reading == "client" else Settings()


@pytest.mark.parametrize("reading", ["client", "settings"])
def test_a_file_with_other_lines(construct: Callable[..., Any], folder: Path, reading: str) -> None:
    """Lines of other programs in `.env` do not matter, those that look like ours neither."""
    lines = f"DATABASE_URL=x\nexport OTHER='y'\nDCIPHER_FUTURE=1\nDCIPHER_API_KEY={KEY}\n"
    (folder / ".env").write_text(lines, encoding="utf-8")
    settings = {} if reading == "client" else {"settings": Settings()}
    construct(**settings).close()


@pytest.mark.parametrize("tail", ["", "/", "//", "/v1", "/v1/"])
def test_the_tail_of_a_base_url(connect: Connect, server: FaultyServer, tail: str) -> None:
    """A path stays, a slash at its end does not matter."""
    server.on("*", json_reply('{"id": "f"}'))
    connect(server, base_url=server.url + tail).flows.get("f")
    assert server.requests[0].target == ("/v1/flows/f" if "v1" in tail else "/flows/f")


@pytest.mark.parametrize("seconds", [math.nan, -1.0, math.inf, 1e12])
def test_a_timeout_of_httpx(
    construct: Callable[..., Any], api: FaultyServer, seconds: float
) -> None:
    """What an `httpx.Timeout` holds is positive and finite, too, or it is said at construction."""
    with pytest.raises(ConfigurationError, match="timeout"):
        construct(KEY, base_url=api.url, timeout=httpx.Timeout(seconds))
