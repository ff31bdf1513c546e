"""The checks of `dcipher doctor`, in their order: what needs an earlier one is skipped where that failed."""

from __future__ import annotations

import os
import platform
import ssl
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

from dcipher import Dcipher
from dcipher._concurrency.clock import monotonic
from dcipher._extras.installation import install
from dcipher._masking.text import clean, redact_query
from dcipher._urls.hosts import is_this_machine
from dcipher._version import __version__
from dcipher._wire.errors.retries import http_date
from dcipher._wire.transport.certificates import ssl_context
from dcipher.cli.app.layers import Layered
from dcipher.cli.doctor import probing
from dcipher.cli.doctor.checks import (
    Check,
    State,
    api_check,
    clock_check,
    key_check,
    no_key_check,
    permission_check,
    settings_check,
    tls_check,
    tls_failure,
)
from dcipher.cli.doctor.machine import certificates, proxy_for
from dcipher.cli.doctor.setting_sources import explained
from dcipher.cli.state.emulator_keys import missing_key, refused_key
from dcipher.cli.state.folder import state_folder
from dcipher.errors import APIStatusError, ConfigurationError, DcipherError

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator, Iterator
    from typing import TypeAlias

    from dcipher.cli.app.invocation import Invocation
    from dcipher.cli.doctor.machine import Named
    from dcipher.cli.doctor.setting_sources import Explained

    Steps: TypeAlias = Generator[Check, None, bool]

__all__ = ["Answer", "ask", "diagnosed"]

# Seconds for each question; together less than 15.
NAMES = 3.0
CONNECTING = 3.0
SECURING = 3.0
ASKING = 4.0

NO_FLOW = "dcipher-doctor-no-such-flow"
"""What is asked for, so that nothing is started and nothing is shown."""

_EXTRAS = {
    "emulator": ("fastapi", "uvicorn"),
    "arrow": ("pyarrow",),
    "pandas": ("pandas", "pyarrow"),
    "polars": ("polars", "pyarrow"),
}


def diagnosed(call: Invocation) -> Iterator[Check]:
    """Each check as soon as it is made."""
    yield _versions()
    yield _extras()
    found = explained(call)
    settings = settings_check(found)
    yield settings
    yield from _permissions(call)
    missing = no_key_check(found, missing_key())
    if settings.state is State.FAILED:
        yield from _skipped(
            "a setting cannot be used", "proxy", "dns", "tcp", "tls", "api", "key", "clock"
        )
        return
    route = _Route(found.values.base_url)
    ways = yield from route.checks()
    if missing is not None:
        yield missing
        yield from _skipped("there is no key", "api", "clock")
    elif not ways:
        yield from _skipped("there is no way to it", "api", "key", "clock")
    else:
        yield from _answers(found)


def _skipped(why: str, *names: str) -> Iterator[Check]:
    for name in names:
        yield Check(name, State.SKIPPED, f"Not looked at: {why}.")


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
        yield Check("permissions", State.SKIPPED, "They are looked at on POSIX systems alone.")
        return
    places: list[tuple[Path | None, str, int]] = [
        (call.options.env_file or Path(".env"), "settings", 0o600),
        (call.options.api_key_file, "the API key", 0o600),
    ]
    try:
        folder = state_folder()
        places += [
            (folder, "the list of runs", 0o700),
            *((path, "the list of runs", 0o600) for path in sorted(folder.glob("*.jsonl"))),
        ]
    except (OSError, RuntimeError) as error:  # no home
        yield Check("permissions", State.WARNING, f"The list of runs has no place: {error}.")
    looked = 0
    for path, what, wanted in places:
        if path is not None and (path.is_file() or path.is_dir()):
            looked += 1
            yield permission_check(path, path.stat().st_mode, what, wanted)
    if not looked:
        yield Check("permissions", State.OK, "No file of settings, and no list of runs is here.")


class _Route:
    """The way to the base URL, step by step."""

    def __init__(self, base_url: str) -> None:
        self._url = base_url
        self._place = probing.place_of(base_url)
        self._secure = base_url.lower().startswith("https:")

    def checks(self) -> Steps:
        """Each step; returns whether all of them led on."""
        try:
            proxy = proxy_for(self._url)
        except ConfigurationError as error:
            yield Check("proxy", State.FAILED, error.message, "env | grep -i _proxy")
            yield from _skipped("the proxy cannot be used", "dns", "tcp", "tls")
            return False
        if proxy is None:
            yield Check("proxy", State.OK, "Requests go directly.")
            return (yield from self._direct())
        return (yield from self._by(proxy))

    def _direct(self) -> Steps:
        began = monotonic()
        try:
            addresses = probing.resolve(self._place, NAMES)
        except OSError as error:
            detail = f"The name {self._place.host} leads nowhere: {_said(error)}."
            yield Check("dns", State.FAILED, detail, f"nslookup {quote(self._place.host)}")
            yield from _skipped("there is no address", "tcp", "tls")
            return False
        took = (monotonic() - began) * 1000
        shown = ", ".join(addresses[:4]) + ("…" if len(addresses) > 4 else "")
        yield Check("dns", State.OK, f"{self._place.host} is {shown} ({took:.0f} ms).")
        return (yield from self._connect("tcp", addresses, self._place.port, None))

    def _by(self, proxy: Named) -> Steps:
        shown = redact_query(proxy.value)
        place = probing.place_of(proxy.value)
        around = f"env -u {quote(proxy.source)} dcipher doctor"
        try:
            addresses = probing.resolve(place, NAMES)
        except OSError as error:
            detail = f"{proxy.source} is {shown}, whose name leads nowhere: {_said(error)}."
            yield Check("proxy", State.FAILED, detail, around)
            yield from _skipped("the proxy was not found", "dns", "tcp", "tls")
            return False
        yield from _skipped("the proxy does it", "dns", "tcp")
        return (yield from self._connect("proxy", addresses, place.port, proxy))

    def _connect(self, check: str, addresses: list[str], port: int, proxy: Named | None) -> Steps:
        began = monotonic()
        try:
            with probing.connected(addresses, port, CONNECTING) as connection:
                took = f"{(monotonic() - began) * 1000:.0f} ms"
                if proxy is not None:
                    shown = f"{proxy.source} is {redact_query(proxy.value)}"
                    if self._secure and proxy.value.lower().startswith("http:"):
                        probing.tunnelled(connection, self._place, proxy.value)
                    yield Check(check, State.OK, f"{shown}, which takes connections ({took}).")
                else:
                    yield Check(check, State.OK, f"Port {port} takes connections ({took}).")
                secured = self._secured(connection, proxy)
        except OSError as error:
            yield self._unreachable(check, port, proxy, error)
            yield from _skipped("there is no connection", "tls")
            return False
        yield secured
        return secured.state is not State.FAILED

    def _unreachable(self, check: str, port: int, proxy: Named | None, error: OSError) -> Check:
        if proxy is not None:
            detail = f"{proxy.source} is {redact_query(proxy.value)}, which cannot be used: {_said(error)}."
            return Check(
                check, State.FAILED, detail, f"env -u {quote(proxy.source)} dcipher doctor"
            )
        detail = f"Port {port} of {self._place.host} takes no connection: {_said(error)}."
        if is_this_machine(self._place.host):
            return Check(
                check, State.FAILED, f"{detail} Does the emulator run?", "dcipher emulator start"
            )
        return Check(check, State.FAILED, detail, f"curl -v --max-time 10 {quote(self._url)}")

    def _secured(self, connection: socket.socket, proxy: Named | None) -> Check:
        if not self._secure:
            return Check("tls", State.SKIPPED, "The base URL is http.")
        if proxy is not None and not proxy.value.lower().startswith("http:"):
            return Check("tls", State.SKIPPED, "Not looked at through such a proxy.")
        trusted = certificates()
        try:
            context = ssl_context("https", True, {})
        except ConfigurationError as error:
            return Check("tls", State.FAILED, error.message, f"unset {trusted.source}")
        try:
            connection.settimeout(SECURING)
            return tls_check(probing.handshake(connection, self._place.host, context), time.time())
        except OSError as error:
            named = f"those of {trusted.source} ({trusted.value})"
            return tls_failure(error, *self._place, named)


def _said(error: OSError) -> str:
    return clean(error.strerror or str(error) or type(error).__name__)


class Answer(NamedTuple):
    """What the API said to a question about a flow that is not there."""

    outcome: DcipherError | None
    milliseconds: float
    server: float | None
    """Its date, in seconds since the epoch."""
    here: float
    """Ours in the middle between the question and the answer."""


def ask(found: Explained) -> Answer:
    """Ask the API once, with settings in which nothing is wrong."""
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
