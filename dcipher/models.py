"""What the API says, as frozen Pydantic models.

They keep fields that they do not know, know nothing of a client, and go through JSON whole: a `Run`
that is stored today is waited for by another process tomorrow. A signed URL is a secret: it is
masked wherever it is shown and left out wherever it is written, unless `Run.to_json(reveal=True)`
is asked for.
"""

from __future__ import annotations

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

from ._former import former_item

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
    """The words that the service uses for the state of a run (observed)."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    CANCELFAILED = "CANCELFAILED"
    """A cancellation was refused.

    The published client treats it as a failure, and so does this one.
    """
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    def __str__(self) -> str:
        return self.value

    @property
    def is_terminal(self) -> bool:
        """Whether a run in this state has ended."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.CANCELFAILED}
)


class SecretURL(SecretStr):
    """A URL that lets whoever has it read a result: masked in `repr` and `str`.

    `get_secret_value()` gives it in the clear. A pickle does not hold it: it comes back as `None`.
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
    """What a pickled `SecretURL` comes back as."""


class _Revealing:
    """The context of a serialisation that writes signed URLs in the clear."""


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
    """A time without a zone is taken for UTC: other ones could not be compared with it."""
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=timezone.utc)


class FlowParam(_Model):
    """One parameter of a flow, named by the flow's author."""

    name: str
    """The key in `params`."""
    type: str | None = None
    """The service's own word for the kind of value."""
    required: bool | None = None
    default: Any = None
    description: str | None = None


class Flow(_Model):
    """A flow: what can be run."""

    id: str
    name: str | None = None
    description: str | None = None
    params: tuple[FlowParam, ...] = ()

    @field_validator("id", mode="before")
    @classmethod
    def _number_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("params", mode="before")
    @classmethod
    def _null_as_none_at_all(cls, value: object) -> object:
        return () if value is None else value


class Output(_Model):
    """One result file of a run."""

    url: SecretURL | None = None
    """The signed URL.

    It comes only with the answer to the start; `None` after the run went through JSON, unless
    revealed.
    """
    expires_at: datetime | None = None
    """When the URL stops working, where the URL itself says so (S3, Google and Azure spell it out).

    Else `None`.
    """

    @field_validator("expires_at")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return _aware(value)

    @field_serializer("url")
    def _left_out(self, url: SecretURL | None, info: SerializationInfo) -> str | None:
        reveal = isinstance(info.context, _Revealing)
        return url.get_secret_value() if url is not None and reveal else None


class Run(_Model):
    """One execution of a flow, as last seen.

    `Run(flow_id=…, task_id=…)` is enough to look at it, or to wait for it, from anywhere.
    """

    flow_id: str
    task_id: str
    status: RunStatus | str = RunStatus.PENDING
    """A `RunStatus`, or the service's own words where it says something else (such as `setting up cluster`)."""
    message: str | None = None
    """What the service says of the status: for a failed run, why."""
    outputs: tuple[Output, ...] = ()
    """Where the results are (or will be). In the order of the service."""
    idempotency_key: str | None = None
    """What was sent as `Idempotency-Key`: starting again with it does not start a second run.

    It gives this one again, with its URLs as they were issued and its end: after a failure, or where
    the URLs have expired, another run needs another key.
    """
    created_at: datetime | None = None
    """When the start was answered, by this machine's clock (UTC)."""
    finished_at: datetime | None = None
    """When this machine learned of the end, by its own clock (UTC).

    The run ended earlier, sometime after the last look that saw it go on, if there was one: the
    service gives no time of its own.
    """
    files: tuple[Path, ...] = ()
    """Where the results were saved, by `flows.run(save_path=…)`."""

    @field_validator("created_at", "finished_at")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return _aware(value)

    @field_serializer("files", when_used="json")
    def _as_text(self, files: tuple[Path, ...]) -> list[str]:
        # A name that is not UTF-8 cannot be written; what can be shown of it is.
        return [str(file).encode("utf-8", "backslashreplace").decode() for file in files]

    @field_validator("status", mode="before")
    @classmethod
    def _normal(cls, value: object) -> object:
        return normal_status(value) if isinstance(value, str) else value

    if not TYPE_CHECKING:

        def __getitem__(self, key: object) -> Any:
            raise former_item(key)

        def __contains__(self, key: object) -> bool:
            # Python would look among the pairs that a model iterates over, and find no key.
            raise former_item(key)

        def get(self, key: object, default: object = None) -> Any:
            """Raises TypeError, which says what to write instead: a run was a dictionary."""
            raise former_item(key)

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended: SUCCEEDED, FAILED, CANCELLED or CANCELFAILED.

        Unknown words are not terminal.
        """
        return isinstance(self.status, RunStatus) and self.status.is_terminal

    @property
    def succeeded(self) -> bool:
        """Whether the run has ended well."""
        return self.status is RunStatus.SUCCEEDED

    def to_json(self, *, reveal: bool = False) -> str:
        """This run as JSON.

        With `reveal=True` the signed URLs stand in it in the clear: whoever reads the text can read
        the results until the URLs expire. It is what one stores to download later.
        """
        return self.model_dump_json(context=_Revealing() if reveal else None)

    @classmethod
    def from_json(cls, text: str | bytes | bytearray) -> Self:
        """The run that `to_json` wrote. Raises `pydantic.ValidationError` for anything else."""
        return cls.model_validate_json(text)


def normal_status(text: str) -> RunStatus | str:
    """The `RunStatus` that `text` means, in any case and with blanks around it.

    Else the text, without the blanks.
    """
    words = text.strip()
    try:
        return RunStatus(words.upper())
    except ValueError:
        return words


class FieldError(_Model):
    """One thing that is wrong with one field of a request."""

    loc: tuple[str | int, ...] = ()
    """Where, from the outside in: `("body", "pipelineParams", "top")`."""
    message: str = ""
    type: str | None = None
    """The service's own word for the kind of mistake."""

    def __str__(self) -> str:
        where = ".".join(str(part) for part in self.loc)
        return f"{where}: {self.message}" if where else self.message


class ErrorResponse(_Model):
    """The body of an error answer, whichever of the usual shapes it has.

    Dcipher's own `message`, RFC 9457 (`title`, `detail`, `type`, `instance`) and FastAPI's
    `detail`; other fields are kept.
    """

    message: str | None = None
    """What went wrong, in one text."""
    title: str | None = None
    type: str | None = None
    instance: str | None = None
    field_errors: tuple[FieldError, ...] = Field(default=())
    """What is wrong with which field, where the service says so."""
