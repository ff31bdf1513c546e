"""The faults with a button of their own: those that applications meet first, or clear first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from dcipher.emulator.faults.messages import Operation

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True, slots=True)
class Preset:
    """A fault with a title and a description."""

    title: str
    description: str
    """What happens, and what the application should do."""
    operation: Operation | None
    effects: Sequence[Mapping[str, JsonValue]]

    def to_python(self) -> dict[str, JsonValue]:
        """Returns a JSON object. `fault` is the body of `POST faults`."""
        effects: list[JsonValue] = [dict(effect) for effect in self.effects]
        fault: dict[str, JsonValue] = {"operation": self.operation, "effects": effects}
        return {"title": self.title, "description": self.description, "fault": fault}


PRESETS: Final = (
    Preset(
        "503 once",
        "The next request is rejected. The client should retry it.",
        None,
        [{"kind": "respond", "status": 503}],
    ),
    Preset(
        "429, wait 2 s",
        "The next start is rejected with Retry-After: 2. The client should retry it after 2 s.",
        "start",
        [{"kind": "respond", "status": 429, "headers": {"Retry-After": "2"}}],
    ),
    Preset(
        "Lose the response to a start",
        "The run is created, but the response is lost. The retry must not start a second run.",
        "start",
        [{"kind": "drop", "when": "after"}],
    ),
    Preset(
        "Reset a connection",
        "The connection of the next request is reset before the service receives it.",
        None,
        [{"kind": "drop", "when": "before", "how": "reset"}],
    ),
    Preset(
        "A cluster that warms up",
        "The next three polls of a run return PENDING, setting up cluster, QUEUED.",
        "status",
        [{"kind": "statuses", "words": ["PENDING", "setting up cluster", "QUEUED"]}],
    ),
    Preset(
        "Broken JSON",
        "The next poll of a run gets truncated JSON.",
        "status",
        [{"kind": "replace", "body": '{"status": "SUCC'}],
    ),
    Preset(
        "A login page",
        "The next poll of a run gets HTML, as from a proxy.",
        "status",
        [{"kind": "html"}],
    ),
    Preset(
        "Silence for 5 s",
        "The response to the next poll of a run is delayed by five seconds.",
        "status",
        [{"kind": "stall", "seconds": 5}],
    ),
    Preset(
        "Reset within a result",
        "The connection is reset before the last byte. The client should resume the download.",
        "result",
        [{"kind": "cut", "at": -1, "how": "reset"}],
    ),
    Preset(
        "A truncated result",
        "The next result lacks its last byte, with a matching length. Only its digest reveals it.",
        "result",
        [{"kind": "truncate", "at": -1}],
    ),
    Preset(
        "Garbage instead of a result",
        "The next result is random bytes of the same length. Only its digest reveals it.",
        "result",
        [{"kind": "garbage"}],
    ),
    Preset(
        "Expire the URL",
        "The signed URLs of the next run that is downloaded expire permanently.",
        "result",
        [{"kind": "expire_url"}],
    ),
)
