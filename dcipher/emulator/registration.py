"""The flows and faults of an emulator: the part of `Emulator` that registers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dcipher.emulator.faults.definition import Definition
from dcipher.emulator.faults.effect import Effect
from dcipher.emulator.faults.messages import Operation
from dcipher.emulator.faults.rules import FaultRule, Faults
from dcipher.emulator.runs.flows import Flows
from dcipher.emulator.runs.service import Service

__all__ = ["Registration"]

F = TypeVar("F", bound="Callable[..., object]")


class Registration:
    """The flows and faults of an emulator."""

    def __init__(self, service: Service, faults: Faults) -> None:
        self._service = service
        self._faults = faults

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
        """Registers the decorated function as a flow. The function itself is unchanged.

        Pydantic validates the params by the function's annotations. `Annotated[…,
        Field(description=…)]` describes a param. The return value becomes the result file: text and
        bytes as they are, a `Result` with its own content type, and any other value as JSON. An
        exception fails the run.

        Args:
            flow_id: The id of the flow, as in the path.
            name: The title. Default: derived from the name of the function.
            description: The description. Default: the docstring of the function.
            restricted: Respond with 403, as for a flow that the key has no permission for.
            duration: Seconds that a run spends in RUNNING, at least. Default: `min_run_time`.
            outputs: The number of result files. If it is above 1, the function returns as many
                values.
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
        """Registers the flows of a `Flows` object.

        Raises:
            ValueError: An id is already registered.
        """
        self._service.flows.include(flows.registry)

    def add_samples(self) -> None:
        """Registers the flows `keywords`, `topics` and `language-stats`: real text analytics."""
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
        """Registers a fault, for example `emulator.fault("status", Respond(503), times=3)`.

        At most one fault is applied to a request: the first matching one that is not consumed. Each
        matching fault counts the request, whichever is applied.

        Args:
            operation: `flow`, `start`, `status` or `result`. `None`: every operation that the
                effects support.
            *effects: The changes to the response, in order; see `dcipher.emulator.faults`.
            times: How many requests it is applied to. `None`: any number.
            nth: The first matching request that it is applied to, counted from 1.
            per_run: Count `nth` and `times` separately for each run. A start is identified by its
                flow and body, a result by its run and index.
            probability: The probability that it is applied to a matching request, from 0 to 1. The
                decision is a hash of `seed`, the number of the fault, the run, and the number of
                the request for that run, so it does not depend on the order of requests.
            seed: Changes the decisions of `probability`.
            flow_id: Match only requests for this flow.
            task_id: Match only requests for this run.
            output_index: Match only the result with this index, counted from 0.

        Returns:
            The fault, which counts the requests it was applied to.

        Raises:
            TypeError: An argument is not an effect.
            ValueError: An argument is invalid, or an effect does not support this operation.
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
        """The registered faults, in order."""
        return self._faults.rules

    def check_faults(self) -> None:
        """Checks that every fault was consumed.

        Raises:
            AssertionError: A fault was not. The message names each of them.
        """
        self._faults.check()

    def clear_faults(self) -> None:
        """Removes all faults. The numbers of new ones start at 1."""
        self._faults.clear()
