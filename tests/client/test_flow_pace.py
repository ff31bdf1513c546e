"""When runs are polled that are waited for at the same time."""

from __future__ import annotations

import heapq
import random
from datetime import datetime, timezone
from itertools import count
from typing import TYPE_CHECKING

import anyio
import pytest

from dcipher import AsyncDcipher, Dcipher, InternalServerError, Resilience, Run
from dcipher._client.waiting.flow_pace import FASTEST, FEW, FLOWS, LONGEST_UNKNOWN, Pace, Paces
from dcipher._client.waiting.poll_intervals import LONGEST_INTERVAL, first_poll_in, next_poll_in
from dcipher._client.waiting.wait import Wait
from dcipher._concurrency.sleeping import Alarm, AsyncAlarm
from dcipher._concurrency.tasks.workers import each
from tests.conftest import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dcipher.emulator import Emulator


class Simulation:
    """Waits for runs of one flow on a clock that only jumps; the second start is a second later."""

    def __init__(self, durations: Sequence[float], starts_per_second: float = 500.0) -> None:
        self.pace = Pace()
        self.polls = [0] * len(durations)
        self.lags = [0.0] * len(durations)
        self._durations = durations
        self._starts = [n / starts_per_second for n in range(len(durations))]
        self._seen = [0.0] * len(durations)
        self._random = random.Random(1)  # noqa: S311 - a simulation
        self._numbers = count()
        self._plan: list[tuple[float, int, int]] = []
        self._due: dict[int, float] = {}
        self._now = 0.0

    def run(self) -> Simulation:
        """Waits until all have ended."""
        for n, start in enumerate(self._starts):
            heapq.heappush(self._plan, (start, next(self._numbers), n))
            self._due[n] = start
        entered: set[int] = set()
        while self._plan:
            self._now, _, n = heapq.heappop(self._plan)
            if self._due.get(n) != self._now:
                continue  # it was planned anew
            if n in entered:
                self._poll(n)
            else:
                entered.add(n)
                self.pace.enter(n, lambda n=n: self._plan_anew(n))
                own = first_poll_in(0.0)
                self._plan_at(n, self.pace.interval(0.0, own, self._random.random()))
        assert self.pace.waits == 0
        return self

    def _poll(self, n: int) -> None:
        age = self._now - self._starts[n]
        self.polls[n] += 1
        if age >= self._durations[n]:
            self.lags[n] = age - self._durations[n]
            del self._due[n]
            self.pace.leave(n)
            self.pace.ended(age, self._seen[n])
            return
        self._seen[n] = age
        self.pace.running(age)
        own = next_poll_in(age, self._random.random())
        self._plan_at(n, self.pace.interval(age, own, self._random.random()))

    def _plan_anew(self, n: int) -> None:
        age = self._now - self._starts[n]
        delay = self.pace.after_news(age)
        self._plan_at(n, max(0.0, min(self._due[n] - self._now, delay)))

    def _plan_at(self, n: int, delay: float) -> None:
        self._due[n] = self._now + delay
        heapq.heappush(self._plan, (self._due[n], next(self._numbers), n))


def test_a_few_are_polled_as_if_alone() -> None:
    """Up to ten waits for one flow have the ordinary intervals, even if its duration is known."""
    pace = Pace()
    for wait in range(FEW):
        pace.enter(wait, lambda: None)
    pace.ended(20.0, 19.0)
    assert [pace.interval(3.0, own, 0.5) for own in (0.2, 3.0)] == [0.2, 3.0]


@pytest.mark.parametrize("number", [100, 1000, 5000])
def test_many_runs_that_take_the_same_time_cost_few_polls(number: int) -> None:
    """Runs of 20 s need less than eight polls each, and most ends are known within a second."""
    done = Simulation([20.0] * number).run()
    assert sum(done.polls) / number < 8
    assert sorted(done.lags)[number // 2] < 1


def test_few_polls_find_the_first_end() -> None:
    """Thousands of runs are not all polled before one has ended, but each after 30 s at the latest."""
    done = Simulation([20.0] * 5000, starts_per_second=1500.0).run()
    assert sum(done.polls) / 5000 < 1.5
    early = Simulation([100.0] * 500 + [3.0] + [100.0] * 500).run()
    assert early.lags[500] <= LONGEST_UNKNOWN


def test_the_next_runs_of_a_flow_are_polled_when_they_usually_end() -> None:
    """When the duration is known, each of many runs needs at most six polls."""
    first = Simulation([20.0] * 100).run()
    second = Simulation([20.0] * 1000)
    second.pace = first.pace
    second.run()
    assert max(second.polls) <= 6
    assert sorted(second.lags)[500] < 0.5


def test_runs_of_all_durations_are_known_soon() -> None:
    """Runs of 1 to 60 s: each end is known within 15 s, most within 2 s, with fewer polls than alone."""
    chance = random.Random(2)  # noqa: S311 - a simulation
    done = Simulation([chance.uniform(1, 60) for _ in range(2000)]).run()
    assert max(done.lags) <= LONGEST_INTERVAL
    assert sorted(done.lags)[1000] < 2
    assert sum(done.polls) / 2000 < 40


def test_a_run_that_takes_longer_than_usual_is_polled_at_its_own_interval() -> None:
    """The polls of late runs are a fifteenth of their age apart, as for a single run."""
    done = Simulation([5.0] * 200 + [100.0] * 5).run()
    assert max(done.lags[200:]) <= 7.5


def test_shorter_runs_wake_the_waits() -> None:
    """The first end wakes them, and so does a duration far below the known one; a longer one does not."""
    pace = Pace()
    rings: list[int] = []
    pace.enter(1, lambda: rings.append(1))
    pace.running(19.9)
    pace.ended(20.0, 1.0)
    assert len(rings) == 1
    pace.ended(21.0, 20.0)
    assert len(rings) == 1
    pace.ended(4.0, 3.9)
    pace.ended(4.0, 3.9)
    assert len(rings) == 2


def test_overdue_runs_are_polled_from_the_oldest_on() -> None:
    """When the duration becomes known, those that should have ended are not polled all at once."""
    pace, delays = Pace(), dict[int, float]()
    for n in range(5000):
        pace.enter(n, lambda n=n: delays.update({n: pace.after_news(30.0 - n / 1000)}))
    pace.ended(20.0, 19.9)
    assert sorted(delays, key=delays.__getitem__) == [*range(5000)]
    in_a_second = [delay for delay in delays.values() if delay < 1]
    assert len(in_a_second) <= FASTEST
    assert max(delays.values()) <= 5000 / FASTEST + 1e-6


@pytest.mark.parametrize(("asked", "least", "most"), [(None, 0.0, 1.0), (60.0, 30.0, 60.0)])
def test_news_are_for_runs_whose_poll_failed_too(
    asked: float | None, least: float, most: float
) -> None:
    """The first end is news for them, too, but what the server asked for is respected."""
    pace, run = Pace(), Run(flow_id="f", task_id="t", created_at=datetime.now(timezone.utc))
    for other in range(400):
        pace.enter(other, lambda: None)
    wait = Wait(run, Resilience(backoff_initial=0.01), None, None)
    wait.keep_pace(pace, lambda: None)
    error = InternalServerError("busy", status_code=503, retry_after=asked)
    assert wait.after_failure(error, run) > 5.0  # the others find the first end
    pace.ended(0.5, 0.4)
    assert least <= wait.after_news() <= most


def test_durations_of_few_flows_are_kept() -> None:
    """The paces of flows without a wait are removed, the others are not."""
    paces = Paces()
    busy, idle = paces.of("busy"), paces.of("idle")
    busy.enter(1, lambda: None)
    for n in range(FLOWS):
        paces.of(str(n))
    assert paces.of("busy") is busy
    assert paces.of("idle") is not idle


def test_an_alarm_ends_a_sleep_of_another_thread() -> None:
    """A ring ends the sleep in progress, and an old ring ends the next one."""
    alarm = Alarm()
    slept: list[bool] = []
    each([lambda: slept.append(alarm.sleep(60)), alarm.ring], 2, lambda: None)
    assert slept == [True]
    assert not alarm.sleep(0.01)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_alarm_ends_a_sleep_of_another_task(backend: str) -> None:
    """A ring ends the sleep in progress, and only that."""
    pytest.importorskip(backend)
    alarm = AsyncAlarm()
    slept: list[bool] = []

    async def sleep(seconds: float) -> None:
        slept.append(await alarm.sleep(seconds))

    async def main() -> None:
        alarm.ring()
        await sleep(0.01)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sleep, 60)
            await anyio.wait_all_tasks_blocked()
            alarm.ring()
        await sleep(0.01)

    anyio.run(main, backend=backend)
    assert slept == [False, True, False]


@pytest.mark.parametrize("kind", [Dcipher, AsyncDcipher])
def test_many_waits_of_a_client_end(kind: type[Dcipher | AsyncDcipher], emulator: Emulator) -> None:
    """Sixty concurrent waits return their own runs, in both clients, with fewer polls than alone."""
    before = len(emulator.requests)
    texts = [str(n) for n in range(60)]
    runs: dict[str, str] = {}

    async def wait_async(client: AsyncDcipher, text: str) -> None:
        runs[text] = (
            await client.runs.wait(await client.flows.start("shout", {"text": text}))
        ).task_id

    async def main() -> None:
        async with (
            AsyncDcipher(KEY, base_url=emulator.url) as client,
            anyio.create_task_group() as all_,
        ):
            for text in texts:
                all_.start_soon(wait_async, client, text)

    if kind is AsyncDcipher:
        anyio.run(main)
    else:
        with Dcipher(KEY, base_url=emulator.url) as client:

            def wait(text: str) -> None:
                runs[text] = client.runs.wait(client.flows.start("shout", {"text": text})).task_id

            each([lambda text=text: wait(text) for text in texts], 60, lambda: None)
    assert len({*runs.values()}) == 60
    assert len(emulator.requests) - before < 60 * 12
