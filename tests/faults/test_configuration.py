"""Invalid settings, from each source."""

from __future__ import annotations

import math
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dcipher import (
    AsyncDcipher,
    ConfigurationError,
    Dcipher,
    HTTPAuthenticatedClient,
    HTTPClient,
    MissingAPIKeyError,
    Settings,
)
from tests.faulty import json_reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Connect
    from tests.faulty import FaultyServer

KEY = "emu_canary-key-0123456789"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has its own working directory, for its `.env`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["argument", "environment", ".env", "settings"])
def give(
    request: pytest.FixtureRequest,
    construct: Callable[..., Any],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Creates a client with one setting from one of the sources."""

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
        ("max_retries", "-1", "integer"),
        ("max_retries", "2.5", "integer"),
    ],
)
def test_invalid_settings(give: Callable[..., Any], name: str, value: str, says: str) -> None:
    """From any source, it is a `ConfigurationError` with the reason, but without the value."""
    others = {} if name == "api_key" else {"api_key": KEY}
    with pytest.raises(ConfigurationError) as caught:
        give(name, value, **others)
    text = str(caught.value) + repr(caught.value) + repr(caught.value.__cause__)
    # A usable base URL of a file is refused already since the key is not from there.
    assert says in text or "comes from a .env file" in text
    assert "canary" not in text


@pytest.mark.parametrize("name", ["api_key", "api_secret", "base_url", "timeout", "max_retries"])
def test_a_traceback_without_the_value(name: str) -> None:
    """Neither the error of `Settings` nor its causes show the value, of any type."""
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
    """A blank key counts as missing."""
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
    """Lines of other programs in `.env` are ignored, also similar ones."""
    lines = f"DATABASE_URL=x\nexport OTHER='y'\nDCIPHER_FUTURE=1\nDCIPHER_API_KEY={KEY}\n"
    (folder / ".env").write_text(lines, encoding="utf-8")
    settings = {} if reading == "client" else {"settings": Settings()}
    construct(**settings).close()


@pytest.mark.parametrize("tail", ["", "/", "//", "/v1", "/v1/"])
def test_the_path_of_a_base_url(connect: Connect, server: FaultyServer, tail: str) -> None:
    """A path remains, a trailing slash is ignored."""
    server.on("*", json_reply('{"id": "f"}'))
    connect(server, base_url=server.url + tail).flows.get("f")
    assert server.requests[0].target == ("/v1/flows/f" if "v1" in tail else "/flows/f")


@pytest.mark.parametrize("seconds", [math.nan, -1.0, math.inf, 1e12])
def test_a_timeout_of_httpx(
    construct: Callable[..., Any], api: FaultyServer, seconds: float
) -> None:
    """The values of an `httpx.Timeout` must be positive and finite, which is checked at construction."""
    with pytest.raises(ConfigurationError, match="timeout"):
        construct(KEY, base_url=api.url, timeout=httpx.Timeout(seconds))


# What a reporter of errors sees: the variables of each frame, and all that is reached from them.

CANARIES = {
    "api_key": "emu_canary-key-0123456789",
    "api_secret": "canary-secret-0123456789",
    "header": "canary-header-0123456789",
    "proxy": "canary-proxy-0123456789",
}
USED = {"api_key": CANARIES["api_key"], "api_secret": CANARIES["api_secret"]}
WRONG: list[tuple[dict[str, Any], dict[str, str]]] = [
    # Arguments, variables.
    ({**USED, "timeout": -1}, {}),
    ({**USED, "timeout": httpx.Timeout(-1.0)}, {}),
    ({**USED, "max_retries": -1}, {}),
    ({**USED, "base_url": "nowhere"}, {}),
    ({**USED, "base_url": "https://h:port"}, {}),
    ({**USED, "base_url": "https://[v1.x]"}, {}),
    ({**USED, "base_url": "http://h.example"}, {}),
    ({**USED, "base_url": f"https://u:{CANARIES['api_secret']}@h"}, {}),
    ({**USED, "headers": {"X-Token": CANARIES["header"], "Host": "h"}}, {}),
    ({**USED, "headers": {"X-Token": CANARIES["header"] + "\n"}}, {}),
    ({**USED, "http_client": object()}, {}),
    ({**USED, "transport": object()}, {}),
    ({**USED, "settings": object()}, {}),
    ({"api_key": CANARIES["api_key"] + " x"}, {}),
    ({"api_key": CANARIES["api_key"].encode()}, {}),
    ({"api_secret": CANARIES["api_secret"]}, {}),
    ({**USED, "api_secret": CANARIES["api_secret"] + "\ud800"}, {}),
    ({}, {"TIMEOUT": "-1"}),
    ({}, {"MAX_RETRIES": "x"}),
    ({}, {"LOG": CANARIES["api_key"]}),
    ({}, {"BASE_URL": CANARIES["api_key"]}),
    ({}, {"API_SECRET": "${X}"}),
    (USED, {"HTTPS_PROXY": f"garbage://u:{CANARIES['proxy']}@h"}),
    (USED, {"ALL_PROXY": f"http://u:{CANARIES['proxy']}@h:x"}),
    (USED, {"ALL_PROXY": f"http://u:{CANARIES['proxy']}@h", "NO_PROXY": "u:p@h:9"}),
    (USED, {".env": "DCIPHER_BASE_URL=https://evil.example"}),
    ({}, {".env": f"DCIPHER_API_KEY={CANARIES['api_key']}\nDCIPHER_TIMEOUT=-1"}),
    ({}, {".env": f"DCIPHER_API_SECRET={CANARIES['api_secret']}\n\0"}),
]


def canaries_in(value: object, seen: set[int], depth: int = 0) -> bool:
    """Whether a canary is reached from a value by items and attributes, private ones, too."""
    if id(value) in seen or depth > 12:
        return False
    seen.add(id(value))
    if isinstance(value, (str, bytes)):
        return "canary" in (value if isinstance(value, str) else value.decode("latin-1"))
    if isinstance(value, type) or callable(value):
        cells = getattr(value, "__closure__", None) or ()
        return any(canaries_in(cell.cell_contents, seen, depth + 1) for cell in cells)
    parts: list[object] = []
    if isinstance(value, dict):
        parts += [*value, *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts += value
    parts += vars(value).values() if hasattr(value, "__dict__") else ()
    slots = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
    parts += [getattr(value, name, None) for name in slots]
    return any(canaries_in(part, seen, depth + 1) for part in parts)


def assert_no_canary_in_frames(error: BaseException) -> None:
    """Checks the frames of the error and of its causes, except those of the tests."""
    behind: list[BaseException | None] = [error]
    while behind:
        one = behind.pop()
        if one is None:
            continue
        behind += [one.__cause__, one.__context__]
        assert not canaries_in([one.args, vars(one)], set()), repr(one)
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if "/tests/" not in frame.f_code.co_filename:
                for name, value in frame.f_locals.items():
                    assert not canaries_in(value, set()), f"{frame.f_code.co_name}: {name}"


@pytest.mark.parametrize(("arguments", "variables"), WRONG)
@pytest.mark.parametrize("through", ["client", "settings"])
def test_the_frames_of_an_error_have_no_secret(
    construct: Callable[..., Any],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    variables: dict[str, str],
    through: str,
) -> None:
    """Key, secret, header and the password of a proxy are not in the variables of the traceback."""
    for name, value in variables.items():
        if name == ".env":
            (folder / ".env").write_text(value)
        else:
            monkeypatch.setenv(name if "PROXY" in name else f"DCIPHER_{name}", value)
    if not arguments and ".env" not in variables:
        for name in USED:
            monkeypatch.setenv(
                f"DCIPHER_{name.upper()}", variables.get(name.upper(), CANARIES[name])
            )

    def make() -> None:
        rest = dict(arguments)
        if through == "settings":
            own = {name: rest.pop(name) for name in arguments if name in Settings.model_fields}
            rest = {"settings": Settings(**own), **rest}
        construct(**rest)

    with pytest.raises(ConfigurationError) as caught:
        make()
    assert_no_canary_in_frames(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: HTTPAuthenticatedClient("nowhere", api_key=CANARIES["api_key"]),
        lambda: HTTPAuthenticatedClient("https://h", api_key=CANARIES["api_key"] + "\n\n x"),
        lambda: HTTPAuthenticatedClient("https://h", api_secret="", api_key=KEY),
        lambda: HTTPAuthenticatedClient("https://h", timeout=-1, **USED),
        lambda: HTTPClient("https://h", headers={"X-Token": CANARIES["header"] + "\n"}),
        lambda: HTTPClient("https://h").with_headers({"X-Token": CANARIES["header"] + "\n"}),
        lambda: HTTPAuthenticatedClient("https://h", **USED).with_timeout(-1),
        lambda: Dcipher(**USED).with_options(headers={"X-Token": CANARIES["header"] + "\n"}),
        lambda: AsyncDcipher(**USED).with_options(timeout=-1),
        lambda: Settings(api_kye=CANARIES["api_key"]),
        lambda: Settings(**USED, _secrets_dir=__file__),
    ],
)
def test_the_frames_of_other_errors_have_no_secret(make: Callable[[], object]) -> None:
    """The same for the HTTP clients, derived clients, and unknown arguments."""
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert_no_canary_in_frames(caught.value)


@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher, HTTPAuthenticatedClient])
def test_an_unknown_argument(cls: Any) -> None:
    """A misspelt argument is a TypeError, whose frames do not have the others."""
    with pytest.raises(TypeError, match="tmeout") as caught:
        cls(**USED, tmeout=1)
    assert_no_canary_in_frames(caught.value)


def test_the_context_of_the_program_remains() -> None:
    """A client that is created while an error is handled keeps that error as context."""
    first = KeyError("first")
    try:
        raise first
    except KeyError:
        with pytest.raises(ConfigurationError) as caught:
            HTTPClient("https://h", timeout=-1)
    assert caught.value.__context__ is first
