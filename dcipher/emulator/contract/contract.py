"""What goes over the wire, as models: each field says how it is known (`x-dcipher-source`).

`observed` is the behaviour of the published client, `specified` is what the SDK was asked to do,
`assumed` is a choice where nothing is known.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.json_schema import SkipJsonSchema

__all__ = [
    "ASSUMED",
    "OBSERVED",
    "SOURCE",
    "SPECIFIED",
    "ErrorResponse",
    "FieldError",
    "FlowParam",
    "FlowResponse",
    "StartRequest",
    "StartResponse",
    "StatusResponse",
]

SOURCE: Final = "x-dcipher-source"
OBSERVED: Final[dict[str, JsonValue]] = {SOURCE: "observed"}
SPECIFIED: Final[dict[str, JsonValue]] = {SOURCE: "specified"}
ASSUMED: Final[dict[str, JsonValue]] = {SOURCE: "assumed"}


class _Body(BaseModel):
    """A JSON body: written by alias, what is None is left out."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    def to_json(self) -> bytes:
        """The bytes that are sent."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


class StartRequest(_Body):
    """The body of a start."""

    params: dict[str, JsonValue] = Field(
        alias="pipelineParams",
        description="The values of the flow's params by name; the flow's author chose the names.",
        json_schema_extra=OBSERVED,
    )


class StartResponse(_Body):
    """A run that was started, with the signed URL of its result, or with several."""

    task_id: str = Field(
        alias="taskId",
        description="The run's identifier.",
        json_schema_extra=OBSERVED,
    )
    url: str | SkipJsonSchema[None] = Field(
        default=None,
        alias="signedResponseURL",
        description="Where the result will be. A secret that expires; no later answer repeats it.",
        json_schema_extra={**OBSERVED, "format": "uri"},
    )
    urls: list[str] | SkipJsonSchema[None] = Field(
        default=None,
        alias="signedResponseURLs",
        description="Instead of signedResponseURL where the flow has several results, in order.",
        json_schema_extra=OBSERVED,
    )


class StatusResponse(_Body):
    """How a run is doing."""

    status: str = Field(
        description=(
            "PENDING, QUEUED, RUNNING, CANCELLING, CANCELLED, CANCELFAILED, SUCCEEDED, FAILED, or "
            "free text for a run that is not a task yet. Free text and unknown words are not "
            "terminal."
        ),
        json_schema_extra={**OBSERVED, "examples": ["RUNNING", "SUCCEEDED", "setting up cluster"]},
    )
    message: str | SkipJsonSchema[None] = Field(
        default=None,
        description="Why the run failed, or what it is doing.",
        json_schema_extra=OBSERVED,
    )


class FlowParam(_Body):
    """One param of a flow."""

    name: str = Field(description="The name in pipelineParams.", json_schema_extra=ASSUMED)
    type: str | SkipJsonSchema[None] = Field(
        default=None,
        description="The JSON Schema word for its values, such as string, integer or array.",
        json_schema_extra=ASSUMED,
    )
    required: bool | SkipJsonSchema[None] = Field(
        default=None,
        description="Whether a start without it is refused.",
        json_schema_extra=ASSUMED,
    )
    default: JsonValue = Field(
        default=None,
        description="The value that is used where none is sent.",
        json_schema_extra=ASSUMED,
    )
    description: str | SkipJsonSchema[None] = Field(
        default=None,
        description="What it does, for people.",
        json_schema_extra=ASSUMED,
    )


class FlowResponse(_Body):
    """A flow: what it is called and what it takes."""

    id: str = Field(description="The flow's identifier.", json_schema_extra=ASSUMED)
    name: str | SkipJsonSchema[None] = Field(
        default=None, description="A short title.", json_schema_extra=ASSUMED
    )
    description: str | SkipJsonSchema[None] = Field(
        default=None, description="What the flow does, for people.", json_schema_extra=ASSUMED
    )
    params: list[FlowParam] | SkipJsonSchema[None] = Field(
        default=None, description="What the flow takes, in order.", json_schema_extra=ASSUMED
    )


class FieldError(_Body):
    """What is wrong with one value of a request."""

    loc: list[str | int] = Field(
        description='The path to it, such as ["body", "pipelineParams", "top"].',
        json_schema_extra=ASSUMED,
    )
    msg: str = Field(description="What is wrong, for people.", json_schema_extra=ASSUMED)
    type: str = Field(description="What is wrong, for programs.", json_schema_extra=ASSUMED)


class ErrorResponse(_Body):
    """Why a request was refused."""

    message: str = Field(description="What is wrong, for people.", json_schema_extra=OBSERVED)
    detail: list[FieldError] | SkipJsonSchema[None] = Field(
        default=None,
        description="With 422: each value that is not valid.",
        json_schema_extra=ASSUMED,
    )
