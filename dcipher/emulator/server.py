"""The emulator: a local Dcipher service in its own thread."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, final

import anyio.to_thread
from typing_extensions import Self, override

from dcipher._extras.installation import install
from dcipher.emulator.console.routes import Console
from dcipher.emulator.console.watch import Sources
from dcipher.emulator.contract.arguments import flag, listening_host, number, secret, whole
from dcipher.emulator.faults.rules import Faults
from dcipher.emulator.gate.access import RateLimit, SignatureCheck, new_key, own_key
from dcipher.emulator.gate.exchanges import Exchanges
from dcipher.emulator.gate.gate import Guard
from dcipher.emulator.gate.journal import Journal, RequestRecord
from dcipher.emulator.gate.refusals import Refusal
from dcipher.emulator.registration import Registration
from dcipher.emulator.runs.pace import Pace
from dcipher.emulator.runs.results import ResultURLs
from dcipher.emulator.runs.runs import RunRecord, Runs
from dcipher.emulator.runs.service import Service

if TYPE_CHECKING:
    from dcipher.emulator.gate.listener import Listener
    from dcipher.emulator.runs.state import State

__all__ = ["Emulator"]


@final
class Emulator(Registration):
    """A local Dcipher service, for tests and first steps.

    Use it as a context manager: `with Emulator() as emulator:`. Then connect a client to
    `emulator.url`, with `emulator.api_key`. Flows are Python functions, registered with
    `@emulator.flow("id")`. Their runs really execute, in threads.

    An emulator can be started once. Its state is lost when it stops, unless it has a `state_dir`.
    Then runs, results, idempotency keys, the API key and the signed URLs persist, even after a
    `kill -9` of its process. A run that had not finished is executed again with its params. It
    fails if its flow is not registered within a second after the start.

    Args:
        host: The address to listen on: a loopback address, unless `allow_remote=True`.
        port: The port. 0 chooses a free one.
        api_key: The only key that it accepts. It begins with `emu_`. Default: the key in
            `state_dir`, else a random one.
        api_secret: The secret of request signatures (RFC 9421). A signature is verified if the
            request has one.
        require_signature: Reject requests without a signature (401).
        idempotency: Whether to support `Idempotency-Key`.
        rate: The rate limit of the key, in requests per second. More requests get a 429.
        url_lifetime: Seconds that a signed URL is valid, rounded up. 0 or less: it expires
            immediately.
        queue_time: Seconds that a run spends in PENDING, and again in QUEUED.
        min_run_time: Seconds that a run spends in RUNNING, at least.
        accept_time: Seconds between a start and its response. Until then, another start with the
            same `Idempotency-Key` gets a 409.
        sample_flows: Whether to register the flows `keywords`, `topics` and `language-stats`.
        max_workers: How many flows are executed at the same time.
        allow_remote: Permit a host that is not a loopback address.
        state_dir: A folder that persists the state in SQLite. It is created if it is missing, with
            access for no other user. Only one emulator at a time can use it. Signed URLs remain
            valid after a restart with the same host and port. Default: nothing is persisted.
        seed: Makes task ids and faults with a probability repeatable, independent of the order of
            requests. Keys and signatures remain random.
        time_scale: How much faster than real time the emulator's clock runs. With 60, a minute of
            `queue_time`, `min_run_time`, `accept_time` or a flow's `duration` takes a second.
            `rate`, `Retry-After`, `url_lifetime` and the delays of faults are in real seconds.

    Raises:
        ImportError: FastAPI or uvicorn is not installed: install the extra `emulator`.
        TypeError: An argument has the wrong type.
        ValueError: A number is out of range or not finite, the host is not a loopback address, the
            key does not begin with `emu_`, or `require_signature` is set without an `api_secret`.
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
        for name, given in {
            "require_signature": require_signature,
            "idempotency": idempotency,
            "sample_flows": sample_flows,
        }.items():
            flag(name, given)
        self._host = listening_host(host, allow_remote=flag("allow_remote", allow_remote))
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
        service = Service(
            runs=Runs(pace, max_workers=workers, seed=seed, state=self._state),
            urls=ResultURLs(lifetime=number("url_lifetime", url_lifetime, least=-math.inf)),
            pace=pace,
            idempotency=idempotency,
            state=self._state,
        )
        super().__init__(service, Faults(seed))
        self._journal = Journal()
        self._api_secret = secret("api_secret", api_secret, needed=require_signature)
        self._signatures = SignatureCheck(self._api_secret, required=require_signature)
        self._rate = None if rate is None else RateLimit(number("rate", rate, above=True))
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
        """The base URL, without a trailing slash.

        Raises:
            RuntimeError: The emulator is not started.
        """
        if not self._service.base_url:
            raise RuntimeError("The emulator has no URL before it is started.")
        return self._service.base_url

    @property
    def console(self) -> str:
        """The URL of the console: a page that shows requests, runs and faults.

        Raises:
            RuntimeError: The emulator is not started.
        """
        return f"{self.url}/_emulator/"

    @property
    def api_key(self) -> str:
        """The API key that it accepts.

        Raises:
            RuntimeError: The emulator is not started, and its key is in the `state_dir`.
        """
        if not self._api_key:
            raise RuntimeError("The emulator reads its key from its state_dir when it is started.")
        return self._api_key

    @property
    def runs(self) -> tuple[RunRecord, ...]:
        """Every run, in the order of the starts."""
        return self._service.runs.records()

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The last requests, in the order of their responses, with secrets redacted.

        At most 100,000 requests or 64 MiB are kept.
        """
        return self._journal.records()

    def start(self) -> None:
        """Starts serving in a daemon thread. Returns when it accepts connections.

        Raises:
            OSError: The address is in use, or does not belong to this machine. Or the `state_dir`
                is in use, damaged, of another version, or cannot be written to.
            RuntimeError: It was started before.
        """
        with self._changing_phase:
            self._start()

    def _start(self) -> None:
        if self._phase != "new":
            raise RuntimeError("An emulator can be started only once. Create a new one.")
        self._phase = "stopped"  # an emulator that failed to start does not need to be stopped
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
                clear=self._clear_or_refuse,
                control_key=self._api_key if self._is_remote else None,
            )
            self._service.base_url = listener.bind(self._host, self._port)
            listener.start()
        except BaseException:
            self._release()
            raise
        self._phase = "started"
        listener.call(lambda: self._service.runs.resume(self._service.flows))

    def stop(self) -> None:
        """Stops serving. It waits 0.3 s for running flows; later ones continue in daemon threads."""
        with self._changing_phase:
            if self._phase == "started" and self._listener is not None:
                self._phase = "stopped"
                self._listener.stop()
                self._release()

    def reset(self) -> None:
        """Removes runs, requests, faults, idempotency keys and nonces. Flows remain registered.

        It also resets the rate limit, and removes runs and keys from the `state_dir`.

        Raises:
            OSError: The `state_dir` cannot be written to.
        """
        with self._changing_phase:
            if self._phase == "started" and self._listener is not None:
                self._listener.call(self._clear)
            else:
                self._clear()

    def _restore(self) -> None:
        if self._state is None:
            return
        kept = self._state.open(self._api_key)
        self._api_key = self._state.api_key
        self._service.urls.secret = self._state.url_secret
        self._service.restore(kept)

    def _release(self) -> None:
        if self._state is not None:
            self._state.close()

    def _clear(self) -> None:
        self._service.clear()
        self._signatures.clear()
        if self._rate is not None:
            self._rate.clear()
        self._journal.clear()
        self._faults.clear()
        self._console.clear()

    def _clear_or_refuse(self) -> None:
        try:
            self._clear()
        except OSError as error:
            raise Refusal(500, f"Nothing was removed. {error}") from error

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
        raise TypeError(f"state_dir must be a str or an os.PathLike, not {type(path).__name__}.")
    if not path:
        raise ValueError("state_dir is empty. Pass the path of a folder.")
    # Imported here: an emulator without a state_dir does not need SQLite.
    from dcipher.emulator.runs.state import State

    return State(Path(path))
