"""A batch is one span with counts, and each start in it one of a trace of its own."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from dcipher import Dcipher, NotFoundError
from tests.batch.conftest import _quick
from tests.faulty import FaultyServer, json_reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcipher.emulator import Emulator
    from tests.conftest import Connect
    from tests.telemetry.conftest import Metrics, Spans

__all__ = ["_quick"]

MAP, START = "dcipher.flows.map", "dcipher.flows.start"
ROWS = [{"text": f"t{n}"} for n in range(5)]


@pytest.mark.usefixtures("_quick")
def test_batch(connect: Connect, emulator: Emulator, spans: Spans) -> None:
    """The batch has its counts, a start its own trace with a link to the batch; nothing else has a span."""
    with spans.tracer.start_as_current_span("job") as job:
        outcomes = list(connect(emulator).flows.map("shout", ROWS, read=Any, progress=False))
    assert Counter(spans.names()) == {MAP: 1, START: 5}
    batch, starts = spans.one(MAP), spans.ours(START)
    assert batch.parent == job.get_span_context()
    assert batch.attributes == {
        "dcipher.flow.id": "shout",
        "dcipher.batch.rows": 5,
        "dcipher.batch.done": 5,
    }
    assert all(start.parent is None for start in starts)
    assert {start.links[0].context.span_id for start in starts} == {batch.context.span_id}
    assert len({start.context.trace_id for start in (*starts, batch)}) == 6
    kept = {outcome.run.traceparent.split("-")[2] for outcome in outcomes}
    assert kept == {f"{start.context.span_id:016x}" for start in starts}


@pytest.mark.usefixtures("_quick")
def test_code_around_a_batch(connect: Connect, emulator: Emulator, spans: Spans) -> None:
    """The span is current where rows are read, and not in the loop over the outcomes."""
    seen: list[int] = []

    def rows() -> Iterator[dict[str, str]]:
        seen.append(trace.get_current_span().get_span_context().span_id)
        yield ROWS[0]

    for _ in connect(emulator).flows.map("shout", rows(), progress=False):
        assert not trace.get_current_span().get_span_context().is_valid
    assert seen == [spans.one(MAP).context.span_id]


@pytest.mark.usefixtures("_quick")
def test_run_where_rows_are_read(connect: Connect, emulator: Emulator, spans: Spans) -> None:
    """A run that the function of the rows waits for is no row: it has all its spans, in the trace of the batch."""
    client = Dcipher(emulator.api_key, base_url=emulator.url)

    def rows() -> Iterator[dict[str, str]]:
        client.flows.run("shout", {"text": "x"})
        yield ROWS[0]

    with client:
        list(connect(emulator).flows.map("shout", rows(), progress=False))
    whole, (nested, of_row) = spans.one("dcipher.flows.run"), spans.ours(START)
    assert whole.parent.span_id == spans.one(MAP).context.span_id
    assert nested.parent.span_id == whole.context.span_id
    assert of_row.parent is None


def test_batch_that_fails(connect: Connect, server: FaultyServer, spans: Spans) -> None:
    """The span of a batch that ends with an error has it."""
    server.on("/flows/f/run", json_reply("{}", 404))
    with pytest.raises(NotFoundError):
        connect(server).flows.map("f", ROWS, progress=False).run()
    assert spans.one(MAP).status.status_code is StatusCode.ERROR
    assert spans.one(MAP).attributes["error.type"] == "NotFoundError"
    assert spans.ours(START)[0].attributes["http.response.status_code"] == 404


@pytest.mark.usefixtures("_quick")
def test_metrics(connect: Connect, emulator: Emulator, measured: Metrics) -> None:
    """Outcomes are counted by status, and so are polls, durations and results; no run remains active."""
    batch = connect(emulator).flows.map("shout", [*ROWS, {"times": "x"}], read=Any, progress=False)
    report = batch.run()
    flow = {"dcipher.flow.id": "shout"}
    items = {
        point.attributes["dcipher.batch.status"]: point.value
        for point in measured.points("dcipher.batch.items")
    }
    assert items == dict(report.counts) == {"done": 5, "failed": 1}
    (polls,) = measured.points("dcipher.run.polls")
    assert (polls.value, polls.attributes) == (report.polls, flow)
    durations = measured.points("dcipher.run.duration")
    assert sum(point.count for point in durations if "SUCCEEDED" in point.attributes.values()) == 5
    (sizes,) = measured.points("dcipher.result.size")
    assert (sizes.count, sizes.attributes) == (5, flow)
    assert {point.value for point in measured.points("dcipher.run.active")} <= {0}
