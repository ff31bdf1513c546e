"""A run that was just started may not exist yet."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from dcipher import NotFoundError, Resilience, Run, RunStatus
from tests.faulty import FaultyServer, json_reply

if TYPE_CHECKING:
    from tests.conftest import Connect

GONE = json_reply('{"message": "no such run"}', 404)
QUICK = Resilience(max_retries=3, backoff_initial=0.01)


def test_a_poll_of_a_new_run_is_retried(connect: Connect, server: FaultyServer) -> None:
    """A 404 seconds after the start is retried."""
    server.on("*", GONE, GONE, json_reply('{"status": "RUNNING"}'))
    run = Run(flow_id="f", task_id="t", created_at=datetime.now(timezone.utc))
    assert connect(server, resilience=QUICK).runs.refresh(run).status is RunStatus.RUNNING
    assert len(server.requests) == 3


@pytest.mark.parametrize("created_at", [None, datetime(2026, 1, 1, tzinfo=timezone.utc)])
def test_a_poll_of_an_old_run_is_not_retried(
    connect: Connect, server: FaultyServer, created_at: datetime | None
) -> None:
    """A 404 for another run is final."""
    server.on("*", GONE)
    run = Run(flow_id="f", task_id="t", created_at=created_at)
    with pytest.raises(NotFoundError):
        connect(server, resilience=QUICK).runs.refresh(run)
    assert len(server.requests) == 1
