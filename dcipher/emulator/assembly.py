"""Assembles the emulator: its layers around the service, on a server. Needs the extra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcipher.emulator.app import build_app
from dcipher.emulator.control import Control, Controlled
from dcipher.emulator.faults.layer import FaultLayer
from dcipher.emulator.gate.gate import Gate
from dcipher.emulator.gate.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcipher.emulator.console.routes import Console
    from dcipher.emulator.faults.rules import Faults
    from dcipher.emulator.gate.gate import Guard
    from dcipher.emulator.gate.journal import Journal
    from dcipher.emulator.runs.service import Service

__all__ = ["assemble"]

_GRACE = 0.3  # seconds that running flows have when the emulator stops


def assemble(
    service: Service,
    faults: Faults,
    journal: Journal,
    guard: Guard,
    console: Console,
    *,
    clear: Callable[[], None],
    control_key: str | None,
) -> Listener:
    """Returns the listener: control outside, then the gate, then the faults. `control_key`: its API key."""
    layer = FaultLayer(build_app(service), faults, service)
    control = Control(
        Gate(layer, guard, journal, console.exchanges),
        Controlled(
            faults=faults,
            runs=service.runs.records,
            requests=journal.records,
            clear=clear,
            console=console,
        ),
        api_key=control_key,
    )
    return Listener(control, on_stop=lambda: service.runs.stop(grace=_GRACE), secrets=guard.secrets)
