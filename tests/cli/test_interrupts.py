"""Ctrl-C in this process: deferred signals and messages."""

from __future__ import annotations

import errno
import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dcipher.cli import main
from dcipher.cli.app.explanations import explain
from dcipher.cli.app.invocation import Invocation
from dcipher.cli.app.options import Options
from dcipher.cli.app.signals import deferred
from dcipher.cli.runs import saving
from dcipher.cli.runs.waiting import followed_at_once
from dcipher.cli.state.followed_runs import FollowedRuns
from dcipher.cli.state.ledger import Ledger
from dcipher.cli.terminal.output import Form, Output
from dcipher.errors import WaitTimeoutError
from dcipher.models import Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcipher.emulator import Emulator
    from tests.cli.conftest import Call

RUN = Run(flow_id="f x", task_id="t", idempotency_key="k-1")


@pytest.fixture
def following(state: Path) -> FollowedRuns:
    return FollowedRuns(Output(Form.IDS))


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(),
    reason="signals are the main thread's",
)
def test_only_the_first_signal_is_deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block continues after the first signal, and the second ends it. The handler is restored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    told: list[str] = []
    try:
        with pytest.raises(KeyboardInterrupt), deferred(lambda: told.append("told")):  # noqa: PT012 - in it
            signal.raise_signal(signal.SIGINT)
            told.append("went on")
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            told.append("to its end")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert told == ["told", "went on", "to its end"]


def test_an_ignored_signal_remains_ignored() -> None:
    """This concerns background jobs of a shell."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred(lambda: None):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_have_no_handlers() -> None:
    """A call in a thread works as any other."""
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["version", "-q"])))
    thread.start()
    thread.join(60)
    assert codes == [0]


def test_the_message_during_a_start(following: FollowedRuns) -> None:
    """It is unknown whether there is a run. The message has the key that starts no second one."""
    following.start = "f", "k-1"
    explanation = explain(KeyboardInterrupt(), following)
    assert explanation.code == 130
    assert "may or may not have been started" in str(explanation)
    assert "--idempotency-key k-1 " in str(explanation)
    assert explanation.details["idempotency_key"] == "k-1"


def test_the_message_for_running_runs(following: FollowedRuns) -> None:
    """There is a line to paste for each flow. Ended runs are not waited for."""
    following.record(RUN)
    following.record(Run(flow_id="g", task_id="u"))
    following.record(Run(flow_id="g", task_id="v", status="SUCCEEDED"))
    explanation = explain(KeyboardInterrupt(), following)
    assert explanation.next_step == (
        "dcipher runs wait t --flow 'f x'; dcipher runs wait u --flow g"
    )
    assert "continue" in explanation.message


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_the_message_for_an_ended_run(following: FollowedRuns, status: str) -> None:
    """Only a succeeded run has results to fetch."""
    following.record(
        RUN.model_copy(update={"status": Run(flow_id="f", task_id="t", status=status).status})
    )
    explanation = explain(KeyboardInterrupt(), following)
    assert f"has ended ({status})" in explanation.message
    assert (explanation.next_step is None) == (status == "FAILED")


def test_the_message_can_be_pasted(following: FollowedRuns) -> None:
    """An id that looks like an option, and a key with a quote, are quoted for the shell."""
    following.record(Run(flow_id="-f", task_id="-t"))
    assert explain(KeyboardInterrupt(), following).next_step == (
        "dcipher runs wait --flow -f -- -t"
    )
    following.start = "f", "it's"
    assert "--idempotency-key 'it'\"'\"'s' " in str(explain(KeyboardInterrupt(), following))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), WaitTimeoutError("It is over.", run=RUN)])
def test_the_message_for_results_to_save(following: FollowedRuns, error: BaseException) -> None:
    """A wait has no URLs of results: the next step is the command that saves them."""
    following.saving = True
    following.record(RUN)
    explanation = explain(error, following)
    assert explanation.next_step == (
        "repeat the command with --idempotency-key k-1 (it starts no second run)"
    )
    assert "--idempotency-key" not in explanation.message


def test_the_message_without_a_run() -> None:
    """It is one word."""
    assert str(explain(KeyboardInterrupt(), None)) == "Interrupted."


@pytest.mark.parametrize("when", ["start", "wait", "download", "save"])
def test_interrupted_anywhere(
    dcipher: Call, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Wherever Ctrl-C interrupts the command, the exit code is 130 and the run is not lost."""
    from dcipher._client.flows import Flows
    from dcipher._client.runs import Runs

    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    places: dict[str, tuple[object, str]] = {
        "start": (Flows, "start"),
        "wait": (Runs, "wait"),
        "download": (Runs, "download"),
        "save": (saving, "save_run"),
    }
    if when == "save":
        monkeypatch.setattr("dcipher.cli.runs.starting.save_run", interrupted)
    else:
        monkeypatch.setattr(*places[when], interrupted)
    done = dcipher("flows", "run", "shout", "-o", "x", "--save-run", "run.json")
    assert done.code == 130
    if when == "start":
        assert "--idempotency-key" in done.err
    else:
        (run,) = emulator.runs
        assert run.task_id in done.err
        assert "with --idempotency-key" in done.err


@pytest.mark.parametrize("more", [["-o", "x"], ["-o", "-"], []], ids=" ".join)
def test_a_wait_that_is_over_loses_no_result(dcipher: Call, more: list[str]) -> None:
    """With -o, the next step saves the result and starts no second run; without, it waits."""
    first = dcipher("flows", "run", "slow", "--timeout", "0", *more)
    assert first.code == 124
    assert ("Next: dcipher runs wait " in first.err) is (not more)
    if not more:
        assert "--idempotency-key" not in first.err
        return
    assert "Next: repeat the command with --idempotency-key " in first.err
    key = first.err.partition("--idempotency-key ")[2].split()[0]
    again = dcipher("flows", "run", "slow", *more, "--idempotency-key", key)
    assert again.code == 0, again.err
    assert len(Ledger().runs()) == 1
    assert Path("x").exists() or again.out == "done"


@pytest.mark.parametrize(
    "more",
    [
        ["-o", "x"],
        ["--save-run", "run.json"],
        ["--keep-urls"],
        ["--reveal-urls", "--json"],
        ["-q"],
        ["--no-wait"],
    ],
    ids=" ".join,
)
def test_no_note_about_a_saved_result(dcipher: Call, more: list[str]) -> None:
    """Nor is there one with -q, or without a wait."""
    assert "not saved" not in dcipher("flows", "run", "shout", *more).err


@pytest.mark.parametrize(
    "more", [[], ["--json"], ["--keep-urls", "--no-ledger"], ["--reveal-urls"]], ids=" ".join
)
def test_a_result_that_was_not_saved(dcipher: Call, tmp_path: Path, more: list[str]) -> None:
    """A note on stderr says how to save the result without a second run."""
    first = dcipher("flows", "run", "shout", *more)
    assert (first.code, first.err.count("not saved")) == (0, 1)
    key = first.err.partition("--idempotency-key ")[2].split()[0]
    again = dcipher("flows", "run", "shout", "-o", "x", "--idempotency-key", key, "--json")
    assert (tmp_path / "x").exists()
    assert json.loads(again.out)["idempotency_key"] == key


def test_a_run_continues_if_it_cannot_be_saved(
    dcipher: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is a warning: the run is started and paid for."""

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dcipher.cli.runs.starting.save_run", full)
    done = dcipher("flows", "run", "shout", "--save-run", "run.json")
    assert done.code == 0
    assert "warning: --save-run: run.json cannot be written: No space left" in done.err
    assert "--idempotency-key " in done.err


def test_half_a_run_is_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the new file cannot be written, the old one is unchanged."""
    file = tmp_path / "run.json"
    file.write_text("old")
    monkeypatch.setattr(saving.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "I/O")))
    with pytest.raises(OSError, match="I/O"):
        saving.save_run(RUN, file)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert file.read_text() == "old"


def test_a_bug_in_a_thread_is_not_swallowed() -> None:
    """Other errors than those of the library are raised, too."""

    def follow(run: Run, changed: Callable[[Run], None]) -> Run:
        changed(run)
        raise ZeroDivisionError

    changes = followed_at_once(Invocation(Options()), [RUN], follow, [])
    assert next(changes) == RUN
    with pytest.raises(ZeroDivisionError):
        next(changes)
