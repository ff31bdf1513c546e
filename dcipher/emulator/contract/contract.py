"""The bodies of requests and responses, as models. Each field has its source (`x-dcipher-source`).

`observed` is the behavior of the published client, `specified` a requirement of the SDK, and
`assumed` a choice where nothing is known.
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
    """A JSON body: it is dumped by alias, and fields that are None are left out."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    def to_json(self) -> bytes:
        """Returns the bytes to send."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


class StartRequest(_Body):
    """The body of a start."""

    params: dict[str, JsonValue] = Field(
        alias="pipelineParams",
        description="The parameters of the flow, by name. The author of the flow chooses the names.",
        json_schema_extra=OBSERVED,
    )


class StartResponse(_Body):
    """A started run, with the signed URL of its result, or of several."""

    task_id: str = Field(
        alias="taskId", description="The id of the run.", json_schema_extra=OBSERVED
    )
    url: str | SkipJsonSchema[None] = Field(
        default=None,
        alias="signedResponseURL",
        description="The signed URL of the result: a secret that expires. No later response repeats it.",
        json_schema_extra={**OBSERVED, "format": "uri"},
    )
    urls: list[str] | SkipJsonSchema[None] = Field(
        default=None,
        alias="signedResponseURLs",
        description="The signed URLs, in order, if the flow has several results. It replaces signedResponseURL.",
        json_schema_extra=OBSERVED,
    )


class StatusResponse(_Body):
    """The status of a run."""

    status: str = Field(
        description=(
            "PENDING, QUEUED, RUNNING, CANCELLING, CANCELLED, CANCELFAILED, SUCCEEDED, FAILED, or "
            "free text before the run is a task. Free text and unknown words do not mean that the "
            "run has ended."
        ),
        json_schema_extra={**OBSERVED, "examples": ["RUNNING", "SUCCEEDED", "setting up cluster"]},
    )
    message: str | SkipJsonSchema[None] = Field(
        default=None, description="Why the run failed, or its progress.", json_schema_extra=OBSERVED
    )


class FlowParam(_Body):
    """A parameter of a flow."""

    name: str = Field(description="The name in pipelineParams.", json_schema_extra=ASSUMED)
    type: str | SkipJsonSchema[None] = Field(
        default=None,
        description="The JSON Schema type of its values, such as string, integer or array.",
        json_schema_extra=ASSUMED,
    )
    required: bool | SkipJsonSchema[None] = Field(
        default=None,
        description="Whether a start without it is rejected.",
        json_schema_extra=ASSUMED,
    )
    default: JsonValue = Field(
        default=None,
        description="The value that is used if none is sent.",
        json_schema_extra=ASSUMED,
    )
    description: str | SkipJsonSchema[None] = Field(
        default=None, description="A description for people.", json_schema_extra=ASSUMED
    )


class FlowResponse(_Body):
    """A flow and its parameters."""

    id: str = Field(description="The id of the flow.", json_schema_extra=ASSUMED)
    name: str | SkipJsonSchema[None] = Field(
        default=None, description="A short title.", json_schema_extra=ASSUMED
    )
    description: str | SkipJsonSchema[None] = Field(
        default=None, description="A description for people.", json_schema_extra=ASSUMED
    )
    params: list[FlowParam] | SkipJsonSchema[None] = Field(
        default=None, description="The parameters, in order.", json_schema_extra=ASSUMED
    )


class FieldError(_Body):
    """A problem with one value of a request."""

    loc: list[str | int] = Field(
        description='The path to the value, such as ["body", "pipelineParams", "top"].',
        json_schema_extra=ASSUMED,
    )
    msg: str = Field(description="What is wrong, for people.", json_schema_extra=ASSUMED)
    type: str = Field(description="What is wrong, for programs.", json_schema_extra=ASSUMED)


class ErrorResponse(_Body):
    """The reason for an error status."""

    message: str = Field(description="What is wrong, for people.", json_schema_extra=OBSERVED)
    detail: list[FieldError] | SkipJsonSchema[None] = Field(
        default=None, description="With 422: each invalid value.", json_schema_extra=ASSUMED
    )
