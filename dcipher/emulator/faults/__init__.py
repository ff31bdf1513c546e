"""Faults that the emulator injects into its responses, to test how an application handles them.

Example:
    ```python
    from dcipher.emulator import Emulator
    from dcipher.emulator.faults import Cut, Respond

    with Emulator() as emulator:
        emulator.fault("status", Respond(503, headers={"Retry-After": "2"}), times=3)
        emulator.fault("result", Cut(1000, how="reset"), nth=2)
    ```
"""

from __future__ import annotations

from dcipher.emulator.faults.connection_effects import (
    Cut,
    Delay,
    Dribble,
    Drop,
    Extend,
    Frame,
    Raw,
    Stall,
    Truncate,
)
from dcipher.emulator.faults.effect import Effect
from dcipher.emulator.faults.encoding_effects import Digest, Encode
from dcipher.emulator.faults.response_effects import (
    Garbage,
    Headers,
    Html,
    Patch,
    Redirect,
    Replace,
    Respond,
    Statuses,
)
from dcipher.emulator.faults.rules import FaultRule
from dcipher.emulator.faults.store_effects import (
    ChangeContent,
    ChangeETag,
    ExpireURL,
    IgnoreRange,
    Multipart,
    RefuseRange,
    WrongRange,
)

__all__ = [
    "ChangeContent",
    "ChangeETag",
    "Cut",
    "Delay",
    "Digest",
    "Dribble",
    "Drop",
    "Effect",
    "Encode",
    "ExpireURL",
    "Extend",
    "FaultRule",
    "Frame",
    "Garbage",
    "Headers",
    "Html",
    "IgnoreRange",
    "Multipart",
    "Patch",
    "Raw",
    "Redirect",
    "RefuseRange",
    "Replace",
    "Respond",
    "Stall",
    "Statuses",
    "Truncate",
    "WrongRange",
]
