"""Prints the reports of `dcipher doctor` and `dcipher whoami`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from click.exceptions import Exit

from dcipher._settings.checks import DEFAULT_BASE_URL
from dcipher._urls.hosts import leads_here
from dcipher.cli.doctor.checks import Check, State, api_check, key_check
from dcipher.cli.doctor.diagnosis import ask, diagnosed
from dcipher.cli.doctor.settings import explained
from dcipher.cli.emulator.control import Control
from dcipher.cli.state.running_emulators import refused_key
from dcipher.cli.terminal.failures import CommandError, ExitCode
from dcipher.cli.terminal.output import Form
from dcipher.errors import ConfigurationError, MissingAPIKeyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dcipher.cli.app.invocation import Invocation

__all__ = ["fingerprint", "report", "who"]

LONG_ENOUGH = 16
"""Characters of a key that is too long to be found by trying all keys with its fingerprint."""


def report(call: Invocation) -> None:
    """Prints each check as soon as it is made."""
    made: list[Check] = []

    def records() -> Iterator[Mapping[str, Any]]:
        for check in diagnosed(call):
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


def who(call: Invocation) -> None:
    """Prints which key is sent where, and whether it is accepted."""
    found = explained(call)
    if found.all_problems:
        raise ConfigurationError(" ".join(found.all_problems))
    if found.values.api_key is None:
        raise MissingAPIKeyError("There is no API key.")
    answer = ask(found)
    api = api_check(answer)
    key = key_check(answer.outcome, refused_key(answer.outcome) or "dcipher config show")
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
        Control.at(call, base_url).ask("GET", "faults")
    except CommandError as error:  # an emulator may have another key
        return "an emulator" if error.code is ExitCode.AUTHENTICATION else "unknown"
    return "an emulator"
