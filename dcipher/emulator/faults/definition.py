"""The definition of a rule, in Python and as JSON: its effects, and the requests that it matches."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, TypeAlias, cast

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from dcipher.emulator.faults import (
    connection_effects,
    encoding_effects,
    response_effects,
    store_effects,
)
from dcipher.emulator.faults.effect import CONFIG, Effect
from dcipher.emulator.faults.messages import OPERATIONS, Call, Operation

__all__ = ["Definition"]

AnyEffect: TypeAlias = Annotated[
    encoding_effects.Digest
    | encoding_effects.Encode
    | response_effects.Garbage
    | response_effects.Headers
    | response_effects.Html
    | response_effects.Patch
    | response_effects.Redirect
    | response_effects.Replace
    | response_effects.Respond
    | response_effects.Statuses
    | connection_effects.Cut
    | connection_effects.Delay
    | connection_effects.Dribble
    | connection_effects.Drop
    | connection_effects.Extend
    | connection_effects.Frame
    | connection_effects.Raw
    | connection_effects.Stall
    | connection_effects.Truncate
    | store_effects.ChangeContent
    | store_effects.ChangeETag
    | store_effects.ExpireURL
    | store_effects.IgnoreRange
    | store_effects.Multipart
    | store_effects.RefuseRange
    | store_effects.WrongRange,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A rule, as defined in Python or as JSON."""

    __pydantic_config__: ClassVar[ConfigDict] = CONFIG

    operation: Operation | None = None
    effects: Annotated[tuple[AnyEffect, ...], Field(min_length=1)]
    times: Annotated[int, Field(ge=1)] | None = 1
    nth: Annotated[int, Field(ge=1)] | None = None
    per_run: bool = False
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    seed: int = 0
    flow_id: str | None = None
    task_id: str | None = None
    output_index: Annotated[int, Field(ge=0)] | None = None

    def __post_init__(self) -> None:
        if not self.operations:
            names = ", ".join(type(effect).__name__ for effect in self.effects)
            if self.operation is None:
                raise ValueError(f"{names}: no operation supports all of them.")
            raise ValueError(f"{names}: not supported for the operation {self.operation!r}.")
        if self.task_id is not None and not self.operations & {"status", "result"}:
            raise ValueError("task_id matches only the operations 'status' and 'result'.")
        if self.output_index is not None and "result" not in self.operations:
            raise ValueError("output_index matches only the operation 'result'.")

    @property
    def operations(self) -> frozenset[Operation]:
        """The operations that it matches: the given one, or all that its effects support."""
        named = OPERATIONS if self.operation is None else frozenset((self.operation,))
        return named.intersection(*(effect.operations for effect in self.effects))

    @property
    def calls(self) -> int | None:
        """The number of requests that it is applied to; None: any number."""
        return None if self.times is None else self.times * max(e.calls for e in self.effects)

    def matches(self, call: Call) -> bool:
        """Returns whether it matches the request."""
        return (
            call.operation in self.operations
            and self.flow_id in {None, call.flow_id}
            and self.task_id in {None, call.task_id}
            and self.output_index in {None, call.output_index}
            and ("range" in call.headers or not any(e.needs_range for e in self.effects))
        )

    @classmethod
    def of(cls, operation: str | None, effects: tuple[object, ...], **values: object) -> Definition:
        """Returns the rule for the arguments of `Emulator.fault`. Raises ValueError or TypeError."""
        for effect in effects:
            if not isinstance(effect, Effect):
                raise TypeError(
                    f"{effect!r} is not an effect: pass one of dcipher.emulator.faults, such as "
                    "Respond(503)."
                )
        try:
            return _DEFINITION.validate_python(
                {"operation": operation, "effects": effects, **values}
            )
        except ValidationError as error:
            errors = "; ".join(
                ": ".join(
                    filter(
                        None,
                        [
                            ".".join(map(str, item["loc"])),
                            item["msg"].removeprefix("Value error, "),
                        ],
                    )
                )
                for item in error.errors(include_url=False, include_context=False)
            )
            raise ValueError(f"The fault is invalid: {errors}") from None

    @classmethod
    def from_json(cls, text: bytes) -> Definition:
        """Returns the rule for a JSON text. Raises Pydantic's ValidationError."""
        return _DEFINITION.validate_json(text)

    def to_python(self) -> dict[str, JsonValue]:
        """Returns the rule as a JSON value."""
        return cast("dict[str, JsonValue]", _DEFINITION.dump_python(self, mode="json"))


_DEFINITION: Final[TypeAdapter[Definition]] = TypeAdapter(Definition)
