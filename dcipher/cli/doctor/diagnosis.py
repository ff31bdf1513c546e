"""Makes the checks of `dcipher doctor`. A check that needs an earlier one is skipped if that failed."""

from __future__ import annotations

import os
import platform
import ssl
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dcipher import Dcipher
from dcipher._concurrency.clock import monotonic
from dcipher._extras.installation import install
from dcipher._version import __version__
from dcipher._wire.errors.retries import http_date
from dcipher.cli.app.layers import Layered
from dcipher.cli.doctor.checks import (
    Check,
    State,
    api_check,
    clock_check,
    connection_checks,
    key_check,
    permission_check,
    settings_check,
    skipped,
)
from dcipher.cli.doctor.connection import certificates, connect, proxy_for
from dcipher.cli.doctor.setting_sources import explained
from dcipher.cli.state.emulator_keys import missing_key, refused_key
from dcipher.cli.state.folder import state_folder
from dcipher.errors import APIStatusError, ConfigurationError, DcipherError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcipher.cli.app.invocation import Invocation
    from dcipher.cli.doctor.setting_sources import Explained

__all__ = ["Answer", "ask", "diagnosed"]

ASKING = 4.0
"""Seconds for the request."""
NO_FLOW = "dcipher-doctor-no-such-flow"
"""The flow that is requested: nothing is started, and nothing is shown."""

_EXTRAS = {
    "emulator": ("fastapi", "uvicorn"),
    "arrow": ("pyarrow",),
    "pandas": ("pandas", "pyarrow"),
    "polars": ("polars", "pyarrow"),
}


def diagnosed(call: Invocation) -> Iterator[Check]:
    """Yields each check as soon as it is made."""
    yield _versions()
    yield _extras()
    found = explained(call)
    settings = settings_check(found)
    yield settings
    yield from _permissions(call)
    if settings.state is State.FAILED:
        names = ("proxy", "dns", "tcp", "tls", "api", "key", "clock")
        yield from skipped("a setting is invalid", *names)
        return
    network = list(_network(found.values.base_url))
    yield from network
    if found.values.api_key is None:
        detail = "There is no API key, neither in the environment nor in a named file."
        yield Check("key", State.FAILED, detail, missing_key(), of_key=True)
        yield from skipped("there is no key", "api", "clock")
    elif any(check.state is State.FAILED for check in network):
        yield from skipped("there is no connection", "api", "key", "clock")
    else:
        yield from _answers(found)


def _network(url: str) -> Iterator[Check]:
    try:
        proxy = proxy_for(url)
    except ConfigurationError as error:
        yield Check("proxy", State.FAILED, error.message, "env | grep -i _proxy")
        yield from skipped("the proxy is invalid", "dns", "tcp", "tls")
        return
    try:
        attempt = connect(url, proxy)
    except ConfigurationError as error:
        yield from skipped("no certificates can be loaded", "proxy", "dns", "tcp")
        yield Check("tls", State.FAILED, error.message, f"unset {certificates().source}")
        return
    yield from connection_checks(attempt, url)


def _versions() -> Check:
    libraries = [f"dcipher {__version__}"]
    libraries += [f"{name} {_version(name)}" for name in ("httpx", "pydantic", "anyio", "click")]
    python = f"Python {platform.python_version()} ({platform.system()} {platform.machine()})"
    return Check("versions", State.OK, ", ".join([*libraries, python, ssl.OPENSSL_VERSION]) + ".")


def _extras() -> Check:
    missing = [
        extra for extra, needs in _EXTRAS.items() if not all(_version(name) for name in needs)
    ]
    if not missing:
        return Check("extras", State.OK, "All of them are installed.")
    detail = f"Not installed, and not needed unless used: {', '.join(missing)}."
    return Check("extras", State.OK, detail, install(*missing))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _permissions(call: Invocation) -> Iterator[Check]:
    if os.name != "posix":
        yield Check("permissions", State.SKIPPED, "They are checked on POSIX systems only.")
        return
    places: list[tuple[Path | None, str, int]] = [
        (call.options.env_file or Path(".env"), "settings", 0o600),
        (call.options.api_key_file, "the API key", 0o600),
    ]
    try:
        folder = state_folder()
        places += [
            (folder, "the list of runs", 0o700),
            *((path, "the list of runs", 0o600) for path in sorted(folder.glob("runs.*"))),
        ]
    except (OSError, RuntimeError) as error:  # no home directory
        yield Check(
            "permissions", State.WARNING, f"There is no folder for the list of runs: {error}."
        )
    checked = 0
    for path, what, wanted in places:
        if path is not None and (path.is_file() or path.is_dir()):
            checked += 1
            yield permission_check(path, path.stat().st_mode, what, wanted)
    if not checked:
        yield Check("permissions", State.OK, "There is no file of settings and no list of runs.")


class Answer(NamedTuple):
    """The response of the API to a request for a flow that does not exist."""

    outcome: DcipherError | None
    milliseconds: float
    server: float | None
    """The date of the response, in seconds since the epoch."""
    here: float
    """Our clock in the middle of the request."""


def ask(found: Explained) -> Answer:
    """Sends one request to the API, with valid settings."""
    settings: Any = Layered(found.layers)
    clock, began = time.time(), monotonic()
    outcome: DcipherError | None = None
    with (
        Dcipher(settings=settings) as configured,
        configured.with_options(timeout=ASKING, max_retries=0) as client,
    ):
        try:
            _ = client.flows.get(NO_FLOW)
        except DcipherError as error:
            outcome = error
    took = monotonic() - began
    server = None
    if isinstance(outcome, APIStatusError) and outcome.response is not None:
        server = http_date(outcome.response.headers.get("date", ""))
    return Answer(outcome, took * 1000, server, clock + took / 2)


def _answers(found: Explained) -> Iterator[Check]:
    answer = ask(found)
    api = api_check(answer.outcome, answer.milliseconds)
    yield api
    yield key_check(answer.outcome, refused_key(answer.outcome) or "dcipher whoami")
    yield clock_check(answer.outcome, answer.server, answer.here)
