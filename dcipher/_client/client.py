# Generated from dcipher/_client/client_async.py by scripts/unasync.py: edit that, not this.
"""`Dcipher`: the client, and clients derived from it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import dcipher
from dcipher._legacy.replacements import (
    LegacyAttributes,
    check_legacy_arguments,
    check_legacy_positions,
    reject_legacy,
)
from dcipher._settings.secret_arguments import drops_frames
from dcipher._typing.lazy import ClassOf, Lazy

# A program that imports the class and makes no client loads neither httpx nor Pydantic.
if TYPE_CHECKING:
    import httpx
    import pydantic
    import typing_extensions

    from dcipher._client.waiting.recent import RecentRuns
    from dcipher._concurrency import callables
    from dcipher._wire import httpx2_clients
    from dcipher._wire.api import API

    from .flows import Flows
    from .runs import Runs
else:
    httpx, pydantic = Lazy("httpx"), Lazy("pydantic")
    typing_extensions = Lazy("typing_extensions")
    callables = Lazy("dcipher._concurrency.callables")
    httpx2_clients = Lazy("dcipher._wire.httpx2_clients")
    _flows = Lazy(f"{__package__}.flows")
    _runs = Lazy(f"{__package__}.runs")

__all__ = ["Dcipher"]

R = TypeVar("R")


class Dcipher(LegacyAttributes):
    """The client of the Dcipher Workflows API.

    One client is enough for a whole application: threads and tasks can share it. Close it, or use
    it as a context manager.

    Only the API key is required. Precedence: argument, environment, `.env` file, default.

    Args:
        api_key: The API key. Default: `DCIPHER_API_KEY`.
        api_secret: The secret that signs every request (RFC 9421), as text or bytes. Default:
            `DCIPHER_API_SECRET`; without it, requests are not signed.
        base_url: The URL of the API, which may have a path. Default: `DCIPHER_BASE_URL`, else
            `https://api.dcipheranalytics.com`.
        timeout: Seconds for one HTTP request, of which at most 10 to connect, or an
            `httpx.Timeout`. Not a limit for the run. Default: `DCIPHER_TIMEOUT`, else 60.
        max_retries: Attempts after the first. Default: `DCIPHER_MAX_RETRIES`, else 5.
        resilience: The retry policy. The argument `max_retries` takes precedence over its field;
            `DCIPHER_MAX_RETRIES` does not.
        headers: Headers that are sent with every request to the API.
        http_client: Your own client of httpx or httpx2, which you close yourself, or an
            `HTTPAuthenticatedClient`.
        transport: An httpx transport to send the requests with.
        settings: Settings that replace the environment and the `.env` file.
        allow_insecure: Permit plain `http` to other machines.

    Raises:
        MissingAPIKeyError: There is no API key.
        ConfigurationError: A setting or an argument is invalid.
    """

    if TYPE_CHECKING:
        flows: Flows
        """Fetches flows, starts them, and runs them."""
        runs: Runs
        """Fetches runs, waits for them, and reads their results."""
    else:
        flows: _flows.Flows = ClassOf(_flows, "Flows")
        runs: _runs.Runs = ClassOf(_runs, "Runs")

    @drops_frames
    @check_legacy_positions
    def __init__(
        self,
        api_key: str | pydantic.SecretStr | None = None,
        *,
        api_secret: str | bytes | pydantic.SecretStr | None = None,
        base_url: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        max_retries: int | None = None,
        resilience: dcipher.Resilience | None = None,
        headers: Mapping[str, str] | None = None,
        http_client: httpx.Client
        | httpx2_clients.Httpx2Client
        | dcipher.HTTPAuthenticatedClient
        | None = None,
        transport: httpx.BaseTransport | None = None,
        settings: dcipher.Settings | None = None,
        allow_insecure: bool = False,
    ) -> None:
        from dcipher._client.waiting.recent import RecentRuns
        from dcipher._wire.api import API

        from .assembly import assemble

        reject_legacy(type(self))
        parts = assemble(
            api_key=api_key,
            api_secret=api_secret,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            resilience=resilience,
            headers=headers,
            http_client=http_client,
            transport=transport,
            settings=settings,
            allow_insecure=allow_insecure,
            kinds=(httpx.Client, httpx.BaseTransport),
        )
        api = API(parts.http, parts.options, parts.configured_by, parts.allow_insecure)
        self._use(api, RecentRuns())

    def _use(self, api: API, recent: RecentRuns) -> None:
        from .flows import Flows
        from .runs import Runs

        self._api = api
        self._recent = recent
        self.runs = Runs(api, recent)
        self.flows = Flows(api, self.runs, recent)

    @check_legacy_arguments
    def run_flow(
        self,
        flow_id: str,
        params: Mapping[str, Any] | pydantic.BaseModel | None = None,
        save_path: str | os.PathLike[str] | None = None,
    ) -> dcipher.Run:
        """Starts a run, waits for it, and saves its results if `save_path` is given.

        Short for `flows.run`, which has more options.

        Args:
            flow_id: The id of the flow.
            params: The parameters of the flow: a mapping, or a Pydantic model.
            save_path: The file to save the result to. Its folder must exist.

        Returns:
            The finished run. `run.files` has the paths of the saved files.

        Raises:
            DcipherError: As `flows.run` does.
        """
        return self.flows.run(flow_id, params, save_path=save_path)

    def call(
        self,
        call: dcipher.FlowCall[R],
        *,
        wait_timeout: float | None = None,
        on_status: callables.StatusCallback | None = None,
        idempotency_key: str | None = None,
    ) -> R:
        """Starts a run, waits until it has ended, and reads its result, typed by the `FlowCall`.

        Args:
            call: The flow, its parameters and the type of its result.
            wait_timeout: Seconds to wait for the run. `None`: no limit.
            on_status: Called with the `Run` at the first poll and at each change of status.
            idempotency_key: As for `flows.start`.

        Returns:
            The result, as the type that the `FlowCall` names.

        Raises:
            DcipherError: As `flows.run` and `runs.read` do.
        """
        run = self.flows.run(
            call, wait_timeout=wait_timeout, on_status=on_status, idempotency_key=idempotency_key
        )
        from dcipher.calls import result_type_of

        result: R = self.runs.read(run, result_type_of(type(call)))
        return result

    @drops_frames
    def with_options(
        self,
        *,
        timeout: float | httpx.Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        resilience: dcipher.Resilience | None = None,
    ) -> typing_extensions.Self:
        """Derives a client with other options, which shares the connections of this one.

        The derived client does not need to be closed. Closing it does not close this client.

        Args:
            timeout: Seconds for one HTTP request, or an `httpx.Timeout`.
            max_retries: Attempts after the first; 0 disables retries.
            headers: Headers that are added to those of this client.
            resilience: The retry policy.

        Returns:
            The derived client. An option that is `None` keeps the value of this client.

        Raises:
            ConfigurationError: An option is invalid.
            DcipherError: This client is closed.
        """
        reject_legacy(type(self))
        self._api.check_open()
        derived = object.__new__(type(self))
        options = self._api.options.changed(
            timeout=timeout, max_retries=max_retries, headers=headers, resilience=resilience
        )
        derived._use(self._api.derived(options), self._recent)
        return derived

    def close(self) -> None:
        """Closes the connections, unless a derived client still uses them.

        A closed client cannot be reopened. Closing it twice does nothing.
        """
        self._api.close()

    def __enter__(self) -> typing_extensions.Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        # Error reporters show the variables of frames, also of an __init__ that failed.
        shown = f"base_url={self._api.base_url!r}" if hasattr(self, "_api") else "not made"
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError(
            f"{type(self).__name__} cannot be copied or pickled: it has connections and a key. "
            "Share it, create another one where it is needed, or derive one by with_options()."
        )
