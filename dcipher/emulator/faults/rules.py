"""Rules at work: which of their requests they are applied to, and what is left of them."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import final

from pydantic import JsonValue
from typing_extensions import override

from dcipher.emulator.faults.answers import Call
from dcipher.emulator.faults.definition import Definition
from dcipher.emulator.faults.effect import Effect

__all__ = ["Applied", "FaultRule", "Faults"]


@dataclass(slots=True)
class _Count:
    """Calls that matched, and calls that the rule was applied to."""

    matched: int = 0
    applied: int = 0


@dataclass(frozen=True, slots=True)
class Applied:
    """A rule that is applied to a call."""

    rule: FaultRule
    call: Call


@dataclass(slots=True)
class _State:
    """What changes of a rule."""

    counts: dict[str, _Count] = field(default_factory=lambda: defaultdict(_Count))
    identities: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@final
class FaultRule:
    """A fault that an emulator was told of: what it is, and what is left of it."""

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
        """Its number, from 1, in the order of registration."""
        return self._number

    @property
    def words(self) -> str:
        """Which rule it is, as the journal says it."""
        effects = ", ".join(map(repr, self._definition.effects))
        return f"{self._number} on {self._definition.operation or 'any operation'}: {effects}"

    @property
    def hits(self) -> int:
        """To how many requests it was applied."""
        return sum(count.applied for count in self._counts())

    @property
    def matched(self) -> int:
        """How many requests it is for have come, whether it was applied or not."""
        return sum(count.matched for count in self._counts())

    @property
    def remaining(self) -> int | None:
        """To how many requests it will still be applied; None: to any number.

        With `per_run`, those of all runs that were seen so far.
        """
        calls = self._definition.calls
        if calls is None:
            return None
        counts = self._counts() or (_Count(),)
        return sum(calls - count.applied for count in counts)

    @property
    def consumed(self) -> bool:
        """Whether nothing remains; of one without an end, whether it was ever applied."""
        return self.hits > 0 if self.remaining is None else self.remaining == 0

    def remove(self) -> None:
        """Forget it; nothing happens if it is forgotten already."""
        self._faults.remove(self._number)

    def to_python(self) -> dict[str, JsonValue]:
        """The JSON value: what it is, and what is left of it."""
        return {
            "id": self._number,
            **self._definition.to_python(),
            "hits": self.hits,
            "matched": self.matched,
            "remaining": self.remaining,
            "consumed": self.consumed,
        }

    def offer(self, call: Call, *, taken: bool) -> Applied | None:
        """Count a request, and take it if it is due; `taken`: an earlier rule has it already."""
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
        """What it does, in order."""
        return self._definition.effects

    @property
    def _progress(self) -> str:
        calls = self._definition.calls
        limit = "" if calls is None else f" of {calls}"
        each = " a run" if self._definition.per_run else ""
        return f"applied {self.hits}{limit}{each}, {self.matched} requests matched"

    @property
    def reproach(self) -> str:
        """What to say where it should have been consumed."""
        return f"fault {self.words}: {self._progress}"

    def _counts(self) -> tuple[_Count, ...]:
        return tuple(self._state.counts.values())

    def _decides(self, identity: str) -> bool:
        """By a hash of what does not depend on how requests interleave."""
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
    """The rules of an emulator, in order; safe for any thread."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed: int | None = seed
        """The emulator's, which every decision by chance depends on, too."""
        self._lock = threading.Lock()
        self._rules: tuple[FaultRule, ...] = ()
        self._last = 0

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        """The rules, in the order of registration."""
        return self._rules

    def add(self, definition: Definition) -> FaultRule:
        """Register a rule."""
        with self._lock:
            self._last += 1
            rule = FaultRule(self._last, definition, self)
            self._rules = (*self._rules, rule)
            return rule

    def get(self, number: int) -> FaultRule | None:
        """The rule with this number."""
        return next((rule for rule in self._rules if rule.id == number), None)

    def remove(self, number: int) -> None:
        """Forget a rule."""
        with self._lock:
            self._rules = tuple(rule for rule in self._rules if rule.id != number)

    def forget(self) -> None:
        """Forget all, and number from 1 again: the same rules then decide the same."""
        with self._lock:
            self._rules, self._last = (), 0

    def check(self) -> None:
        """AssertionError that names each rule which was not consumed."""
        left = [rule.reproach for rule in self._rules if not rule.consumed]
        if left:
            count = "A fault was" if len(left) == 1 else f"{len(left)} faults were"
            raise AssertionError("\n  ".join([f"{count} not consumed:", *left]))

    def choose(self, call: Call) -> Applied | None:
        """The first rule that has something left for a request; every rule counts it."""
        applied: Applied | None = None
        with self._lock:
            for rule in self._rules:
                found = rule.offer(call, taken=applied is not None)
                applied = applied or found
        return applied
