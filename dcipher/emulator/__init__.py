"""A local Dcipher service: the API on a real socket, with Python functions as flows.

It needs the extra `emulator`. Importing this package is fast, and works without the extra.

Example:
    ```python
    from dcipher.emulator import Emulator

    emulator = Emulator()

    @emulator.flow("65cf2f3e", name="Shout")
    def shout(text: str) -> dict[str, str]:
        return {"text": text.upper()}

    with emulator:
        print(emulator.url, emulator.api_key)
    ```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcipher.emulator.faults.rules import FaultRule
    from dcipher.emulator.gate.journal import RequestRecord
    from dcipher.emulator.runs.flows import Flows
    from dcipher.emulator.runs.results import Result
    from dcipher.emulator.runs.runs import RunRecord
    from dcipher.emulator.server import Emulator

__all__ = ["Emulator", "FaultRule", "Flows", "RequestRecord", "Result", "RunRecord"]

_HOMES = {
    "Emulator": "dcipher.emulator.server",
    "FaultRule": "dcipher.emulator.faults.rules",
    "Flows": "dcipher.emulator.runs.flows",
    "RequestRecord": "dcipher.emulator.gate.journal",
    "Result": "dcipher.emulator.runs.results",
    "RunRecord": "dcipher.emulator.runs.runs",
}


def __getattr__(name: str) -> object:
    """Loads a public name at its first use (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
