"""Each operation against each fault: outcome, requests, idempotency keys, and no unused fault."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi")

from dcipher import APITimeoutError, Dcipher, Resilience, ResultError, SubmissionUnknownError
from tests.conformance.instructions import INSTRUCTIONS, OPERATIONS, Instruction, Means, Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dcipher import DcipherError, Run
    from dcipher.emulator import Emulator, RequestRecord
    from tests.conftest import Connect

ATTEMPTS = 3
TIMES = 100
RESULT = {"text": "HI" * TIMES}


class Bench:
    """One operation of a client, on an emulator that was told to go wrong."""

    def __init__(
        self, emulator: Emulator, run: Run, connect: Connect, operation: Operation, folder: Path
    ) -> None:
        self._emulator = emulator
        self._operation = operation
        self._target = folder / "out.json"
        rules = Resilience(
            max_retries=ATTEMPTS - 1,
            backoff_initial=0.002,
            backoff_max=0.004,
            resend_ambiguous=operation != "start once",
        )
        self._client = connect(emulator, resilience=rules, timeout=30.0)
        now = datetime.now(timezone.utc)
        # What has just been started or has just ended may not be everywhere yet: that is one of the rules.
        self._run = run.model_copy(update={"created_at": now, "finished_at": now})
        self._before = len(emulator.runs)
        self._asked = len(emulator.requests)

    def break_with(self, instructions: Sequence[Instruction]) -> None:
        """One rule for each answer, used up one after the other."""
        if any(instruction.error is APITimeoutError for instruction in instructions):
            self._client = self._client.with_options(timeout=0.5)
        name = "start" if self._operation == "start once" else self._operation
        for instruction in instructions:
            self._emulator.fault(name, *instruction.effects)

    def act(self) -> Any:
        """What the operation gives."""
        calls: dict[Operation, Callable[[], Any]] = {
            "flow": lambda: self._client.flows.get("shout").id,
            "start": lambda: self._client.flows.start("shout", {"text": "hello"}).flow_id,
            "start once": lambda: self._client.flows.start("shout", {"text": "hello"}).flow_id,
            "status": lambda: self._client.runs.refresh(self._run).status,
            "result": self._download,
        }
        return calls[self._operation]()

    def _download(self) -> Any:
        (path,) = self._client.runs.download(self._run, self._target)
        return json.loads(path.read_bytes())

    @property
    def good(self) -> Any:
        """What the operation gives where nothing goes wrong."""
        return {"status": "SUCCEEDED", "result": RESULT}.get(self._operation, "shout")

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """What was asked since the faults were set."""
        return self._emulator.requests[self._asked :]

    @property
    def started(self) -> int:
        """Runs that the service has started since then."""
        return len(self._emulator.runs) - self._before

    def check(self) -> None:
        """What holds whatever the outcome: no fault is left, one key, one run at most, no half a file."""
        self._emulator.check_faults()
        keys = {request.idempotency_key for request in self.requests}
        if self._operation in {"start", "start once"}:
            assert len(keys) == 1
            assert None not in keys
            assert self.started <= 1
        else:
            assert keys == {None}
        left = [path.name for path in self._target.parent.iterdir()]
        assert left in ([], [self._target.name])


@pytest.fixture(scope="module")
def finished(shared_emulator: Emulator) -> Run:
    """A run that has ended, with one result: the same for all, for none changes it."""
    with Dcipher(api_key=shared_emulator.api_key, base_url=shared_emulator.url) as client:
        return client.flows.run("shout", {"times": TIMES})


@pytest.fixture
def bench(
    shared_emulator: Emulator,
    finished: Run,
    connect: Connect,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Bench]:
    yield Bench(shared_emulator, finished, connect, request.param, tmp_path)
    shared_emulator.clear_faults()


def cases(*, fails: bool) -> list[Any]:
    return [
        pytest.param(operation, instruction, id=f"{operation}-{instruction}")
        for instruction in INSTRUCTIONS.values()
        for operation in OPERATIONS
        if operation not in instruction.leaves_out
        and (instruction.meaning(operation)[0] is not Means.FINE or not fails)
    ]


def is_sent_again(instruction: Instruction, operation: Operation) -> bool:
    means, _ = instruction.meaning(operation)
    return means is Means.AGAIN or (means is Means.AMBIGUOUS and operation != "start once")


def error_of(instruction: Instruction, operation: Operation) -> type[DcipherError]:
    means, error = instruction.meaning(operation)
    if operation == "start once" and means is Means.AMBIGUOUS:
        return SubmissionUnknownError
    return error


def assert_exact(error: DcipherError, expected: type[DcipherError]) -> None:
    """The class itself: for a store's statuses, any `ResultError`."""
    assert isinstance(error, expected) if expected is ResultError else type(error) is expected


@pytest.mark.parametrize(("bench", "instruction"), cases(fails=False), indirect=["bench"])
def test_once(bench: Bench, instruction: Instruction) -> None:
    """A fault that comes once: the operation gets what it wanted at its next request, or says at once why not."""
    operation = bench._operation
    bench.break_with([instruction])
    means, _ = instruction.meaning(operation)
    if means is Means.FINE:
        assert bench.act() == bench.good
        followed = instruction.name == "redirect"
        assert len(bench.requests) == (2 if followed else 1)
    elif is_sent_again(instruction, operation):
        assert bench.act() == bench.good
        assert len(bench.requests) == 2
    else:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - its class is what is tested
            bench.act()
        assert_exact(caught.value, error_of(instruction, operation))
        assert len(bench.requests) == 1
    if operation == "start" and means is not Means.FINAL:
        assert bench.started == 1
    if operation == "start once" and means is Means.AMBIGUOUS:
        assert bench.started == (1 if instruction.acted else 0)
    bench.check()


@pytest.mark.parametrize(("bench", "instruction"), cases(fails=True), indirect=["bench"])
def test_again_and_again(bench: Bench, instruction: Instruction) -> None:
    """A fault that stays: so many requests as the retries allow, and the error that says what it was."""
    operation = bench._operation
    again = is_sent_again(instruction, operation)
    expected = ATTEMPTS if again else 1
    bench.break_with([instruction] * expected)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its class is what is tested
        bench.act()
    assert_exact(caught.value, error_of(instruction, operation))
    assert len(bench.requests) == expected
    bench.check()


LISTS = [
    ("429", "503", "reset before it was read"),
    ("closed after it was done", "429"),
    ("silent before the head", "one byte short"),
    ("503 Retry-After", "425"),
    ("closed within the head", "500"),
    ("no HTTP", "502"),
    ("reset after it was done", "reset after it was done"),
    ("short of its last chunk", "409"),
]


@pytest.mark.parametrize("names", LISTS, ids=" + ".join)
@pytest.mark.parametrize("bench", OPERATIONS, indirect=True)
def test_one_after_the_other(bench: Bench, names: tuple[str, ...]) -> None:
    """Each request meets the next fault, until one is final, the retries are used up, or none is left."""
    operation = bench._operation
    instructions = [INSTRUCTIONS[name] for name in names]
    final = next(
        (i for i, one in enumerate(instructions, 1) if not is_sent_again(one, operation)), None
    )
    met = min(final or len(instructions), ATTEMPTS)
    bench.break_with(instructions[:met])
    if final is not None or met == ATTEMPTS:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - its class is what is tested
            bench.act()
        assert_exact(caught.value, error_of(instructions[met - 1], operation))
        assert len(bench.requests) == met
    else:
        assert bench.act() == bench.good
        assert len(bench.requests) == met + 1
    bench.check()
