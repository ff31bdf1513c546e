"""The emulator: a local Dcipher service in a thread of its own."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar, final

import anyio.to_thread
from typing_extensions import Self, override

from dcipher._installation import install
from dcipher.emulator.console.routes import Console
from dcipher.emulator.console.watch import Sources
from dcipher.emulator.contract.arguments import listening_host, number, secret, whole
from dcipher.emulator.faults.answers import Operation
from dcipher.emulator.faults.definition import Definition
from dcipher.emulator.faults.effect import Effect
from dcipher.emulator.faults.rules import FaultRule, Faults
from dcipher.emulator.gate.access import RateLimit, SignatureCheck, new_key, own_key
from dcipher.emulator.gate.exchanges import Exchanges
from dcipher.emulator.gate.gate import Guard
from dcipher.emulator.gate.journal import Journal, RequestRecord
from dcipher.emulator.gate.refusals import Refusal
from dcipher.emulator.runs.flows import Flows
from dcipher.emulator.runs.pace import Pace
from dcipher.emulator.runs.results import ResultURLs
from dcipher.emulator.runs.runs import RunRecord, Runs
from dcipher.emulator.runs.service import Service

if TYPE_CHECKING:
    from dcipher.emulator.gate.listener import Listener
    from dcipher.emulator.runs.state import State

__all__ = ["Emulator"]

F = TypeVar("F", bound="Callable[..., object]")


@final
class Emulator:
    """A local Dcipher service: `with Emulator() as emulator:`, then `.url` and `.api_key`.

    Flows are Python functions, registered with `@emulator.flow("id")`. Runs really execute, in
    threads. An emulator starts once. It forgets everything when it stops, unless it has a
    `state_dir`: then runs, results, idempotency keys, the API key and the signed URLs outlive it,
    and a `kill -9` of its process. A run that had not finished is executed again, from its params;
    it fails where its flow is not registered within a second of the start.

    Args:
        host: Where to listen: a loopback address, unless `allow_remote`.
        port: 0 takes a free one.
        api_key: The one key that it takes; begins with `emu_`. By default the one that the
            `state_dir` has, else a random one.
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
        state_dir: The folder that keeps what shall outlive the process, in SQLite; made where it
            is missing, for no other user. One emulator at a time has it. By default nothing is
            kept. With the same host and port, URLs from before a restart are valid after it.
        seed: Makes what is random repeat: equal starts get equal task ids, however they
            interleave, and faults by chance decide the same. Keys and signatures stay random.
        time_scale: How many times as fast as the machine's the emulator's clock goes: 60 makes
            a minute of `queue_time`, `min_run_time`, `accept_time` or a flow's `duration` last
            a second. What the wire promises stays in real seconds: `rate` and Retry-After,
            `url_lifetime`; and so do the delays of faults.

    Raises:
        ImportError: FastAPI or uvicorn is not installed: the extra `emulator`.
        TypeError: An argument is of another type.
        ValueError: A number is out of its range or not finite, the host is not loopback, the key
            does not begin with `emu_`, or `require_signature` has no `api_secret`.
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
        state_dir: str | os.PathLike[str] | None = None,
        seed: int | None = None,
        time_scale: float = 1.0,
    ) -> None:
        try:
            from dcipher.emulator.assembly import assemble
        except ImportError as error:
            raise ImportError(f"The emulator needs {error.name}: {install('emulator')}") from error
        self._assemble = assemble
        self._host = listening_host(host, allow_remote=allow_remote)
        self._port = whole("port", port, least=0, most=65535)
        self._is_remote = allow_remote
        if state_dir is None:
            self._state, self._api_key = None, own_key(api_key) or new_key()
        else:
            self._state, self._api_key = _state(state_dir), own_key(api_key)
        pace = Pace.of(
            queue_time=queue_time,
            min_run_time=min_run_time,
            accept_time=accept_time,
            time_scale=time_scale,
        )
        seed = None if seed is None else whole("seed", seed)
        workers = whole("max_workers", max_workers, least=1)
        self._service = Service(
            runs=Runs(pace, max_workers=workers, seed=seed, state=self._state),
            urls=ResultURLs(lifetime=number("url_lifetime", url_lifetime, least=-math.inf)),
            pace=pace,
            idempotency=idempotency,
            state=self._state,
        )
        self._journal = Journal()
        self._api_secret = secret("api_secret", api_secret, needed=require_signature)
        self._signatures = SignatureCheck(self._api_secret, required=require_signature)
        self._rate = None if rate is None else RateLimit(number("rate", rate, above=True))
        self._faults = Faults(seed)
        self._exchanges = Exchanges()
        self._console = Console(
            Sources(self._service, self._journal, self._exchanges, self._faults)
        )
        self._listener: Listener | None = None
        self._phase = "new"
        self._changing_phase = threading.RLock()
        if sample_flows:
            self.add_samples()

    @override
    def __repr__(self) -> str:
        return f"<Emulator {self._service.base_url or 'not started'} ({self._phase})>"

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end; RuntimeError before the start."""
        if not self._service.base_url:
            raise RuntimeError("The emulator has no URL before it is started.")
        return self._service.base_url

    @property
    def console(self) -> str:
        """The URL of the page that shows and changes what it does; RuntimeError before the start."""
        return f"{self.url}/_emulator/"

    @property
    def api_key(self) -> str:
        """The key that it takes; RuntimeError before the start, where a state folder has it."""
        if not self._api_key:
            raise RuntimeError("The emulator reads its key from its state_dir when it is started.")
        return self._api_key

    @property
    def runs(self) -> tuple[RunRecord, ...]:
        """Every run, in the order of the starts."""
        return self._service.runs.records()

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The last requests, in the order of their answers; secrets are masked.

        They are 100,000 at most, and fewer where these would take more than 64 MiB.
        """
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

    def add_flows(self, flows: Flows) -> None:
        """Register what was gathered in a `Flows`; ValueError where an id is taken."""
        self._service.flows.include(flows.registry)

    def add_samples(self) -> None:
        """Register the flows `keywords`, `topics` and `language-stats`: real text analytics."""
        from dcipher.emulator.samples.samples import SAMPLES

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
            OSError: The address is in use, or not this machine's; or the state folder is another
                emulator's, of another version, damaged, or cannot be written to.
            RuntimeError: It was started before.
        """
        with self._changing_phase:
            self._start()

    def _start(self) -> None:
        if self._phase != "new":
            raise RuntimeError("An emulator starts once: make a new one.")
        self._phase = "stopped"  # unless it gets further: what has failed is not to be stopped
        try:
            self._restore()
            guard = Guard(self._api_key, self._signatures, self._rate)
            self._exchanges.secrets = tuple(filter(None, (self._api_key, self._api_secret)))
            self._listener = listener = self._assemble(
                self._service,
                self._faults,
                self._journal,
                guard,
                self._console,
                forget=self._forget_or_refuse,
                control_key=self._api_key if self._is_remote else None,
            )
            self._service.base_url = listener.bind(self._host, self._port)
            listener.start()
        except BaseException:
            self._let_go()
            raise
        self._phase = "started"
        listener.call(lambda: self._service.runs.resume(self._service.flows))

    def stop(self) -> None:
        """Stop serving. A flow that still computes is left to its daemon thread after 0.3 s."""
        with self._changing_phase:
            if self._phase == "started" and self._listener is not None:
                self._phase = "stopped"
                self._listener.stop()
                self._let_go()

    def reset(self) -> None:
        """Forget runs, requests, faults, idempotency keys, nonces and the rate; flows stay.

        What a state folder has of runs and keys is forgotten, too; OSError where it cannot be.
        """
        with self._changing_phase:
            if self._phase == "started" and self._listener is not None:
                self._listener.call(self._forget)
            else:
                self._forget()

    def _restore(self) -> None:
        if self._state is None:
            return
        kept = self._state.open(self._api_key)
        self._api_key = self._state.api_key
        self._service.urls.secret = self._state.url_secret
        self._service.restore(kept)

    def _let_go(self) -> None:
        if self._state is not None:
            self._state.close()

    def _forget(self) -> None:
        self._service.forget()
        self._signatures.forget()
        if self._rate is not None:
            self._rate.forget()
        self._journal.forget()
        self._faults.forget()
        self._console.forget()

    def _forget_or_refuse(self) -> None:
        try:
            self._forget()
        except OSError as error:
            raise Refusal(500, f"Nothing was forgotten. {error}") from error

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


def _state(folder: str | os.PathLike[str]) -> State:
    path: object = os.fspath(folder) if isinstance(folder, os.PathLike) else folder
    if not isinstance(path, str):
        raise TypeError(f"state_dir is a str or an os.PathLike of one, not {type(path).__name__}.")
    if not path:
        raise ValueError("state_dir is empty: name a folder.")
    # Loaded here: an emulator that keeps nothing has no use for SQLite.
    from dcipher.emulator.runs.state import State

    return State(Path(path))
