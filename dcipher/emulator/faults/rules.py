"""Registered faults: which requests they are applied to, and how often."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import final

from pydantic import JsonValue
from typing_extensions import override

from dcipher.emulator.faults.definition import Definition
from dcipher.emulator.faults.effect import Effect
from dcipher.emulator.faults.messages import Call

__all__ = ["Applied", "FaultRule", "Faults"]


@dataclass(slots=True)
class _Count:
    """How many requests matched a rule, and how many it was applied to."""

    matched: int = 0
    applied: int = 0


@dataclass(frozen=True, slots=True)
class Applied:
    """A rule that is applied to a request."""

    rule: FaultRule
    call: Call


@dataclass(slots=True)
class _State:
    """The mutable state of a rule."""

    counts: dict[str, _Count] = field(default_factory=lambda: defaultdict(_Count))
    identities: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@final
class FaultRule:
    """A fault that is registered with an emulator. `Emulator.fault` returns it."""

    def __init__(self, number: int, definition: Definition, faults: Faults) -> None:
        self._number = number
        self._definition = definition
        self._faults = faults
        self._state = _State()

    @override
    def __repr__(self) -> str:
        return f"<fault {self.words}: {self._progress}>"

    @property
    def id(self) -> int:
        """The number of the fault, counted from 1 in the order of registration."""
        return self._number

    @property
    def words(self) -> str:
        """A description of the fault, as in the journal of requests."""
        effects = ", ".join(map(repr, self._definition.effects))
        return f"{self._number} on {self._definition.operation or 'any operation'}: {effects}"

    @property
    def hits(self) -> int:
        """The number of requests that it was applied to."""
        return sum(count.applied for count in self._counts())

    @property
    def matched(self) -> int:
        """The number of requests that matched, whether it was applied to them or not."""
        return sum(count.matched for count in self._counts())

    @property
    def remaining(self) -> int | None:
        """The number of requests that it will still be applied to. `None`: any number.

        With `per_run`, it is the sum for all runs so far.
        """
        calls = self._definition.calls
        if calls is None:
            return None
        counts = self._counts() or (_Count(),)
        return sum(calls - count.applied for count in counts)

    @property
    def consumed(self) -> bool:
        """Whether it is consumed. With `times=None`: whether it was ever applied."""
        return self.hits > 0 if self.remaining is None else self.remaining == 0

    def remove(self) -> None:
        """Removes the fault. Removing it twice does nothing."""
        self._faults.remove(self._number)

    def to_python(self) -> dict[str, JsonValue]:
        """Returns the fault and its counters as a JSON value."""
        return {
            "id": self._number,
            **self._definition.to_python(),
            "hits": self.hits,
            "matched": self.matched,
            "remaining": self.remaining,
            "consumed": self.consumed,
        }

    def offer(self, call: Call, *, taken: bool) -> Applied | None:
        """Counts a request. Returns the application of the rule, if it is to be applied.

        `taken`: an earlier rule is applied to the request.
        """
        definition = self._definition
        if not definition.matches(call):
            return None
        identity = f"{call.operation}/{call.identity}"
        count = self._state.counts[identity if definition.per_run else ""]
        count.matched += 1
        if not self._decides(identity) or taken or count.matched < (definition.nth or 1):
            return None
        if definition.calls is not None and count.applied >= definition.calls:
            return None
        count.applied += 1
        return Applied(self, replace(call, turn=count.applied - 1))

    @property
    def effects(self) -> tuple[Effect, ...]:
        """The effects, in order."""
        return self._definition.effects

    @property
    def _progress(self) -> str:
        calls = self._definition.calls
        limit = "" if calls is None else f" of {calls}"
        each = " a run" if self._definition.per_run else ""
        return f"applied {self.hits}{limit}{each}, {self.matched} requests matched"

    @property
    def reproach(self) -> str:
        """The error message for a fault that is not consumed."""
        return f"fault {self.words}: {self._progress}"

    def _counts(self) -> tuple[_Count, ...]:
        return tuple(self._state.counts.values())

    def _decides(self, identity: str) -> bool:
        """Decides by a hash, which does not depend on the order of requests."""
        if self._definition.probability >= 1:
            return True
        self._state.identities[identity] += 1
        number = self._state.identities[identity]
        text = f"{self._definition.seed}\n{self._number}\n{identity}\n{number}"
        if self._faults.seed is not None:
            text = f"{self._faults.seed}\n{text}"
        found = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return found < self._definition.probability * 2**64


@final
class Faults:
    """The faults of an emulator, in order. Thread-safe."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed: int | None = seed
        """The seed of the emulator, on which decisions of `probability` depend, too."""
        self._lock = threading.Lock()
        self._rules: tuple[FaultRule, ...] = ()
        self._last = 0

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        """The rules, in the order of registration."""
        return self._rules

    def add(self, definition: Definition) -> FaultRule:
        """Registers a rule."""
        with self._lock:
            self._last += 1
            rule = FaultRule(self._last, definition, self)
            self._rules = (*self._rules, rule)
            return rule

    def get(self, number: int) -> FaultRule | None:
        """Returns the rule with this number."""
        return next((rule for rule in self._rules if rule.id == number), None)

    def remove(self, number: int) -> None:
        """Removes a rule."""
        with self._lock:
            self._rules = tuple(rule for rule in self._rules if rule.id != number)

    def clear(self) -> None:
        """Removes all rules and numbers new ones from 1, so that the same rules decide the same."""
        with self._lock:
            self._rules, self._last = (), 0

    def check(self) -> None:
        """Raises an AssertionError that names each rule which is not consumed."""
        left = [rule.reproach for rule in self._rules if not rule.consumed]
        if left:
            count = "A fault was" if len(left) == 1 else f"{len(left)} faults were"
            raise AssertionError("\n  ".join([f"{count} not consumed:", *left]))

    def choose(self, call: Call) -> Applied | None:
        """Returns the first matching rule that is not consumed. Every matching rule counts the request."""
        applied: Applied | None = None
        with self._lock:
            for rule in self._rules:
                found = rule.offer(call, taken=applied is not None)
                applied = applied or found
        return applied
