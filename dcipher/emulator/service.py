"""What the operations do, without HTTP: start a run once, look at it, find its result."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, final

from pydantic import ValidationError
from pydantic_core import from_json

from dcipher.emulator.contract import FieldError, StartRequest, StartResponse, StatusResponse
from dcipher.emulator.errors import Refusal
from dcipher.emulator.flows import FlowRegistry
from dcipher.emulator.idempotency import IdempotencyKeys

if TYPE_CHECKING:
    from dcipher.emulator.flows import Flow
    from dcipher.emulator.results import ResultURLs, StoredResult
    from dcipher.emulator.runs import Run, Runs

__all__ = ["Service"]


@final
class Service:
    """The emulated service behind its routes."""

    def __init__(
        self, *, runs: Runs, urls: ResultURLs, idempotency: bool = True, accept_time: float = 0.0
    ) -> None:
        self.runs: Runs = runs
        self.urls: ResultURLs = urls
        self.flows: FlowRegistry = FlowRegistry()
        self.base_url: str = ""
        self._keys: IdempotencyKeys | None = IdempotencyKeys() if idempotency else None
        self._accept_time = accept_time

    def describe(self, flow_id: str) -> bytes:
        """The JSON of a flow."""
        return self.flows.get(flow_id).description.to_json()

    async def start(self, flow_id: str, body: bytes, key: str | None) -> bytes:
        """The JSON that answers a start; the same again for the same Idempotency-Key."""
        flow = self.flows.get(flow_id)
        request = _start_request(body)
        if self._keys is None or not key:
            return await self._new(flow, request, key)
        with self._keys.claim(flow_id, key, body) as start:
            if start.answer is None:
                start.answer = await self._new(flow, request, key)
            return start.answer

    def status(self, flow_id: str, task_id: str) -> bytes:
        """The JSON of a run's status."""
        flow = self.flows.get(flow_id)
        run = self.runs.get(task_id, flow.id)
        return StatusResponse(status=run.status, message=run.message).to_json()

    def result(self, task_id: str, index: str) -> StoredResult | None:
        """A result file, None while there is none; the index comes from a URL that we signed."""
        try:
            return self.runs.get(task_id).results[int(index)]
        except (Refusal, IndexError):
            return None

    def forget(self) -> None:
        """Forget runs and keys; call it on the event loop, or when there is none."""
        self.runs.forget()
        if self._keys is not None:
            self._keys.forget()

    async def _new(self, flow: Flow, request: StartRequest, key: str | None) -> bytes:
        work = flow.bind(request.params)
        if self._accept_time:
            await asyncio.sleep(self._accept_time)
        return self._answer(self.runs.start(flow, work, request.params, key)).to_json()

    def _answer(self, run: Run) -> StartResponse:
        now = time.time()
        urls = [
            self.base_url + self.urls.path(run.task_id, index, now=now)
            for index in range(run.flow.outputs)
        ]
        if len(urls) == 1:
            return StartResponse(taskId=run.task_id, signedResponseURL=urls[0])
        return StartResponse(taskId=run.task_id, signedResponseURLs=urls)


def _start_request(body: bytes) -> StartRequest:
    """A `Refusal` with 400 where the body is not JSON, with 422 where it is not what a start is."""
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
            422, 'The body is not of the form {"pipelineParams": {…}}.', detail=detail
        ) from None
