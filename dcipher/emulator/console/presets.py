"""The faults that are one click away: those that an application meets first, or forgets first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from dcipher.emulator.faults.answers import Operation

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True, slots=True)
class Preset:
    """A fault that needs no words."""

    title: str
    says: str
    """What happens, and what an application should then see."""
    operation: Operation | None
    effects: Sequence[Mapping[str, JsonValue]]

    def to_python(self) -> dict[str, JsonValue]:
        """The JSON value; `fault` is what `POST faults` takes."""
        effects: list[JsonValue] = [dict(effect) for effect in self.effects]
        fault: dict[str, JsonValue] = {"operation": self.operation, "effects": effects}
        return {"title": self.title, "says": self.says, "fault": fault}


PRESETS: Final = (
    Preset(
        "503 once",
        "The next request is refused; it is sent again.",
        None,
        [{"kind": "respond", "status": 503}],
    ),
    Preset(
        "429, wait 2 s",
        "The next start is refused with Retry-After: 2; it is sent again, not earlier.",
        "start",
        [{"kind": "respond", "status": 429, "headers": {"Retry-After": "2"}}],
    ),
    Preset(
        "Lose the answer to a start",
        "The run is created, and nobody hears of it: the start is sent again, and is still one run.",
        "start",
        [{"kind": "drop", "when": "after"}],
    ),
    Preset(
        "Reset a connection",
        "The next request finds its connection reset before the service hears of it.",
        None,
        [{"kind": "drop", "when": "before", "how": "reset"}],
    ),
    Preset(
        "A cluster that warms up",
        "The next three looks at a run say PENDING, setting up cluster, QUEUED.",
        "status",
        [{"kind": "statuses", "words": ["PENDING", "setting up cluster", "QUEUED"]}],
    ),
    Preset(
        "Broken JSON",
        "The next look at a run is answered with half a JSON text.",
        "status",
        [{"kind": "replace", "body": '{"status": "SUCC'}],
    ),
    Preset(
        "A login page",
        "The next look at a run is answered with HTML, as a proxy does.",
        "status",
        [{"kind": "html"}],
    ),
    Preset(
        "Silence for 5 s",
        "The next look at a run is answered five seconds late.",
        "status",
        [{"kind": "stall", "seconds": 5}],
    ),
    Preset(
        "Reset within a result",
        "The connection is reset before the last byte: the download goes on where it broke.",
        "result",
        [{"kind": "cut", "at": -1, "how": "reset"}],
    ),
    Preset(
        "A truncated result",
        "The next result lacks its last byte under a right length: its digest gives it away.",
        "result",
        [{"kind": "truncate", "at": -1}],
    ),
    Preset(
        "Garbage for a result",
        "The next result is random bytes of the same length: its digest gives it away.",
        "result",
        [{"kind": "garbage"}],
    ),
    Preset(
        "Expire the URL",
        "The signed URL of the next run that is downloaded has expired, for good.",
        "result",
        [{"kind": "expire_url"}],
    ),
)
