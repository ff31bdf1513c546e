"""Checks the emulator of a test, and adds its requests, runs and faults to the test report."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, final

import pytest

from dcipher._masking.redaction import redact
from dcipher._masking.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dcipher.emulator import Emulator, RequestRecord, RunRecord
    from dcipher.pytest_plugin.marks import Options

__all__ = ["Watch"]

TITLE = "dcipher emulator"
_LIMIT = 20  # requests, runs, faults, or failures in the report
_WIDTH = 400  # characters of a line


@final
class Watch:
    """Checks the emulator of one test."""

    def __init__(self, emulator: Emulator, options: Options) -> None:
        self._emulator = emulator
        self._options = options
        secret = options.arguments.get("api_secret")
        self._secrets = [emulator.api_key, *([secret] if secret else [])]
        self._last: RequestRecord | None = None
        self._passed = False
        self._reported = False
        self._recorded: str | None = None

    def failure(self) -> BaseException | None:
        """Returns the failure of a test that passed otherwise."""
        requests = self._emulator.requests
        self._last = requests[-1] if requests else None
        found = [*self._unmatched(requests), *self._unconsumed()]
        return pytest.fail.Exception("\n".join(found), pytrace=False) if found else None

    def end(self) -> None:
        """Records the state of an emulator that is about to stop.

        Fails the teardown of a test that passed, for unmatched requests of other fixtures' teardowns.
        """
        self._recorded = self._summary()
        later = [*takewhile(lambda one: one is not self._last, reversed(self._emulator.requests))]
        found = self._unmatched(later[::-1]) if self._passed else []
        if found:
            pytest.fail("\n".join(found), pytrace=False)

    def report(self, report: pytest.TestReport) -> None:
        """Adds the state of the emulator to the first report of a failure."""
        if report.when == "call":
            self._passed = report.passed
        if report.failed and not self._reported:
            self._reported = True
            report.sections.append((TITLE, self._recorded or self._summary()))

    def _unmatched(self, requests: Sequence[RequestRecord]) -> list[str]:
        if self._options.unmatched == "allow":
            return []
        found = [f"{_target(one)}: {one.unmatched}" for one in requests if one.unmatched]
        lines = [f"Unmatched request: {line}" for line in dict.fromkeys(found)]
        return self._with_hint(lines, 'unmatched="allow"')

    def _unconsumed(self) -> list[str]:
        if self._options.unconsumed == "allow":
            return []
        lines = [f"Unconsumed {one.reproach}" for one in self._emulator.faults if not one.consumed]
        return self._with_hint(lines, 'unconsumed="allow"')

    def _with_hint(self, lines: Sequence[str], hint: str) -> list[str]:
        return (
            [*self._lines(lines), f"(to permit this: @pytest.mark.dcipher({hint}))"]
            if lines
            else []
        )

    def _summary(self) -> str:
        emulator = self._emulator
        requests, runs, faults = emulator.requests, emulator.runs, emulator.faults
        parts = (
            ("requests", len(requests), map(_request, requests[-_LIMIT:])),
            ("runs", len(runs), map(_run, runs[-_LIMIT:])),
            ("faults", len(faults), (one.reproach for one in faults[-_LIMIT:])),
        )
        return "\n".join(
            line
            for what, count, lines in parts
            for line in (_heading(what, count), *(f"  {line}" for line in self._lines([*lines])))
        )

    def _lines(self, lines: Sequence[str]) -> Iterator[str]:
        for line in lines[:_LIMIT]:
            yield redact(clean(line, _WIDTH), self._secrets)
        if len(lines) > _LIMIT:
            yield f"and {len(lines) - _LIMIT} more"


def _heading(what: str, count: int) -> str:
    if not count:
        return f"{what}: none"
    return f"{what}, the last {_LIMIT} of {count}:" if count > _LIMIT else f"{what}:"


def _request(request: RequestRecord) -> str:
    notes = [f"fault {request.fault}" if request.fault else None, request.unmatched]
    text = "; ".join(note for note in notes if note)
    return f"{request.status or '---'} {_target(request)}{f' ({text})' if text else ''}"


def _run(run: RunRecord) -> str:
    message = f" ({run.message})" if run.message else ""
    return f"{run.status} {run.flow_id} {run.task_id}{message}"


def _target(request: RequestRecord) -> str:
    query = f"?{request.query}" if request.query else ""
    return clean(f"{request.method} {request.path}{query}")
