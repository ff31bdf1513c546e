"""`dcipher config show`: every setting with its source, also invalid ones, and no secret."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("click", reason="the extra `cli` is not installed")

from dcipher._settings.checks import CHECKS
from dcipher.cli import main

if TYPE_CHECKING:
    from pathlib import Path

KEY = "canary-key-0123456789-abcdefghijkl"
SECRET = "canary-secret-9876543210"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no variables of the machine's own."""
    monkeypatch.chdir(tmp_path)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def shown(
    capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0
) -> dict[str, dict[str, Any]]:
    """Returns the record of each setting by name, after checking that no part of a secret was printed."""
    assert main(["config", "show", "--json", *arguments]) == code
    output, noted = capsys.readouterr()
    for secret in (KEY, SECRET):
        for part in (secret[:6], secret[-6:], secret[8:16]):
            assert part not in output + noted
    return {one["name"]: one for one in json.loads(output)["settings"]}


def test_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    """Without settings, all settings and options are shown with their defaults."""
    found = shown(capsys)
    assert set(CHECKS) < set(found)
    assert found["api_key"] == {
        "name": "api_key",
        "value": None,
        "source": "default",
        "problem": None,
    }
    assert found["timeout"]["value"] == 60.0
    assert found["connect_timeout"]["value"] == 10.0
    assert found["resilience.retry_statuses"]["value"] == "408-409, 425, 429, 500-599"
    assert found["certificates"]["value"] == "certifi's"
    assert found["proxy"]["value"] is None
    assert {one["source"] for one in found.values()} == {"default"}


def test_each_source(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A variable is shown as it is written, a file with its line, an option by its name."""
    (folder / "prod.env").write_text(
        f'# ours\n\n\nexport DCIPHER_API_SECRET="{SECRET}"\nOTHER="a\nb"\nDCIPHER_TIMEOUT=9\n'
        "DCIPHER_TIMEOUT=8\n"
    )
    (folder / "key").write_text(KEY + "\n")
    monkeypatch.setenv("dcipher_max_retries", "2")
    monkeypatch.setenv("DCIPHER_TIMEOUT", "  ")
    monkeypatch.setenv("https_proxy", "http://user:canary-key-@proxy.example:3128")
    monkeypatch.setenv("SSL_CERT_DIR", "/certs")
    options = [
        "--env-file",
        "prod.env",
        "--api-key-file",
        "key",
        "--base-url",
        "https://a.example/",
    ]
    found = shown(capsys, *options, "-v")
    sources = {name: found[name]["source"] for name in (*CHECKS, "proxy", "certificates")}
    assert sources == {
        "api_key": "--api-key-file key",
        "api_secret": "prod.env:4, DCIPHER_API_SECRET",
        "base_url": "--base-url",
        "log": "--verbose",
        "timeout": "prod.env:8, DCIPHER_TIMEOUT",
        "max_retries": "dcipher_max_retries",
        "proxy": "https_proxy",
        "certificates": "SSL_CERT_DIR",
    }
    assert found["api_key"]["value"] == f"set, {len(KEY)} characters"
    assert found["base_url"]["value"] == "https://a.example"
    assert found["timeout"]["value"] == 8.0
    assert found["connect_timeout"]["value"] == 8.0
    assert found["proxy"]["value"] == "http://proxy.example:3128"


def test_a_key_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key may come from standard input, which is read once and shown as its source."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{KEY}\n".encode())))
    found = shown(capsys, "--api-key-file", "-", "--env-file", "missing.env", code=2)
    assert found["api_key"]["source"] == "--api-key-file standard input"
    assert found["api_key"]["value"] == f"set, {len(KEY)} characters"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DCIPHER_TIMEOUT", KEY, "positive, finite number"),
        ("DCIPHER_MAX_RETRIES", "-1", "integer, 0 or more"),
        ("DCIPHER_BASE_URL", KEY, "must look like https://host"),
        ("DCIPHER_BASE_URL", f"https://u:{KEY}@h.example", "user name or password"),
        ("DCIPHER_BASE_URL", "http://h.example", "is not https"),
        ("DCIPHER_LOG", "loud", "must be one of"),
        ("DCIPHER_API_KEY", f"{KEY}\n{KEY}", "control character"),
        ("HTTPS_PROXY", f"nonsense://u:{KEY}@h", "HTTPS_PROXY is not a valid proxy"),
    ],
)
def test_invalid_settings(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    words: str,
) -> None:
    """Each is reported with the reason, but without the value. The others are shown, and the exit code is 2."""
    monkeypatch.setenv(variable, value)
    found = shown(capsys, code=2)
    assert found["user_agent"]["value"].startswith("dcipher/")
    assert main(["config", "show"]) == 2
    output, noted = capsys.readouterr()
    assert "api_key\t" in output
    assert words in noted
    assert noted.startswith("error: ")
    assert KEY[:6] not in output + noted


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--env-file", "missing.env"], "there is no file missing.env"),
        (["--env-file", "latin.env"], "latin.env is not UTF-8 text (byte 4)"),
        (["--api-key-file", "missing"], "missing cannot be read: No such file"),
        (["--api-key-file", "empty"], "empty is empty"),
    ],
)
def test_unreadable_files(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    """An unreadable file is reported, and the other settings are shown."""
    (folder / "latin.env").write_bytes(b"# x\n\xe9")
    (folder / "empty").write_text(" \n")
    assert len(shown(capsys, *options, code=2)) > len(CHECKS)
    assert main(["config", "show", *options]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="pipes in the file system are POSIX")
def test_a_pipe_is_rejected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe without a writer is rejected, as by every other command."""
    os.mkfifo(folder / "pipe")
    assert main(["config", "show", "--env-file", str(folder / "pipe")]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_a_base_url_of_a_file_and_a_key_of_another_source(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The combination is reported, as by the client."""
    monkeypatch.setenv("DCIPHER_API_KEY", KEY)
    (folder / "x.env").write_text("DCIPHER_BASE_URL=https://h.example\n")
    shown(capsys, "--env-file", "x.env", code=2)
    assert main(["config", "show", "--env-file", "x.env", "-q"]) == 2
    assert "the API key does not. So it was not sent there" in capsys.readouterr().err


def test_unknown_variables(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are reported with their source and the nearest setting. Those of the command line are known."""
    monkeypatch.setenv("DCIPHER_APIKEY", KEY)
    monkeypatch.setenv("DCIPHER_STATE_DIR", str(folder))
    monkeypatch.setenv("DCIPHER_QQQQQQQ", "1")
    (folder / "x.env").write_text("\nDCIPHER_BASE_RUL=x\n")
    assert main(["config", "show", "--json", "--env-file", "x.env"]) == 0
    output, noted = capsys.readouterr()
    unknown = json.loads(output)["unknown"]
    assert {one["name"]: (one["source"], one["nearest"]) for one in unknown} == {
        "DCIPHER_APIKEY": ("environment", "DCIPHER_API_KEY"),
        "DCIPHER_QQQQQQQ": ("environment", None),
        "DCIPHER_BASE_RUL": ("x.env:2", "DCIPHER_BASE_URL"),
    }
    assert (
        "warning: There is no setting DCIPHER_APIKEY (environment). Is it DCIPHER_API_KEY?" in noted
    )
    assert KEY not in output + noted


@pytest.mark.parametrize(
    ("variables", "url", "expected"),
    [
        ({"HTTPS_PROXY": "p:1"}, "https://api.example", ("http://p:1", "HTTPS_PROXY")),
        ({"HTTPS_PROXY": "p:1"}, "http://127.0.0.1:8000", None),
        ({"HTTP_PROXY": "p:1"}, "https://api.example", None),
        ({"ALL_PROXY": "http://p:1"}, "https://api.example", ("http://p:1", "ALL_PROXY")),
        (
            {"HTTPS_PROXY": "p:1", "https_proxy": "q:2"},
            "https://a.example",
            ("http://q:2", "https_proxy"),
        ),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "example"}, "https://api.example", None),
        (
            {"HTTPS_PROXY": "p:1", "NO_PROXY": "ample"},
            "https://api.example",
            ("http://p:1", "HTTPS_PROXY"),
        ),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "*"}, "https://api.example", None),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "api.example"}, "https://API.example", None),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "10.0.0.1"}, "https://10.0.0.1", None),
        ({}, "https://api.example", None),
    ],
)
def test_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    url: str,
    expected: tuple[str, str] | None,
) -> None:
    """The displayed proxy is the one that a request to that URL uses."""
    from dcipher.cli.doctor.settings import proxy_for

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == expected
