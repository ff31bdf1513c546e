"""The emulator: a local Dcipher service in a thread of its own."""

from __future__ import annotations

import ipaddress
import secrets
from typing import TYPE_CHECKING, TypeVar, final

import anyio.to_thread
from typing_extensions import override

from dcipher.emulator.access import KEY_PREFIX, RateLimit, SignatureCheck
from dcipher.emulator.faults.definition import Definition
from dcipher.emulator.faults.rules import Faults
from dcipher.emulator.journal import Journal
from dcipher.emulator.results import ResultURLs
from dcipher.emulator.runs import Runs
from dcipher.emulator.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from dcipher.emulator.faults.answers import Operation
    from dcipher.emulator.faults.effect import Effect
    from dcipher.emulator.faults.rules import FaultRule
    from dcipher.emulator.journal import RequestRecord
    from dcipher.emulator.runs import RunRecord

__all__ = ["Emulator"]

F = TypeVar("F", bound="Callable[..., object]")

_GRACE = 0.3  # seconds that a flow which still computes may take when the emulator stops


@final
class Emulator:
    """A local Dcipher service: `with Emulator() as emulator:`, then `.url` and `.api_key`.

    Flows are Python functions, registered with `@emulator.flow("id")`. Runs really execute, in
    threads. An emulator starts once, and forgets everything when it stops.

    Args:
        host: Where to listen: a loopback address, unless `allow_remote`.
        port: 0 takes a free one.
        api_key: The one key that it takes; begins with `emu_`. Random by default.
        api_secret: The secret of request signatures (RFC 9421), which are verified when present.
        require_signature: Refuse requests that are not signed (401).
        idempotency: Whether an `Idempotency-Key` is honoured.
        rate: Requests per second that the key may send; more are answered with 429.
        url_lifetime: Seconds that a signed URL is valid, rounded up to a whole one; with 0 or
            less it has expired when it is made.
        queue_time: Seconds that a run spends in each of PENDING and QUEUED.
        min_run_time: Seconds that a run spends in RUNNING at least.
        accept_time: Seconds between a start and its answer; another start with the same
            `Idempotency-Key` meanwhile is answered with 409.
        sample_flows: Whether to have the flows `keywords`, `topics` and `language-stats`.
        max_workers: How many flows compute at the same time.
        allow_remote: Allow a host that is not loopback.

    Raises:
        ImportError: FastAPI or uvicorn is not installed: `pip install 'dcipher[emulator]'`.
        ValueError: The host is not loopback, the key does not begin with `emu_`, or
            `require_signature` has no `api_secret`.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        api_secret: str | None = None,
        require_signature: bool = False,
        idempotency: bool = True,
        rate: float | None = None,
        url_lifetime: float = 3600.0,
        queue_time: float = 0.02,
        min_run_time: float = 0.0,
        accept_time: float = 0.0,
        sample_flows: bool = False,
        max_workers: int = 8,
        allow_remote: bool = False,
    ) -> None:
        try:
            from dcipher.emulator.app import build_app
            from dcipher.emulator.control import Control, Controlled
            from dcipher.emulator.faults.layer import FaultLayer
            from dcipher.emulator.gate import Gate, Guard
            from dcipher.emulator.listener import Listener
        except ImportError as error:
            raise ImportError(
                f"The emulator needs {error.name}: pip install 'dcipher[emulator]'"
            ) from error
        if not (allow_remote or _is_loopback(host)):
            raise ValueError(
                f"The host {host!r} is not loopback: say allow_remote=True if others may reach it."
            )
        if api_key is not None and not api_key.startswith(KEY_PREFIX):
            raise ValueError(
                f"The emulator's api_key begins with {KEY_PREFIX}: no real key belongs here."
            )
        if require_signature and not api_secret:
            raise ValueError("require_signature needs an api_secret to verify with.")
        if rate is not None and rate <= 0:
            raise ValueError("The rate is more than 0 requests a second.")
        if max_workers < 1:
            raise ValueError("max_workers is 1 or more.")
        self._address = (host, port)
        self._api_key = api_key or KEY_PREFIX + secrets.token_urlsafe(24)
        self._service = Service(
            runs=Runs(queue_time=queue_time, min_run_time=min_run_time, max_workers=max_workers),
            urls=ResultURLs(lifetime=url_lifetime),
            idempotency=idempotency,
            accept_time=accept_time,
        )
        self._journal = Journal()
        self._guard = Guard(
            self._api_key,
            SignatureCheck(api_secret, required=require_signature),
            None if rate is None else RateLimit(rate),
        )
        self._faults = Faults()
        layer = FaultLayer(build_app(self._service), self._faults, self._service)
        control = Control(
            Gate(layer, self._guard, self._journal),
            Controlled(
                faults=self._faults,
                runs=self._service.runs.records,
                requests=self._journal.records,
                forget=self._forget,
            ),
            api_key=self._api_key if allow_remote else None,
        )
        self._listener = Listener(control, on_stop=lambda: self._service.runs.stop(grace=_GRACE))
        self._state = "new"
        if sample_flows:
            self.add_samples()

    @override
    def __repr__(self) -> str:
        return f"<Emulator {self._service.base_url or 'not started'} ({self._state})>"

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end; RuntimeError before the start."""
        if not self._service.base_url:
            raise RuntimeError("The emulator has no URL before it is started.")
        return self._service.base_url

    @property
    def api_key(self) -> str:
        """The key that it takes."""
        return self._api_key

    @property
    def runs(self) -> tuple[RunRecord, ...]:
        """Every run, in the order of the starts."""
        return self._service.runs.records()

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The last 100,000 requests, in the order of their answers; secrets are masked."""
        return self._journal.records()

    def flow(
        self,
        flow_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        restricted: bool = False,
        duration: float | None = None,
        outputs: int = 1,
    ) -> Callable[[F], F]:
        """Register the decorated function, which stays as it is.

        Params are validated from its annotations by Pydantic; `Annotated[…, Field(description=…)]`
        describes one. What it returns is the result file: text and bytes as they are, a `Result`
        with a content type of its own, all else as JSON. What it raises fails the run.

        Args:
            flow_id: The identifier in the path.
            name: The title; by default from the function's name.
            description: By default the function's docstring.
            restricted: Answer 403, as for a flow that the key may not use.
            duration: Seconds in RUNNING at least, instead of `min_run_time`.
            outputs: How many result files; with more than one the function returns as many values.
        """

        def register(function: F) -> F:
            _ = self._service.flows.add(
                flow_id,
                function,
                name=name,
                description=description,
                restricted=restricted,
                duration=duration,
                outputs=outputs,
            )
            return function

        return register

    def add_samples(self) -> None:
        """Register the flows `keywords`, `topics` and `language-stats`: real text analytics."""
        from dcipher.emulator.samples import SAMPLES

        for flow_id, function in SAMPLES.items():
            _ = self.flow(flow_id)(function)

    def fault(
        self,
        operation: Operation | None,
        *effects: Effect,
        times: int | None = 1,
        nth: int | None = None,
        per_run: bool = False,
        probability: float = 1.0,
        seed: int = 0,
        flow_id: str | None = None,
        task_id: str | None = None,
        output_index: int | None = None,
    ) -> FaultRule:
        """Break answers from now on: `emulator.fault("status", Respond(503), times=3)`.

        Of the faults that match a request, the first that has something left is applied, alone.
        What counts is every request that matches, also where another fault was applied to it.

        Args:
            operation: `flow`, `start`, `status`, `result`, or None for any that the effects are
                for.
            *effects: What to do to the answer, in order; see `dcipher.emulator.faults`.
            times: To how many requests it is applied; None: to any number.
            nth: The first matching request that it is applied to, from 1.
            per_run: Count `nth` and `times` for each run by itself: a start by its flow and body,
                a result by its run and index.
            probability: How likely it is applied to a matching request. The decision is a hash of
                `seed`, of the fault's number, and of the run and how many-th request of it this
                is: the same however requests interleave.
            seed: Another one gives other decisions.
            flow_id: Only requests about this flow.
            task_id: Only requests about this run.
            output_index: Only the result with this index, from 0.

        Raises:
            TypeError: Something is no effect.
            ValueError: The arguments are not valid, or an effect is not for this operation.
        """
        definition = Definition.of(
            operation,
            effects,
            times=times,
            nth=nth,
            per_run=per_run,
            probability=probability,
            seed=seed,
            flow_id=flow_id,
            task_id=task_id,
            output_index=output_index,
        )
        return self._faults.add(definition)

    @property
    def faults(self) -> tuple[FaultRule, ...]:
        """The faults that it was told of, in order."""
        return self._faults.rules

    def check_faults(self) -> None:
        """Raise an AssertionError that names each fault which was not consumed."""
        self._faults.check()

    def clear_faults(self) -> None:
        """Forget all faults; those that follow are numbered from 1 again."""
        self._faults.forget()

    def start(self) -> None:
        """Serve, in a daemon thread; returns when connections are accepted.

        Raises:
            OSError: The address is in use, or not this machine's.
            RuntimeError: It was started before.
        """
        if self._state != "new":
            raise RuntimeError("An emulator starts once: make a new one.")
        self._service.base_url = self._listener.bind(*self._address)
        self._state = "stopped"  # unless it gets further: what has failed is not to be stopped
        self._listener.start()
        self._state = "started"

    def stop(self) -> None:
        """Stop serving. A flow that still computes is left to its daemon thread after 0.3 s."""
        if self._state == "started":
            self._state = "stopped"
            self._listener.stop()

    def reset(self) -> None:
        """Forget runs, requests, faults, idempotency keys, nonces and the rate; flows stay."""
        if self._state == "started":
            self._listener.call(self._forget)
        else:
            self._forget()

    def _forget(self) -> None:
        self._service.forget()
        self._guard.forget()
        self._journal.forget()
        self._faults.forget()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await anyio.to_thread.run_sync(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.stop)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
