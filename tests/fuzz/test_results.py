"""Any result is a value, or an error with the location of the problem."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from dcipher import IntegrityError, Output, ResultParseError, Run, RunStatus
from tests.faulty import Reply
from tests.fuzz.bodies import bodies, responses_json
from tests.fuzz.exploring import assert_told_well, efforts, explore

if TYPE_CHECKING:
    from tests.conftest import Connect
    from tests.faulty import FaultyServer


class Topic(BaseModel):
    name: str
    score: float | None = None


TYPES = [Any, list[Topic], list[dict[str, str]], Topic, dict[str, int], bytes, str, list[int]]
CONTENT_TYPES = [
    *("application/json", "application/x-ndjson", "text/csv", "text/plain; charset=utf-16"),
    *("application/octet-stream", "", "a/b+json", "TEXT/CSV;x", "image/png", "\xff"),
]
NAMES = ["result", "result.json", "r.ndjson", "r.jsonl", "r.csv", "r.CSV"]

cells = st.text("a,\"'\n\r\t;é1. ", max_size=5)
tables = st.lists(st.lists(cells, min_size=1, max_size=3), max_size=5).map(
    lambda rows: "\n".join(",".join(row) for row in rows).encode()
)
rows = st.lists(responses_json, max_size=4)
lines = rows.map(lambda found: b"\n".join(json.dumps(row).encode() for row in found))
results = bodies | tables | lines | st.text('[]{},:" 1eNa\n', max_size=30).map(str.encode)


def finished(server: FaultyServer, name: str = "result") -> Run:
    url = f"{server.url}/{name}"
    return Run(
        flow_id="f",
        task_id="t",
        status=RunStatus.SUCCEEDED,
        outputs=(Output.model_validate({"url": url}),),
    )


def outcome(call: Any) -> Any:
    try:
        return call()
    except (ResultParseError, IntegrityError) as error:
        assert_told_well(error)
        return type(error)


@efforts
@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_any_result_is_a_value_or_an_error_with_a_position(
    connect: Connect, server: FaultyServer, encoding: str | None, effort: int
) -> None:
    """Any bytes of any content type and name, as a value or row by row, as any type."""
    client = connect(server, max_retries=0)

    @example(b"[" * 100_000, "application/json", "result", Any)
    @example(b"[" * 100_000, "", "result", list[int])
    @example(b'{"a":' * 100_000, "application/x-ndjson", "result", Any)
    @example(b'"' + b"\x1b[31m" * 9, "text/csv", "result", Any)
    @given(
        results,
        st.sampled_from(CONTENT_TYPES),
        st.sampled_from(NAMES),
        st.sampled_from(TYPES),
    )
    def check(body: bytes, content_type: str, name: str, type_: Any) -> None:
        headers = {"Content-Type": content_type}
        if encoding is not None:
            headers["Content-Encoding"] = encoding
        server.on("*", Reply(body, 200, headers))
        run = finished(server, name)
        value = outcome(lambda: client.runs.read(run, type_))
        if type_ is bytes and encoding is None:
            assert value == body
        outcome(lambda: list(client.runs.records(run, type_)))
        outcome(lambda: list(client.runs.records(run, type_, on_invalid="drop")))

    explore(check, 25 * effort)


finite = responses_json.filter(lambda v: "NaN" not in json.dumps(v) and "Inf" not in json.dumps(v))


def as_csv(table: list[dict[str, str]]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ["a", "b"])
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue().encode()


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6)
tables_of_two = st.lists(st.fixed_dictionaries({"a": texts, "b": texts}), max_size=4)


@efforts
def test_rows_are_the_items_of_the_list(
    connect: Connect, server: FaultyServer, effort: int
) -> None:
    """`records` yields the items of `read` as a list, for every valid document of the three formats."""
    client = connect(server, max_retries=0)
    documents = st.one_of(
        st.tuples(
            st.just("application/json"),
            st.lists(finite, max_size=5).map(lambda v: (json.dumps(v).encode(), v)),
        ),
        st.tuples(
            st.just("application/x-ndjson"),
            st.lists(finite, max_size=5).map(
                lambda v: (b"".join(json.dumps(row).encode() + b"\n" for row in v), v)
            ),
        ),
        st.tuples(st.just("text/csv"), tables_of_two.map(lambda v: (as_csv(v), v))),
    )

    @given(documents)
    def check(document: tuple[str, tuple[bytes, list[Any]]]) -> None:
        content_type, (body, expected) = document
        server.on("*", Reply(body, 200, {"Content-Type": content_type}))
        run = finished(server)
        assert client.runs.read(run, list[Any]) == expected
        assert list(client.runs.records(run)) == expected

    explore(check, 25 * effort)
