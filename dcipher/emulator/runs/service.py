"""The operations without HTTP: start a run once, return its status, find its result."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, final

from pydantic import ValidationError
from pydantic_core import from_json

from dcipher.emulator.contract.contract import (
    FieldError,
    StartRequest,
    StartResponse,
    StatusResponse,
)
from dcipher.emulator.gate.refusals import Refusal
from dcipher.emulator.runs.flows import FlowRegistry
from dcipher.emulator.runs.idempotency import IdempotencyKeys, Started
from dcipher.emulator.runs.results import Result, StoredResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dcipher.emulator.runs.database import Persisted
    from dcipher.emulator.runs.flows import Flow
    from dcipher.emulator.runs.pace import Pace
    from dcipher.emulator.runs.results import ResultURLs
    from dcipher.emulator.runs.runs import Runs
    from dcipher.emulator.runs.state import State

__all__ = ["Service"]


@final
class Service:
    """The emulated service behind its routes."""

    def __init__(
        self,
        *,
        runs: Runs,
        urls: ResultURLs,
        pace: Pace,
        idempotency: bool = True,
        state: State | None = None,
    ) -> None:
        self.runs: Runs = runs
        self.urls: ResultURLs = urls
        self.flows: FlowRegistry = FlowRegistry()
        self.base_url: str = ""
        self._keys: IdempotencyKeys | None = IdempotencyKeys() if idempotency else None
        self._accept_time = pace.real(pace.accept_time)
        self._state = state
        self._resets = 0
        self._changing = threading.Lock()

    def restore(self, persisted: Persisted) -> None:
        """Restores the state from before a restart."""
        self.runs.restore(persisted.runs)
        if self._keys is not None:
            for start in persisted.starts:
                self._keys.restore(*start)

    def describe(self, flow_id: str) -> bytes:
        """Returns the JSON of a flow."""
        return self.flows.get(flow_id).description.to_json()

    async def start(self, flow_id: str, body: bytes, key: str | None) -> bytes:
        """Returns the response to a start; the same one for the same Idempotency-Key."""
        flow = self.flows.get(flow_id)
        request = _start_request(body)
        if self._keys is None or not key:
            return self._response_body(await self._new(flow, request, key, body))
        with self._keys.claim(flow_id, key, body) as start:
            if start.response is None:
                start.response = await self._new(flow, request, key, body)
            return self._response_body(start.response)

    def status(self, flow_id: str, task_id: str) -> bytes:
        """Returns the JSON of a run's status."""
        run = self.runs.find(task_id)
        if run is None or run.flow_id != flow_id or self.flows.find(flow_id) is not None:
            # Otherwise, it is a run from before a restart, whose flow is not registered.
            _ = self.flows.get(flow_id)
        run = self.runs.get(task_id, flow_id)
        return StatusResponse(status=run.status, message=run.message).to_json()

    def result(self, task_id: str, index: str) -> StoredResult | None:
        """Returns a result file, or None while there is none. The index comes from a signed URL."""
        try:
            return self.runs.get(task_id).results[int(index)]
        except (Refusal, IndexError):
            return None

    def replace_result(self, task_id: str, index: int, change: Callable[[bytes], bytes]) -> None:
        """Replaces the bytes of a result, if it exists. Call it from any thread."""
        run = self.runs.find(task_id)
        if run is None:
            return
        # One after another: each changes the result of the previous one.
        with self._changing:
            if index >= len(run.results):
                return
            old = run.results[index]
            file = Result(change(old.content), old.content_type)
            new = StoredResult.of(file, modified=time.time())
            run.results = (*run.results[:index], new, *run.results[index + 1 :])
            if self._state is not None:
                self._state.change(replace(run))

    def expire_urls(self, task_id: str) -> None:
        """Expires the signed URLs of a run early."""
        run = self.runs.find(task_id)
        if run is not None:
            run.urls_expired = True
            if self._state is not None:
                self._state.expire(run)

    def urls_expired(self, task_id: str) -> bool:
        """Returns whether the signed URLs of a run were expired early."""
        run = self.runs.find(task_id)
        return run is not None and run.urls_expired

    def clear(self) -> None:
        """Removes runs and keys. Call it on the event loop, or when there is none.

        Raises `StateError` if the state folder cannot be written to. Nothing is removed then.
        """
        if self._state is not None:
            self._state.clear()
        self._resets += 1
        self.runs.clear()
        if self._keys is not None:
            self._keys.clear()

    async def _new(
        self, flow: Flow, request: StartRequest, key: str | None, body: bytes
    ) -> Started:
        work, resets = flow.bind(request.params), self._resets
        if self._accept_time:
            await asyncio.sleep(self._accept_time)
            self._check_resets(resets)
        run = self.runs.make(flow, request.params, key, body)
        now = time.time()
        paths = (self.urls.path(run.task_id, index, now=now) for index in range(run.outputs))
        started = Started(run.task_id, tuple(paths))
        if self._state is not None:
            try:
                await _persist_start(self._state.add(run, body, started))
            except BaseException:
                if resets == self._resets:
                    self.runs.withdraw(run)
                raise
            self._check_resets(resets)  # it was persisted before the reset, which has removed it
        self.runs.launch(run, flow, work)
        return started

    def _check_resets(self, known: int) -> None:
        if self._resets != known:
            raise Refusal(503, "The emulator was reset during this start; nothing was started.")

    def _response_body(self, started: Started) -> bytes:
        urls = [self.base_url + path for path in started.paths]
        if len(urls) == 1:
            response = StartResponse(taskId=started.task_id, signedResponseURL=urls[0])
        else:
            response = StartResponse(taskId=started.task_id, signedResponseURLs=urls)
        return response.to_json()


async def _persist_start(persisting: Awaitable[None]) -> None:
    """Converts an error of persisting a start to a `Refusal` with 500: nothing was started."""
    try:
        await persisting
    except OSError as error:
        raise Refusal(500, f"The run was not started. {error}") from error


def _start_request(body: bytes) -> StartRequest:
    """Parses the body of a start. Raises a `Refusal`: 400 if it is not JSON, 422 if it is invalid."""
    try:
        values: object = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Refusal(400, f"The body is not JSON: {error}") from None
    try:
        return StartRequest.model_validate(values)
    except ValidationError as error:
        detail = [
            FieldError(loc=["body", *item["loc"]], msg=item["msg"], type=item["type"])
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise Refusal(
            422, 'The body must have the form {"pipelineParams": {…}}.', detail=detail
        ) from None
