"""Runs the checks of `dcipher doctor`. A check that needs an earlier one is skipped if that failed."""

from __future__ import annotations

import hashlib
import os
import platform
import ssl
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.exceptions import Exit

from dcipher import Dcipher
from dcipher._concurrency.clock import monotonic
from dcipher._extras.installation import install
from dcipher._settings.checks import DEFAULT_BASE_URL
from dcipher._urls.hosts import leads_here
from dcipher._version import __version__
from dcipher._wire.messages.retry_after import http_date
from dcipher.cli.app.layers import Layered
from dcipher.cli.doctor.checks import (
    Certificate,
    Check,
    ProbeResponse,
    State,
    api_check,
    clock_check,
    connection_check,
    key_check,
    permission_check,
    settings_check,
    skipped,
)
from dcipher.cli.doctor.settings import explained, proxy_for
from dcipher.cli.emulator.control import Control
from dcipher.cli.state.folder import state_folder
from dcipher.cli.state.running_emulators import missing_key_advice, rejected_key_advice
from dcipher.cli.terminal.errors import CommandError, ExitCode
from dcipher.cli.terminal.output import Form
from dcipher.errors import APIConnectionError, ConfigurationError, DcipherError, MissingAPIKeyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

    from dcipher.cli.app.invocation import Invocation
    from dcipher.cli.doctor.settings import Explained

__all__ = ["fingerprint", "print_key", "report"]

LONG_ENOUGH = 16
"""Characters of a key. The fingerprint of a shorter one would permit to find it by trying all keys."""

REQUEST_TIMEOUT = 8.0
"""Seconds for the request."""
TOTAL_TIMEOUT = 12.0
"""Seconds for the request, name resolution included."""
NO_FLOW = "dcipher-doctor-no-such-flow"
"""The requested flow, which does not exist: nothing is started."""
NO_KEY = "dcipher-doctor-has-no-key"
"""The key of the request, if no key is set."""

_EXTRAS = {
    "emulator": ("fastapi", "uvicorn"),
    "arrow": ("pyarrow",),
    "pandas": ("pandas", "pyarrow"),
    "polars": ("polars", "pyarrow"),
}


def checks_of(call: Invocation) -> Iterator[Check]:
    """Yields each check as soon as it is done."""
    yield _versions()
    yield _extras()
    found = explained(call)
    settings = settings_check(found)
    yield settings
    yield from _permissions(call)
    if settings.state is State.FAILED:
        yield from skipped("a setting is invalid", "connection", "api", "key", "clock")
        return
    response, url = probe(found), found.values.base_url
    # An invalid proxy is the outcome, too.
    proxy = None if isinstance(response.outcome, ConfigurationError) else proxy_for(url)
    connection = connection_check(response, url, proxy)
    yield connection
    if connection.state is State.FAILED:
        dependent_checks = [*skipped("there is no connection", "api", "key", "clock")]
    else:
        key = key_check(response.outcome, rejected_key_advice(response.outcome) or "dcipher whoami")
        dependent_checks = [api_check(response), key, clock_check(response)]
    if found.values.api_key is None:
        detail = "There is no API key, neither in the environment nor in a named file."
        dependent_checks[1] = Check("key", State.FAILED, detail, missing_key_advice(), of_key=True)
    yield from dependent_checks


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
    files: list[tuple[Path | None, str, int]] = [
        (call.options.env_file or Path(".env"), "settings", 0o600),
        (call.options.api_key_file, "the API key", 0o600),
    ]
    try:
        folder = state_folder()
        files += [
            (folder, "the list of runs", 0o700),
            *((path, "the list of runs", 0o600) for path in sorted(folder.glob("runs.*"))),
        ]
    except OSError as error:  # no home directory
        yield Check(
            "permissions", State.WARNING, f"There is no folder for the list of runs: {error}."
        )
    checked = 0
    for path, what, wanted in files:
        if path is not None and (path.is_file() or path.is_dir()):
            checked += 1
            yield permission_check(path, path.stat().st_mode, what, wanted)
    if not checked:
        yield Check("permissions", State.OK, "There is no file of settings and no list of runs.")


def probe(found: Explained) -> ProbeResponse:
    """Sends one request to the API, with valid settings. Without a key, it has an invalid one."""
    once = {"timeout": REQUEST_TIMEOUT, "max_retries": 0}
    key_source = found.values.sources.get("base_url", "default")
    settings: Any = Layered((("argument", once), *found.layers, (key_source, {"api_key": NO_KEY})))
    outcomes: list[DcipherError | None] = []
    received: dict[str, Any] = {}

    def on_response(response: httpx.Response) -> None:
        received["server"] = http_date(response.headers.get("date", ""))
        received["certificate"] = _certificate(response)  # before its connection is closed

    def send() -> None:
        try:
            with Dcipher(settings=settings) as client:
                http = client._api.http.get_or_create_httpx_client()  # noqa: SLF001 - ours
                http.event_hooks = {"response": [on_response]}
                _ = client.flows.get(NO_FLOW)
            outcomes.append(None)
        except DcipherError as error:
            outcomes.append(error)

    clock, began = time.time(), monotonic()
    # A daemon: the resolver of the operating system has no timeout.
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(TOTAL_TIMEOUT)
    took = monotonic() - began
    outcome = (
        outcomes[0] if outcomes else APIConnectionError(f"No response within {TOTAL_TIMEOUT:g} s.")
    )
    return ProbeResponse(outcome, took * 1000, clock + took / 2, **received)


def _certificate(response: httpx.Response) -> Certificate | None:
    tls = response.extensions["network_stream"].get_extra_info("ssl_object")
    found: Any = tls and tls.getpeercert()
    if not found:
        return None
    names = {key: value for part in found.get("issuer", ()) for key, value in part}
    issuer = names.get("organizationName") or names.get("commonName") or "an unnamed authority"
    return Certificate(tls.version(), issuer, ssl.cert_time_to_seconds(found["notAfter"]))


def report(call: Invocation) -> None:
    """Prints each check as soon as it is done."""
    made: list[Check] = []

    def records() -> Iterator[Mapping[str, Any]]:
        for check in checks_of(call):
            made.append(check)
            yield check.record()

    call.output.data(records(), text=_line, key="check")
    failed = [check for check in made if check.state is State.FAILED]
    if call.output.form is Form.TEXT:
        result = f"{len(failed)} failed." if failed else "Nothing failed."
        call.output.note(f"{result} The report contains no secret: it can be pasted into a ticket.")
    if failed:
        of_key = all(check.of_key for check in failed)
        raise Exit(ExitCode.AUTHENTICATION if of_key else ExitCode.FAILURE)


def _line(record: Mapping[str, Any]) -> str:
    line = f"{record['state']:<8} {record['check']:<12} {record['detail']}"
    return f"{line}\n{'':<8} {'next':<12} {record['next']}" if record["next"] else line


def print_key(call: Invocation) -> None:
    """Prints the source of the key, its target, and whether the service accepts it."""
    found = explained(call)
    if found.all_problems:
        raise ConfigurationError(" ".join(found.all_problems))
    if found.values.api_key is None:
        raise MissingAPIKeyError("There is no API key.")
    response = probe(found)
    api = api_check(response)
    key = key_check(
        response.outcome, rejected_key_advice(response.outcome) or "dcipher config show"
    )
    place = {setting.name: setting.source for setting in found.settings}
    record = {
        "key": f"set, {len(found.values.api_key)} characters",
        "key_source": place["api_key"],
        "fingerprint": fingerprint(found.values.api_key),
        "base_url": found.values.base_url,
        "base_url_source": place["base_url"],
        "service": _service(call, found.values.base_url),
        "accepted": _ACCEPTED[key.state],
    }
    call.output.data(record, key="fingerprint")
    if api.state is State.FAILED:
        raise CommandError(api.detail, next_step="dcipher doctor")
    if key.state is State.FAILED:
        raise CommandError(key.detail, ExitCode.AUTHENTICATION, next_step=key.next)
    call.output.note(key.detail)


_ACCEPTED = {State.OK: True, State.FAILED: False, State.SKIPPED: None}


def fingerprint(key: str) -> str | None:
    """Returns 48 bits of the SHA-256 of a key, from which it cannot be found."""
    if len(key) < LONG_ENOUGH:
        return None
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def _service(call: Invocation, base_url: str) -> str:
    """Returns which service is at the base URL, as far as that is known."""
    if base_url == DEFAULT_BASE_URL:
        return "the hosted service"
    if not leads_here(base_url):
        return "unknown"
    try:
        Control.at(call, base_url).request("GET", "faults")
    except CommandError as error:  # an emulator may have another key
        return "an emulator" if error.code is ExitCode.AUTHENTICATION else "unknown"
    return "an emulator"
