"""The rate of a batch, simulated against servers with limits."""

from __future__ import annotations

import heapq
import math
import random
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from dcipher._batch.engine.failures import delay_of
from dcipher._batch.journal.states import Row
from dcipher._batch.pacing.durations import Durations
from dcipher._batch.pacing.gate import Gate, shared_gate
from dcipher._batch.pacing.in_flight import InFlight
from dcipher._batch.pacing.schedule import UNDELIVERED, WINDOW, Action, Job, Schedule
from dcipher._batch.work.actions import SOON, Actions
from dcipher._concurrency.clock import monotonic
from dcipher._wire.retries import Failure
from dcipher._wire.retries import Outcome as ServiceOutcome
from dcipher.models import Run
from dcipher.resilience import Resilience
from tests.waiting import HANG

if TYPE_CHECKING:
    from collections.abc import Callable


class Server:
    """Takes so many requests a second, refuses others, and is away for a while."""

    def __init__(
        self, capacity: Callable[[float], float], away: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self._capacity = capacity
        self._away = away
        self._tokens = capacity(0.0)
        self._last = 0.0

    def answer(self, now: float) -> str:
        capacity = self._capacity(now)
        self._tokens = min(self._tokens + (now - self._last) * capacity, capacity)
        self._last = now
        if self._away[0] <= now < self._away[1]:
            return "failed"
        if self._tokens < 1:
            return "refused"
        self._tokens -= 1
        return "taken"


class Simulation:
    """5,000 submissions by 200 workers, with a round trip of 0.15 s."""

    def __init__(self, server: Server, submissions: int = 5000) -> None:
        self.gate = Gate()
        self.sent = self.refused = 0
        self.now = 0.0
        chance = random.Random(1)  # noqa: S311 - a simulation
        left = deque([0] * submissions)
        events: list[tuple[float, int, str, int]] = []
        done = busy = self.most_attempts = 0
        while done < submissions:
            while left and busy < 200 and self.gate.ready_at(self.now) <= self.now:
                attempts = left.popleft() + 1
                self.gate.sent(self.now)
                self.sent, busy = self.sent + 1, busy + 1
                heapq.heappush(events, (self.now + 0.075, self.sent, "arrives", attempts))
            waits = [events[0][0]] if events else []
            if left and busy < 200:
                waits.append(self.gate.ready_at(self.now))
            self.now = max(min(waits), self.now + 1e-9)
            while events and events[0][0] <= self.now:
                at, number, what, attempts = heapq.heappop(events)
                if what == "arrives":
                    heapq.heappush(events, (at + 0.075, number, server.answer(at), attempts))
                    continue
                busy -= 1
                if what == "taken":
                    self.gate.succeeded()
                    done += 1
                    self.most_attempts = max(self.most_attempts, attempts)
                    continue
                left.appendleft(attempts)
                if what == "refused":
                    self.gate.refused(at, self._pause(chance.random()))
                    self.refused += 1
                else:
                    self.gate.failed(at, "down", self._pause(chance.random()))

    def _pause(self, jitter: float) -> float:
        failure = Failure(ServiceOutcome.REJECTED, retry_after=1.0)
        return delay_of(failure, self.gate.consecutive + 1, Resilience(), jitter)


def test_a_steady_service() -> None:
    """A service that takes 20 a second is used to the full, and refuses one in a hundred at most."""
    run = Simulation(Server(lambda _: 20.0))
    assert run.now < 265  # 250 would be ideal
    assert run.refused <= 50
    assert run.most_attempts <= 3


def test_a_drop() -> None:
    """While a service takes a tenth for two minutes, next to nothing is sent in vain."""
    run = Simulation(Server(lambda now: 2.0 if 60 < now < 180 else 20.0))
    assert run.now < 390  # 358 would be ideal
    assert run.refused <= 120


def test_an_outage() -> None:
    """While a service is away, one request at a time asks whether it is back."""
    run = Simulation(Server(lambda _: 20.0, away=(60, 180)))
    assert run.now < 405  # 370 would be ideal
    assert run.sent - 5000 - run.refused <= 130
    assert run.gate.paused_by is None
    assert run.gate.throttled >= 100


def test_the_gate_closes_for_all() -> None:
    """After a refusal nothing is sent before its time; then one request, and the others by its answer."""
    gate = Gate(100.0)
    gate.refused(10.0, 3.0)
    assert gate.ready_at(10.0) == 13.0
    assert gate.ready_at(10.0, poll=True) == 13.0
    gate.sent(13.0)
    assert gate.ready_at(13.5) > 13.5  # the probe is under way
    gate.succeeded()
    assert gate.ready_at(13.5) <= 13.5


def test_the_rate_is_cut_once_a_second() -> None:
    """Refusals that come together cut the rate once."""
    gate = Gate(100.0)
    for _ in range(20):
        gate.refused(5.0, 1.0)
    assert gate.rate == pytest.approx(70)


def test_polls_take_half() -> None:
    """Polls take at most half of the rate, so that runs go on being started."""
    gate, polls, now = Gate(10.0), 0, 100.0
    while now < 110.0:
        now = max(gate.ready_at(now, poll=True), now + 1e-6)
        gate.sent(now, poll=True)
        polls += 1
    assert 45 <= polls <= 52


def test_one_gate_for_a_key() -> None:
    """All clients of a process share the gate of a service and a key, while one of them is there."""
    one = shared_gate("https://a", "k", 50.0)
    assert shared_gate("https://a", "k", None) is one
    assert shared_gate("https://a", "l", None) is not one
    del one
    assert shared_gate("https://a", "k", None).rate == 5.0


def test_in_flight_grows() -> None:
    """The limit doubles round by round until a refusal, then grows by a twentieth, up to 200."""
    limit = InFlight()
    sizes = [limit.limit]
    for _ in range(4):
        for _ in range(limit.limit):
            limit.accepted(limit.limit, first_attempt=True)
        sizes.append(limit.limit)
    assert sizes == [20, 40, 80, 160, 200]
    limit.refused(0.0)
    limit.refused(14.0)
    assert limit.limit == 160
    for _ in range(160):
        limit.accepted(160, first_attempt=True)
    assert limit.limit == 168
    for turn in range(100):
        limit.refused(20.0 * turn + 20)
    assert limit.limit == 4


def test_in_flight_grows_by_use() -> None:
    """A limit that was not used does not grow, nor do retried starts make it grow."""
    limit = InFlight()
    for _ in range(100):
        limit.accepted(10, first_attempt=True)
        limit.accepted(20, first_attempt=False)
    assert limit.limit in {20, 40}
    limit = InFlight()
    for _ in range(100):
        limit.accepted(20, first_attempt=False)
    assert limit.limit == 20


def test_in_flight_is_fixed() -> None:
    """A limit of the caller's stays."""
    limit = InFlight(7)
    for _ in range(100):
        limit.accepted(7, first_attempt=True)
    limit.refused(0.0)
    assert limit.limit == 7


def polls_of(durations: Durations, seconds: float) -> tuple[int, float]:
    """How often a run of so many seconds is polled, and how late its end is noticed."""
    age, polls, running = durations.first_poll(), 1, 0.0
    while age < seconds:
        running = age
        age += durations.next_poll(age)
        polls += 1
    durations.ended(age, seen_running=running)
    return polls, age - seconds


def test_polls_of_equal_runs() -> None:
    """Runs of half a minute are polled three times at most, and noticed within a tenth of that."""
    durations = Durations()
    first, _ = polls_of(durations, 30.0)
    assert first <= 14
    seen = [polls_of(durations, 30.0) for _ in range(200)]
    assert sum(polls for polls, _ in seen) / len(seen) <= 3
    assert max(late for _, late in seen[20:]) <= 3.0


def test_polls_of_different_runs() -> None:
    """Runs between a second and two minutes are polled a dozen times on average."""
    durations, chance = Durations(), random.Random(3)  # noqa: S311 - a simulation
    seen = [polls_of(durations, chance.uniform(1, 120)) for _ in range(500)]
    assert sum(polls for polls, _ in seen) / len(seen) <= 12


def test_polls_of_shorter_runs() -> None:
    """If a flow becomes faster, its runs are polled earlier before long."""
    durations = Durations()
    for _ in range(200):
        polls_of(durations, 30.0)
    late = [polls_of(durations, 10.0)[1] for _ in range(200)]
    assert max(late[-10:]) <= 3.0


def test_late_polls() -> None:
    """Polls that come late do not make the next ones come later still."""
    plan = Schedule(Gate(1e4), InFlight(5), durations := Durations(10.0))
    for position in range(50):
        now = 1000.0 * position
        plan.add(job(position), now)
        [start] = taken(plan, now)
        plan.started(start.job, now)
        plan.done()
        [poll] = taken(plan, now + 500)  # it was due after 8 s
        plan.ended(poll.job)
        plan.done()
    assert durations.usual is not None
    assert durations.usual < 2.0


def job(position: int, *, run: Run | None = None) -> Job:
    row = Row(position, str(position), position, "planned", 0, 0, "k", "{}")
    return Job(row, run)


def schedule(**options: Any) -> Schedule:
    return Schedule(Gate(1e4), InFlight(options.pop("limit", 5)), Durations(), **options)


def taken(plan: Schedule, now: float) -> list[Action]:
    found: list[Action] = []
    while isinstance(action := plan.next(now + len(found) * 1e-3), Action):
        found.append(action)
    return found


def test_no_more_runs_than_the_limit() -> None:
    """So many runs are started as may be in flight; the next when one of them has ended."""
    plan = schedule()
    for position in range(8):
        plan.add(job(position), 0.0)
    started = taken(plan, 1.0)
    assert [action.job.row.position for action in started] == [0, 1, 2, 3, 4]
    plan.started(started[0].job, 1.1)
    plan.done()
    assert taken(plan, 1.2) == []
    assert [action.kind for action in taken(plan, 2.0)] == ["poll"]
    plan.ended(started[0].job)
    assert [action.job.row.position for action in taken(plan, 2.2)] == [5]


def test_a_fixed_rate_of_starts() -> None:
    """`starts_per_second` is kept to, whatever the service would take."""
    plan = schedule(limit=1000, starts_per_second=10.0)
    for position in range(100):
        plan.add(job(position), 0.0)
    starts, now = 0, 50.0
    while now < 52.0:
        due = plan.next(now)
        if isinstance(due, Action):
            starts += 1
        else:
            assert due is not None
            now = max(due, now + 1e-6)
    assert 20 <= starts <= 22


def test_a_slow_reader() -> None:
    """While outcomes wait for their reader, no run is started and no result is fetched."""
    plan = schedule()
    plan.undelivered = UNDELIVERED
    plan.add(job(0), 0.0)
    ended = job(1)
    plan.finish(ended)
    assert plan.next(1.0) == math.inf
    plan.undelivered = 0
    assert [action.kind for action in taken(plan, 2.0)] == ["finish", "start"]


def test_order_is_bounded() -> None:
    """In order, no row is started that is too far ahead of the first one without an outcome."""
    plan = schedule(limit=5000, ordered=True)
    plan.add(job(WINDOW - 1), 0.0)
    plan.add(job(WINDOW), 0.0)
    assert [action.job.row.position for action in taken(plan, 1.0)] == [WINDOW - 1]
    plan.head = 1
    assert [action.job.row.position for action in taken(plan, 2.0)] == [WINDOW]


def test_the_end() -> None:
    """It ends when no rows are left, none is being worked on, and none will come."""
    plan = schedule()
    assert plan.next(0.0) == math.inf
    plan.add(job(0), 0.0)
    plan.is_exhausted = True
    [action] = taken(plan, 1.0)
    assert plan.next(2.0) == math.inf
    plan.drop(action.job)
    plan.done()
    assert plan.next(2.0) is None


def test_stopped() -> None:
    """Once stopped, nothing more is done, and it ends when what is being done has ended."""
    plan = schedule()
    plan.add(job(0), 0.0)
    plan.add(job(1), 0.0)
    assert isinstance(plan.next(1.0), Action)
    plan.is_stopped = True
    assert plan.next(2.0) == math.inf
    plan.done()
    assert plan.next(2.0) is None


def test_a_run_is_polled_when_it_is_due() -> None:
    """A run that was started is polled when most have nearly ended, and again until it has."""
    plan = Schedule(Gate(1e4), InFlight(5), Durations(30.0))
    plan.add(job(0), 0.0)
    [action] = taken(plan, 1.0)
    plan.started(action.job, 1.0)
    plan.done()
    assert plan.next(2.0) == 25.0
    [poll] = taken(plan, 25.0)
    assert poll.kind == "poll"
    plan.polled(poll.job, 25.0)
    assert plan.next(25.1) == pytest.approx(26.5)


def test_a_resumed_run_is_polled_at_once() -> None:
    """A run that the journal knows is polled, not started again."""
    plan = schedule()
    plan.add(job(0, run=Run(flow_id="f", task_id="t")), 5.0)
    assert [action.kind for action in taken(plan, 5.0)] == ["poll"]
    assert plan.in_flight == 1


def test_a_worker_that_is_busy_delays_no_other_step() -> None:
    """An idle worker takes the next step while another is busy, and both end with the batch."""
    plan = Schedule(Gate(1e4), InFlight(5), Durations())
    actions, steps = Actions(plan, 2), SimpleQueue[Action | None]()
    now = monotonic()
    for position, after in ((0, 0.1), (1, 0.1 + 2 * SOON)):
        plan.add(job(position, run=Run(flow_id="f", task_id=str(position))), now + after)

    def work(*, is_busy: threading.Event) -> None:
        while (action := actions.next()) is not None:
            steps.put(action)
            is_busy.wait(HANG)
            plan.done()
        steps.put(None)

    free = threading.Event()
    workers = [threading.Thread(target=work, kwargs={"is_busy": free}) for _ in range(2)]
    for worker in workers:
        worker.start()
    first = steps.get(timeout=HANG)
    actions.let_one_wait()  # as at each tick
    second = steps.get(timeout=HANG)
    assert first is not None
    assert second is not None
    assert [first.job.row.position, second.job.row.position] == [0, 1]
    plan.is_exhausted = True
    free.set()
    assert [steps.get(timeout=HANG) for _ in workers] == [None, None]
