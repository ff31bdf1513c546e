"""The objects of the API, as frozen Pydantic models.

They keep unknown fields, have no reference to a client, and can be stored as JSON: another process
can wait for a `Run` that was stored. A signed URL is a secret. It is redacted in a `repr`, and left
out of JSON, except by `Run.to_json(reveal=True)`.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    SerializationInfo,
    field_serializer,
    field_validator,
)
from typing_extensions import Self

from dcipher._legacy.replacements import legacy_item, legacy_run_attribute

from ._masking.text import clean

__all__ = [
    "ErrorResponse",
    "FieldError",
    "Flow",
    "FlowParam",
    "Output",
    "Run",
    "RunStatus",
    "SecretURL",
]


class RunStatus(str, Enum):
    """The status of a run, as the service reports it (observed)."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    CANCELFAILED = "CANCELFAILED"
    """A cancellation was refused. It counts as a failure, as in dcipher 0.3.5."""
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    def __str__(self) -> str:
        return self.value

    @property
    def is_terminal(self) -> bool:
        """Whether a run with this status has ended."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.CANCELFAILED}
)


# https://www.w3.org/TR/trace-context/#traceparent-header: an id of zeros is invalid.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")


class SecretURL(SecretStr):
    """A signed URL. Anyone who has it can read the result, so `repr` and `str` redact it.

    `get_secret_value()` returns it in plain text. A pickle does not contain it: it is restored as
    `None`.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return (_withheld, ())

    # A copy in the same process may keep it; without these two, copying would go through
    # __reduce__.
    def __copy__(self) -> SecretURL:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> SecretURL:
        return self


def _withheld() -> None:
    """Returns `None`, as which a pickled `SecretURL` is restored."""


class _Revealing:
    """The context of a serialization that writes signed URLs in plain text."""


class _Model(BaseModel):
    # defer_build: the validators are built at the first use, not when the module is imported.
    # hide_input_in_errors: a value that does not fit may be a signed URL.
    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="allow",
        defer_build=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )


def _aware(moment: datetime | None) -> datetime | None:
    """Returns a time with a zone, UTC by default: times with and without one cannot be compared."""
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=timezone.utc)


class FlowParam(_Model):
    """A parameter of a flow. The author of the flow chooses its name."""

    name: str
    """The key in `params`."""
    type: str | None = None
    """The type of the value, in the words of the service."""
    required: bool | None = None
    """Whether a start without it is rejected."""
    default: Any = None
    """The value that the service uses if none is sent."""
    description: str | None = None
    """A description."""


class Flow(_Model):
    """A flow: a pipeline of the service that can be run."""

    id: str
    """The id, for the argument `flow_id` of calls."""
    name: str | None = None
    """A short title."""
    description: str | None = None
    """A description."""
    params: tuple[FlowParam, ...] = ()
    """The parameters, in the order of the service."""

    def _repr_html_(self) -> str:
        from dcipher._html.cards import flow_card

        return flow_card(self)

    @field_validator("id", mode="before")
    @classmethod
    def _number_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("params", mode="before")
    @classmethod
    def _null_as_none_at_all(cls, value: object) -> object:
        return () if value is None else value


class Output(_Model):
    """A result of a run: one file."""

    url: SecretURL | None = None
    """The signed URL. Only the response to the start contains it.

    `None` in a run of `runs.get`, or of JSON without the URLs.
    """
    expires_at: datetime | None = None
    """When the URL expires. `None` if the URL does not contain it; those of S3, Google and Azure do."""

    @field_validator("expires_at")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return _aware(value)

    @field_serializer("url")
    def _left_out(self, url: SecretURL | None, info: SerializationInfo) -> str | None:
        reveal = isinstance(info.context, _Revealing)
        return url.get_secret_value() if url is not None and reveal else None


class Run(_Model):
    """A run of a flow, as last reported by the service.

    `Run(flow_id=…, task_id=…)` is enough to fetch its status or to wait for it, from any process.
    """

    flow_id: str
    """The id of the flow."""
    task_id: str
    """The id of the run."""
    status: RunStatus | str = RunStatus.PENDING
    """A `RunStatus`, or free text of the service, such as `setting up cluster`."""
    message: str | None = None
    """The message of the service. For a failed run, the reason."""
    outputs: tuple[Output, ...] = ()
    """The results, in the order of the service. Their URLs are known before the results exist."""
    idempotency_key: str | None = None
    """The `Idempotency-Key` of the start. A start with the same key returns this run.

    This holds even if the run has failed or its URLs have expired. For a new run, use a new key.
    """
    created_at: datetime | None = None
    """When the response to the start was received, by the clock of this machine (UTC)."""
    finished_at: datetime | None = None
    """When the end of the run was reported, by the clock of this machine (UTC).

    The run ended between the previous poll and this time. The service does not send a time.
    """
    files: tuple[Path, ...] = ()
    """The files to which `flows.run(save_path=…)` saved the results."""
    traceparent: str | None = None
    """The OpenTelemetry span of the start (W3C Trace Context), to which later spans of the run are linked.

    `None` without OpenTelemetry. A malformed one becomes `None`, too, so that the run can still be read.
    """

    @field_validator("created_at", "finished_at")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return _aware(value)

    @field_validator("traceparent", mode="before")
    @classmethod
    def _valid(cls, value: object) -> object:
        return value if isinstance(value, str) and _TRACEPARENT.match(value) else None

    @field_serializer("files", when_used="json")
    def _as_text(self, files: tuple[Path, ...]) -> list[str]:
        # JSON cannot contain a name that is not UTF-8: its other bytes are escaped.
        return [str(file).encode("utf-8", "backslashreplace").decode() for file in files]

    @field_validator("status", mode="before")
    @classmethod
    def _normal(cls, value: object) -> object:
        return normal_status(value) if isinstance(value, str) else value

    if not TYPE_CHECKING:

        def __getitem__(self, key: object) -> Any:
            raise legacy_item(key)

        def __contains__(self, key: object) -> bool:
            # Python would look among the pairs that a model iterates over, and find no key.
            raise legacy_item(key)

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                raise legacy_run_attribute(self, name) from None

        def get(self, key: object, default: object = None) -> Any:
            """Raises TypeError, which names the replacement: in 0.3.5, a run was a dictionary."""
            raise legacy_item(key)

    def __repr__(self) -> str:
        # On one line. `str` has every field; what is secret is redacted there, too.
        count = len(self.outputs)
        results = f", {count} result{'s' if count > 1 else ''}" if count else ""
        return f"<Run {clean(self.task_id)} of flow {clean(self.flow_id)}: {clean(str(self.status))}{results}>"

    def _repr_html_(self) -> str:
        from dcipher._html.cards import run_card

        return run_card(self)

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended: SUCCEEDED, FAILED, CANCELLED or CANCELFAILED.

        A status that is not a `RunStatus` is not terminal.
        """
        return isinstance(self.status, RunStatus) and self.status.is_terminal

    @property
    def succeeded(self) -> bool:
        """Whether the status is SUCCEEDED."""
        return self.status is RunStatus.SUCCEEDED

    def to_json(self, *, reveal: bool = False) -> str:
        """Returns this run as JSON, for `from_json`.

        Args:
            reveal: Include the signed URLs in plain text, to download the results later. Anyone who
                reads the text can then read the results until the URLs expire.
        """
        return self.model_dump_json(context=_Revealing() if reveal else None)

    @classmethod
    def from_json(cls, text: str | bytes | bytearray) -> Self:
        """Returns the run that `to_json` wrote.

        Raises:
            pydantic.ValidationError: The text is not a run.
        """
        return cls.model_validate_json(text)


def normal_status(text: str) -> RunStatus | str:
    """Returns the `RunStatus` for `text`, ignoring case and surrounding blanks.

    If there is none, returns the text without the blanks.
    """
    words = text.strip()
    try:
        return RunStatus(words.upper())
    except ValueError:
        return words


class FieldError(_Model):
    """A problem with one field of a request."""

    loc: tuple[str | int, ...] = ()
    """The path to the field, such as `("body", "pipelineParams", "top")`."""
    message: str = ""
    """What is wrong."""
    type: str | None = None
    """The kind of error, in the words of the service."""

    def __str__(self) -> str:
        where = ".".join(str(part) for part in self.loc)
        return f"{where}: {self.message}" if where else self.message


class ErrorResponse(_Model):
    """The body of an error response.

    It is parsed from Dcipher's own form (`message`), RFC 9457 (`title`, `detail`, `type`,
    `instance`), or FastAPI's form (`detail`). Other fields are kept.
    """

    message: str | None = None
    """What went wrong."""
    title: str | None = None
    """A short summary of the kind of problem (RFC 9457)."""
    type: str | None = None
    """A URI that identifies the kind of problem (RFC 9457)."""
    instance: str | None = None
    """A URI that identifies this occurrence of the problem (RFC 9457)."""
    field_errors: tuple[FieldError, ...] = Field(default=())
    """The problems with single fields, if the service reports them."""
