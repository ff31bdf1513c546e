"""`dcipher flows list`: the flows of an emulator, or those that this machine knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dcipher._urls.hosts import leads_here
from dcipher.cli.emulator.control import Control
from dcipher.cli.state.ledger import Ledger
from dcipher.cli.state.running_emulators import running_emulators
from dcipher.cli.terminal.errors import CommandError

if TYPE_CHECKING:
    from typing import TypeAlias

    from dcipher.cli.app.invocation import Invocation

    _Known: TypeAlias = tuple[str, str | None, str]
    """The id of a flow, its name, and where it is known from."""

__all__ = ["list_flows"]


def list_flows(call: Invocation) -> None:
    """Prints the flows, each with its sources."""
    here = Control.at(call, call.configuration.base_url)
    found = _of_emulator(here) if here.has_key or leads_here(here.url) else None
    if found is None:
        call.output.note(
            f"The service at {here.url} has no operation that lists its flows. These are the flows "
            "that this machine knows."
        )
        emulators = (Control(one.url, one.api_key) for one in running_emulators())
        found = [flow for one in emulators for flow in _of_emulator(one) or ()]
        found += _of_ledger(call)
    if not found:
        call.output.note("There are no flows.")
    records: dict[str, dict[str, Any]] = {}
    for flow, name, source in found:
        record = records.setdefault(flow, {"id": flow, "name": name, "known_from": []})
        record["known_from"].append(source)
    call.output.data(records.values(), columns=["id", "name", "known_from"])


def _of_emulator(control: Control) -> list[_Known] | None:
    """Returns the flows of an emulator; `None`: it is another service."""
    try:
        found = control.request("GET", "flows")
    except CommandError:
        return None
    return [(flow["id"], flow.get("name"), f"emulator {control.url}") for flow in found]


def _of_ledger(call: Invocation) -> list[_Known]:
    """Returns the flows of the list of runs, the last used first."""
    try:
        flows = dict.fromkeys(str(entry["flow_id"]) for entry in Ledger().runs())
    except OSError as error:
        call.output.note(f"warning: the list of runs cannot be read: {error}.")
        return []
    return [(flow, None, "dcipher runs list") for flow in flows]
