"""`flows.map`, end to end: each row has one run and one outcome."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import threading
from collections import UserDict
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from dcipher import (
    AuthenticationError,
    BatchError,
    Dcipher,
    FlowCall,
    InvalidParamsError,
    JournalConflictError,
    LocalStorageError,
    NotFoundError,
    Outcome,
    Resilience,
    ResultParseError,
    RunFailedError,
    TooManyFailuresError,
    UnprocessableEntityError,
)
from dcipher._batch.journal.reading import states_of
from dcipher.emulator.faults import Drop, Respond
from tests.conftest import KEY
from tests.waiting import HANG, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from dcipher.emulator import Emulator
    from tests.conftest import Connect
    from tests.faulty import FaultyServer

pytestmark = pytest.mark.usefixtures("_quick")


class Text(BaseModel):
    text: str


class Shout(FlowCall[Text], flow="shout"):
    text: str


def starts(emulator: Emulator) -> int:
    return sum(request.path.endswith("/run") for request in emulator.requests)


def test_each_row_has_one_outcome(
    connect: Connect, emulator: Emulator, rows: list[dict[str, Any]]
) -> None:
    """Each row is run once, and its outcome has its key, its number and its result in its type."""
    with connect(emulator) as client:
        batch = client.flows.map("shout", rows, key="id", read=Text)
        found = {outcome.key: outcome for outcome in batch}
    assert found.keys() == {row["id"] for row in rows}
    for number, row in enumerate(rows):
        outcome = found[row["id"]]
        assert (outcome.index, outcome.status, outcome.reused) == (number, "done", False)
        assert outcome.unwrap() == Text(text=row["text"].upper())
        assert outcome.run.succeeded
        assert outcome.error is None
    assert (len(emulator.runs), starts(emulator)) == (12, 12)
    assert (batch.report.done, batch.report.rows, batch.report.stopped) == (12, 12, False)


def test_typed_calls(connect: Connect, emulator: Emulator) -> None:
    """Calls name the flow and the type themselves."""
    with connect(emulator) as client:
        batch = client.flows.map([Shout(text=f"t{n}") for n in range(4)])
        values = sorted(outcome.unwrap().text for outcome in batch)
    assert values == ["T0", "T1", "T2", "T3"]


def test_calls_of_two_kinds(connect: Connect, emulator: Emulator) -> None:
    """Calls of two classes are refused before anything is sent."""

    class Whisper(FlowCall[Text], flow="shout"):
        text: str

    with (
        connect(emulator) as client,
        pytest.raises(InvalidParamsError, match="once for each class"),
    ):
        client.flows.map([Shout(text="a"), Whisper(text="b")]).run()
    assert starts(emulator) == 0


def test_in_the_order_of_the_rows(connect: Connect, emulator: Emulator) -> None:
    """`ordered=True`: the outcomes come in the order of the rows, however long each takes."""
    rows = [{"times": n % 3 + 1} for n in range(30)]
    for row, n in zip(rows, range(30), strict=True):
        row["text"] = f"t{n}"  # type: ignore[assignment]
    with connect(emulator) as client:
        found = [outcome.index for outcome in client.flows.map("shout", rows, ordered=True)]
    assert found == list(range(30))


def test_one_failure_ends_nothing(connect: Connect, emulator: Emulator) -> None:
    """A run that fails is an outcome with its error; `unwrap` raises it, the others go on."""
    with connect(emulator) as client:
        outcomes = [*client.flows.map("fails", [{}])]
        batch = client.flows.map("shout", [{"text": "a"}, {"times": "x"}, {"text": "b"}])
        mixed = {outcome.index: outcome for outcome in batch}
    assert outcomes[0].status == "failed"
    with pytest.raises(
        RunFailedError, match=r"the corpus is empty.*pass retry_failed=True"
    ) as caught:
        outcomes[0].unwrap()
    assert "idempotency_key" not in str(caught.value)
    assert [mixed[n].status for n in range(3)] == ["done", "failed", "done"]
    assert isinstance(mixed[1].error, UnprocessableEntityError)
    [group] = batch.report.failures
    assert (group.status, group.type, group.count) == ("failed", "UnprocessableEntityError", 1)


def test_a_result_of_another_type(connect: Connect, emulator: Emulator) -> None:
    """A result that does not fit the type is `rejected`, with its reasons."""
    with connect(emulator) as client:
        [outcome] = client.flows.map("shout", [{"text": "a"}], read=list[int])
    assert outcome.status == "rejected"
    assert isinstance(outcome.error, ResultParseError)
    assert outcome.error.errors


def test_results_are_saved(
    connect: Connect, emulator: Emulator, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    """`save` puts each result into a file named after its key, which the outcome names."""
    with connect(emulator) as client:
        batch = client.flows.map("shout", rows, key="id", save=tmp_path / "new" / "results")
        files = {outcome.key: outcome.files for outcome in batch}
    for row in rows:
        assert files[row["id"]] == (tmp_path / "new" / "results" / f"{row['id']}.json",)
        assert json.loads(files[row["id"]][0].read_text()) == {"text": row["text"].upper()}


def test_several_results_are_saved(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """Several results of one run have numbers behind their key."""
    with connect(emulator) as client:
        [outcome] = client.flows.map("three", [{"id": "a"}], key="id", save=tmp_path)
    assert [file.name[:3] for file in outcome.files] == ["a_0", "a_1", "a_2"]
    assert [file.read_text() for file in outcome.files] == ["zero", "one", "two"]


def test_saved_and_read(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """With both `save` and `read`, the result is fetched once."""
    with connect(emulator) as client:
        [outcome] = client.flows.map("shout", [{"text": "a"}], save=tmp_path, read=Text)
    assert outcome.unwrap() == Text(text="A")
    assert outcome.files[0].exists()
    assert sum("/results/" in request.path for request in emulator.requests) == 1


def test_two_names_of_one_file(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """Keys that would be saved to one file on some system are refused before anything is sent."""
    with connect(emulator) as client, pytest.raises(JournalConflictError, match="same file"):
        client.flows.map("shout", [{"id": "A"}, {"id": "a"}], key="id", save=tmp_path).run()
    assert starts(emulator) == 0


def test_a_key_twice(connect: Connect, emulator: Emulator) -> None:
    """Two rows with one key are refused before anything is sent, wherever they stand."""
    rows = [{"id": n % 900, "text": "a"} for n in range(901)]
    with connect(emulator) as client, pytest.raises(JournalConflictError, match="Rows 0 and 900"):
        client.flows.map("shout", rows, key="id").run()
    assert starts(emulator) == 0


def test_a_row_that_cannot_be_sent(connect: Connect, emulator: Emulator) -> None:
    """Params that cannot be sent are refused before anything is sent, with their row."""
    rows = [{"text": "a"}, {"text": float("inf")}]
    with connect(emulator) as client, pytest.raises(InvalidParamsError, match="Row 1"):
        client.flows.map("shout", rows).run()
    assert starts(emulator) == 0


def test_no_rows(connect: Connect, emulator: Emulator) -> None:
    """Without rows there is a report of none."""
    with connect(emulator) as client:
        report = client.flows.map("shout", []).run()
    assert (report.rows, report.starts, report.stopped) == (0, 0, False)


def test_rows_of_an_iterator(connect: Connect, emulator: Emulator) -> None:
    """An iterator is read as rows are needed, and a row is run while the next one is waited for."""
    emulator_has_run = threading.Event()

    def slowly() -> Iterator[dict[str, Any]]:
        yield {"text": "first"}
        assert emulator_has_run.wait(HANG)
        yield {"text": "second"}

    with connect(emulator) as client:
        outcomes = iter(client.flows.map("shout", slowly(), read=Text))
        assert next(outcomes).unwrap().text == "FIRST"
        emulator_has_run.set()
        assert [outcome.unwrap().text for outcome in outcomes] == ["SECOND"]


def test_an_endless_iterator(connect: Connect, emulator: Emulator) -> None:
    """Of an endless iterator no more is read than is needed; a loop that ends early ends the batch."""
    read: list[int] = []

    def endless() -> Iterator[dict[str, Any]]:
        while True:
            read.append(len(read))
            yield {"text": str(read[-1])}

    with connect(emulator) as client:
        outcomes = iter(client.flows.map("shout", endless()))
        for _, _outcome in zip(range(20), outcomes, strict=False):
            pass
        close = getattr(outcomes, "close", None)
        assert close is not None
        close()
    assert len(read) < 3000


def test_an_iterator_that_fails(connect: Connect, emulator: Emulator) -> None:
    """An error of the iterator is raised as it is."""

    def broken() -> Iterator[dict[str, Any]]:
        yield {"text": "a"}
        raise KeyError("broken input")

    with connect(emulator) as client, pytest.raises(KeyError, match="broken input"):
        client.flows.map("shout", broken()).run()


def test_rows_of_a_table(connect: Connect, emulator: Emulator) -> None:
    """A table of pyarrow, or of what exports an Arrow stream, is read by batches."""
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"id": [1, 2, 3], "text": ["a", "b", "c"]})
    with connect(emulator) as client:
        batch = client.flows.map("shout", table, key="id", read=Text, ordered=True)
        assert [outcome.unwrap().text for outcome in batch] == ["A", "B", "C"]


def test_rows_of_a_filtered_frame(connect: Connect, emulator: Emulator) -> None:
    """Of a frame of pandas the columns are sent, and not an index without a name."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"id": [1, 2, 3], "text": ["a", "b", "c"]})
    with connect(emulator) as client:
        batch = client.flows.map("shout", frame[frame["id"] > 1], key="id", read=Text, ordered=True)
        assert [outcome.unwrap().text for outcome in batch] == ["B", "C"]


async def _async_rows() -> AsyncIterator[dict[str, str]]:
    for n in range(5):
        yield {"text": f"t{n}"}


def test_rows_of_an_async_iterator(connect: Connect, emulator: Emulator, kind: str) -> None:
    """The async client takes an async iterator; the blocking one refuses it at once."""
    with connect(emulator) as client:
        if kind == "sync":
            with pytest.raises(InvalidParamsError, match="async iterator"):
                client.flows.map("shout", _async_rows())
        else:
            assert client.flows.map("shout", _async_rows()).run().done == 5


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"rows": "text"}, "rows is a str"),
        ({"rows": {"a": 1}}, "rows is a dict"),
        ({"rows": None}, "rows is missing"),
        ({"flow_id": 5}, "flow_id must be a str"),
        ({"key": 5}, "key must be"),
        ({"params": "text"}, "params must be"),
        ({"in_flight": 0}, "in_flight must be"),
        ({"in_flight": True}, "in_flight must be"),
        ({"starts_per_second": -1}, "starts_per_second must be"),
        ({"max_failures": 1.5}, "max_failures must be"),
        ({"max_failures": -1}, "max_failures must be"),
        ({"on_unknown": "ask"}, "on_unknown must be"),
        ({"progress": "loud"}, "progress must be"),
        ({"progress": lambda: None}, r"progress is called with \(progress\), and takes \(\)"),
        ({"retry_failed": "no"}, "retry_failed must be True or False"),
        ({"journal": "x", "save": "x/"}, "are the same path"),
        ({"ordered": None}, "ordered must be True or False"),
        ({"journal": ""}, "path"),
    ],
)
def test_arguments(connect: Connect, arguments: dict[str, Any], match: str) -> None:
    """What cannot be meant is refused when the batch is made."""
    given = {"flow_id": "shout", "rows": [{}], **arguments}
    with (
        connect(base_url="http://127.0.0.1:9") as client,
        pytest.raises(InvalidParamsError, match=match),
    ):
        client.flows.map(given.pop("flow_id"), given.pop("rows"), **given)


class Unreadable(UserDict[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise LookupError(key)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (lambda pd: [Unreadable(text="a")], "Row 0 of the input: it cannot be read: LookupError"),
        (lambda pd: pd.DataFrame([[1, 2]], columns=["a", "a"]), "rows cannot be read as a table"),
        (lambda pd: pd.DataFrame({"a": [object()]}), "rows cannot be read as a table"),
        (
            lambda _: pytest.importorskip("pyarrow").chunked_array([[1]]),
            "cannot be read as a table",
        ),
    ],
)
def test_rows_that_cannot_be_read(
    connect: Connect, emulator: Emulator, rows: Callable[[Any], Any], says: str
) -> None:
    """What a row's own code, or a library of tables, raises is the cause of our error; nothing is started."""
    with pytest.raises(InvalidParamsError, match=says) as caught:
        connect(emulator).flows.map("shout", rows(pytest.importorskip("pandas"))).run()
    assert caught.value.__cause__ is not None
    assert emulator.runs == ()


def test_a_batch_runs_once(connect: Connect, emulator: Emulator) -> None:
    """A batch that has run is not run again, and its report stays."""
    with connect(emulator) as client:
        batch = client.flows.map("shout", [{"text": "a"}])
        assert batch.run() == batch.report
        with pytest.raises(BatchError, match="runs once"):
            batch.run()


def test_a_batch_without_a_journal_is_new(connect: Connect, emulator: Emulator) -> None:
    """Without a journal each batch runs its rows, though the service knows the same params."""
    with connect(emulator) as client:
        for _ in range(2):
            client.flows.map("shout", [{"text": "a"}]).run()
    assert len(emulator.runs) == 2


def test_a_batch_that_is_forgotten(connect: Connect, emulator: Emulator) -> None:
    """A batch that is never run warns that nothing was sent."""
    with connect(emulator) as client, pytest.warns(UserWarning, match="never run"):
        client.flows.map("shout", [{"text": "a"}])
    assert starts(emulator) == 0


# Failures of the service


def test_refusals_cost_no_row(connect: Connect, emulator: Emulator, rows: list[Any]) -> None:
    """Starts and polls that are refused for a while cost time, and no row."""
    emulator.fault("start", Respond(429, headers={"Retry-After": "0"}), times=6)
    emulator.fault("status", Respond(503, headers={"Retry-After": "0"}), times=4)
    with connect(emulator, max_retries=0) as client:
        report = client.flows.map("shout", rows, key="id").run()
    assert (report.done, len(emulator.runs)) == (12, 12)
    assert report.seconds.throttled > 0


def test_lost_answers(connect: Connect, emulator: Emulator, rows: list[Any]) -> None:
    """A start whose answer is lost is sent again under its key: one run, and the report names it."""
    emulator.fault("start", Drop("after"), times=3)
    emulator.fault("status", Drop("after"), times=3)
    with connect(emulator) as client:
        report = client.flows.map("shout", rows, key="id").run()
    assert (report.done, len(emulator.runs)) == (12, 12)
    assert report.resent_count == 3
    assert set(report.resent) <= {row["id"] for row in rows}


def test_a_lost_answer_is_held(connect: Connect, emulator: Emulator, rows: list[Any]) -> None:
    """`on_unknown="hold"`: a start whose answer is lost is not sent again; its row is `unknown`."""
    emulator.fault("start", Drop("after"), times=1)
    with connect(emulator) as client:
        batch = client.flows.map("shout", rows, key="id", on_unknown="hold")
        statuses = [outcome.status for outcome in batch]
    assert (statuses.count("unknown"), statuses.count("done")) == (1, 11)
    assert starts(emulator) == 12


def test_a_start_that_always_fails(connect: Connect, emulator: Emulator, rows: list[Any]) -> None:
    """A row whose start fails again and again, while others succeed, is `unknown`; they go on."""
    emulator.fault("start", Respond(500), times=None, per_run=True, probability=0.2, seed=3)
    with connect(emulator, resilience=Resilience(max_retries=2, backoff_initial=0.01)) as client:
        report = client.flows.map("shout", rows * 1, key="id").run()
    assert report.rows == 12
    assert report.done + report.unknown == 12


def test_a_wrong_key(connect: Connect, emulator: Emulator, rows: list[Any]) -> None:
    """A key that is refused ends the batch: every row would be refused."""
    with (
        connect(emulator, api_key="emu_another-key-0000") as client,
        pytest.raises(AuthenticationError),
    ):
        client.flows.map("shout", rows, key="id", in_flight=1).run()
    assert len(emulator.runs) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child(emulator: Emulator, rows: list[Any]) -> None:
    """A child that inherits a running batch neither waits for it for ever, nor ends it."""
    context = multiprocessing.get_context("fork")
    with Dcipher(KEY, base_url=emulator.url) as client:
        outcomes = iter(client.flows.map("shout", rows, key="id"))
        next(outcomes)

        def child() -> None:
            with pytest.raises(BatchError, match="belongs to the process that began it"):
                next(outcomes)
            outcomes.close()

        process = context.Process(target=child)
        process.start()
        process.join(HANG)
        assert process.exitcode == 0
        assert len([*outcomes]) == len(rows) - 1


def test_an_unknown_flow(connect: Connect, emulator: Emulator, rows: list[Any]) -> None:
    """A flow that does not exist ends the batch."""
    with connect(emulator) as client, pytest.raises(NotFoundError) as caught:
        client.flows.map("nowhere", rows, key="id").run()
    assert "0 runs continue" in caught.value.__notes__[-1]


def test_a_service_that_is_not_there(connect: Connect, rows: list[Any], tmp_path: Path) -> None:
    """A service that was never reached ends the batch soon, with the reason and how to go on; no row is in doubt."""
    journal = tmp_path / "batch.db"
    with (
        connect(base_url="http://127.0.0.1:9") as client,
        pytest.raises(Exception, match="refused") as caught,
    ):
        client.flows.map("shout", rows, key="id", journal=journal).run()
    assert "0 rows have an outcome, 0 runs continue" in caught.value.__notes__[-1]
    assert states_of(journal) == {"planned": len(rows)}


@pytest.mark.parametrize(("limit", "failed"), [(0, 1), (2, 3), (0.0, 1)])
def test_too_many_failures(connect: Connect, emulator: Emulator, limit: float, failed: int) -> None:
    """More failures than `max_failures` end the batch with its report, which pickles."""
    rows = [{"id": n} for n in range(100)]
    with connect(emulator) as client, pytest.raises(TooManyFailuresError) as caught:
        client.flows.map("fails", rows, key="id", max_failures=limit, in_flight=4).run()
    report = caught.value.report
    assert report is not None
    assert report.failed >= failed
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert copy.report == report


def test_failures_that_are_permitted(connect: Connect, emulator: Emulator) -> None:
    """As many failures as are permitted end nothing."""
    with connect(emulator) as client:
        assert (
            client.flows.map("fails", [{"id": 1}, {"id": 2}], key="id", max_failures=2).run().failed
            == 2
        )


def test_a_stopped_batch(connect: Connect, emulator: Emulator) -> None:
    """`stop` starts nothing more and ends the iteration; what was started goes on."""
    rows = [{"id": n} for n in range(50)]
    with connect(emulator) as client:
        batch = client.flows.map("slow", rows, key="id", in_flight=3)
        timer = threading.Thread(target=lambda: (until(lambda: emulator.runs), batch.stop()))
        timer.start()
        found = [*batch]
        timer.join()
    assert len(found) < 50
    assert batch.report.stopped
    assert batch.report.left_running + len(found) == len(emulator.runs) <= 10


def test_outcomes_pickle(connect: Connect, emulator: Emulator) -> None:
    """An outcome is a value: it pickles, without a signed URL."""
    with connect(emulator) as client:
        [outcome] = client.flows.map("shout", [{"id": 1, "text": "a"}], key="id", read=Text)
    copy: Outcome[Text] = pickle.loads(pickle.dumps(outcome))  # noqa: S301 - our own
    assert (copy.key, copy.value, copy.status) == ("1", Text(text="A"), "done")
    assert copy.run is not None
    assert copy.run.outputs[0].url is None


def test_a_secret_in_the_params(connect: Connect, api: FaultyServer) -> None:
    """What is secret in the params is in no error."""
    from pydantic import SecretStr

    from tests.faulty import json_reply

    api.on("/flows/f/run", json_reply('{"message": "no canary-secret here"}', 422))
    with connect(api) as client:
        [outcome] = client.flows.map("f", [{"token": SecretStr("canary-secret")}])
    assert outcome.status == "failed"
    assert "canary" not in str(outcome.error)
    assert b"canary-secret" in api.requests[0].body


@pytest.mark.usefixtures("_quick")
def test_a_secret_param_that_the_status_repeats(connect: Connect) -> None:
    """It is redacted, however many rows with secrets of their own were started since."""
    from pydantic import SecretStr

    from dcipher.emulator import Emulator

    count = 110  # more than a client remembers
    with Emulator(queue_time=0.0, api_key=KEY) as running, connect(running) as client:

        @running.flow("repeat")
        def repeat(token: str) -> None:
            assert until(lambda: len(running.runs) == count)
            raise RuntimeError(f"no {token} here")

        rows = [{"token": SecretStr(f"canary-{n:04}")} for n in range(count)]
        outcomes = list(client.flows.map("repeat", rows, in_flight=count))
    errors = [str(outcome.error) for outcome in outcomes]
    assert all("no [redacted] here" in error for error in errors), errors[:3]


def test_a_service_with_a_limit(connect: Connect) -> None:
    """A service that takes so many requests a second refuses some; that costs time, and no row."""
    from dcipher.emulator import Emulator
    from tests.conftest import KEY

    with Emulator(queue_time=0.0, api_key=KEY, rate=40.0) as limited:

        @limited.flow("shout")
        def shout(text: str) -> dict[str, str]:
            return {"text": text}

        with connect(limited) as client:
            rows = [{"text": str(n)} for n in range(80)]
            report = client.flows.map("shout", rows, max_failures=0).run()
    assert (report.done, len(limited.runs)) == (80, 80)
    assert report.resent_count == 0
    assert report.starts + report.polls < 400


def test_values_that_are_not_asked_for(
    connect: Connect, emulator: Emulator, tmp_path: Path
) -> None:
    """A call's result is validated, saved or not; a flow's is only where `read` says so."""
    with connect(emulator) as client:
        [saved] = client.flows.map([Shout(text="a")], save=tmp_path)
        assert (saved.unwrap(), len(saved.files)) == (Text(text="A"), 1)
        [plain] = client.flows.map("shout", [{"text": "a"}])
        assert (plain.unwrap(), plain.files) == (None, ())
        assert sum("/results/" in request.path for request in emulator.requests) == 1


def test_a_folder_that_cannot_be_made(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """A folder that cannot be made is a `LocalStorageError` before anything is sent."""
    (tmp_path / "file").write_text("")
    with connect(emulator) as client, pytest.raises(LocalStorageError):
        client.flows.map("shout", [{"text": "a"}], save=tmp_path / "file" / "folder").run()
    assert starts(emulator) == 0
