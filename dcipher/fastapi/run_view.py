"""`RunView`: what an application may publish of a run."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, field_validator

from dcipher._masking.text import clean
from dcipher._masking.urls import redact_urls
from dcipher.models import RunStatus

__all__ = ["RunView"]


class RunView(BaseModel):
    """What may be published of a run: its ids, status, message and times.

    It has no idempotency key, no files and no URLs. As a `response_model`, it accepts the `Run` that
    the route returns; elsewhere, `RunView.model_validate(run)` makes one. In the texts of the
    service, the query of a URL is redacted.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, from_attributes=True, hide_input_in_errors=True
    )

    flow_id: str
    """The id of the flow."""
    task_id: str
    """The id of the run."""
    status: RunStatus | str
    """A `RunStatus`, or free text of the service, such as `setting up cluster`."""
    message: str | None = None
    """The message of the service, at most 200 characters. For a failed run, the reason."""
    created_at: datetime | None = None
    """When the run was started, if known (UTC)."""
    finished_at: datetime | None = None
    """When the end of the run was reported (UTC)."""

    @field_validator("status", "message")
    @classmethod
    def _published(cls, value: RunStatus | str | None) -> RunStatus | str | None:
        if value is None or isinstance(value, RunStatus):
            return value
        return clean(redact_urls(value))
