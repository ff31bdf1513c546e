"""A property that is computed once for each object."""

from __future__ import annotations

import threading

from dcipher._concurrency.once import once
from tests.waiting import HANG


class Thing:
    def __init__(self, computed: threading.Event, wait: threading.Event) -> None:
        self.computed, self.wait = computed, wait
        self.times = 0

    @once
    def value(self) -> int:
        """A number."""
        self.times += 1
        self.computed.set()
        assert self.wait.wait(HANG)
        return self.times


def ready() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def test_it_is_computed_once() -> None:
    """The second access returns the value of the first one. On the class, it is the property itself."""
    thing = Thing(threading.Event(), ready())
    assert (thing.value, thing.value, thing.times) == (1, 1, 1)
    assert Thing.value.__doc__ == "A number."


def test_no_object_waits_for_another() -> None:
    """One object computes its value while another one does: there is no lock that a fork could copy."""
    slow = Thing(threading.Event(), threading.Event())
    thread = threading.Thread(target=lambda: slow.value)
    thread.start()
    assert slow.computed.wait(HANG)
    found: list[int] = []
    other = threading.Thread(target=lambda: found.append(Thing(threading.Event(), ready()).value))
    other.daemon = True
    other.start()
    other.join(HANG)
    slow.wait.set()
    thread.join(HANG)
    assert found == [1]
