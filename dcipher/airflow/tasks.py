"""What a task decides and reports: client, idempotency key, external id, failures, XCom. Without Airflow."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dcipher
from dcipher._wire.retries import Outcome, failure_of
from dcipher.errors import (
    APIError,
    ConfigurationError,
    DcipherError,
    InvalidParamsError,
    MissingAPIKeyError,
    NotFoundError,
    ResultExpiredError,
    ResultParseError,
    RunCancelledError,
    RunFailedError,
)
from dcipher.errors._hints import with_hint
from dcipher.resilience import Resilience

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = [
    "client_options",
    "explained",
    "external_id",
    "idempotency_key",
    "is_over",
    "is_retryable",
    "named_run",
    "report",
]


def client_options(connection: Any, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a client: the key is the password, the base URL the host or in `extra`.

    Raises `MissingAPIKeyError` if there is no password: the key of the environment is not meant for
    the host of the connection.
    """
    from pydantic import SecretStr

    if not connection.password:
        error = MissingAPIKeyError(f"The connection {connection.conn_id!r} has no API key.")
        raise with_hint(error, "Set its password to the API key.")
    options: dict[str, Any] = {"api_key": SecretStr(connection.password)}
    if host := connection.host:
        url = urlsplit(host if "://" in host else f"{connection.schema or 'https'}://{host}")
        if connection.port is not None and url.port is None:
            url = url._replace(netloc=f"{url.netloc}:{connection.port}")
        options["base_url"] = url.geturl()
    elif extra.get("base_url"):
        options["base_url"] = extra["base_url"]
    if secret := extra.get("api_secret"):
        options["api_secret"] = SecretStr(secret)
    return options


def idempotency_key(
    parts: Sequence[str | int], *, base: str | None = None, replaced: str | None = None
) -> str:
    """Returns the key of a start: the same for every try of a task.

    Args:
        parts: The ids of the dag, its run and the task, and the map index; not the number of the try.
        base: The key that the author of the dag chose instead.
        replaced: The id of the run that failed, in whose place a new one is started.
    """
    # A digest: an id may have blanks and other characters, and be long. JSON keeps the parts apart.
    key = base or "airflow-" + hashlib.sha256(json.dumps([*parts]).encode()).hexdigest()[:40]
    return f"{key}-after-{replaced}" if replaced else key


def external_id(run: dcipher.Run) -> dict[str, str]:
    """Returns what Airflow keeps of a run: its ids. It logs them, so that they have no URL."""
    return {
        "flow_id": run.flow_id,
        "task_id": run.task_id,
        "idempotency_key": run.idempotency_key or "",
    }


def named_run(stored: Mapping[str, Any], *, created_at: str | None = None) -> dcipher.Run:
    """Returns the run of an external id."""
    names = ("flow_id", "task_id", "idempotency_key")
    return dcipher.Run.model_validate(
        {**{name: stored[name] for name in names}, "created_at": created_at}
    )


def is_over(error: DcipherError) -> bool:
    """Whether the run of the error cannot produce its result any more: only a new one can."""
    kinds = (RunFailedError, RunCancelledError, ResultExpiredError, NotFoundError)
    return isinstance(error, kinds)


def is_retryable(error: DcipherError, *, retry_failed: bool) -> bool:
    """Whether another try of the task may succeed."""
    if isinstance(error, (RunFailedError, RunCancelledError, ResultExpiredError)):
        return retry_failed
    if isinstance(error, APIError):
        return failure_of(error, Resilience()).outcome is not Outcome.PERMANENT
    return not isinstance(error, (ConfigurationError, InvalidParamsError))


def explained(error: DcipherError, connection: str) -> str:
    """Returns the text of an error. The key is one of a connection, not of the environment."""
    return str(error).replace(
        "DCIPHER_API_KEY or api_key=…", f"the password of the connection {connection!r}"
    )


def report(run: dcipher.Run, files: Sequence[Path] = ()) -> dict[str, Any]:
    """Returns the value for XCom: ids; of saved results path, size and digest, and the number of rows."""
    value: dict[str, Any] = {
        "flow_id": run.flow_id,
        "task_id": run.task_id,
        "status": str(run.status),
    }
    if files:
        value["files"] = [
            {"path": str(file), "bytes": file.stat().st_size, "sha256": _sha256(file)}
            for file in files
        ]
        value["rows"] = _rows(files)
    return value


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while data := stream.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


def _rows(files: Sequence[Path]) -> int | None:
    """Returns the number of rows; `None` if the results are no rows."""
    total = 0
    for file in files:
        try:
            with dcipher.records_file(file) as rows:
                total += sum(1 for _ in rows)
        except (ResultParseError, ImportError):  # Parquet needs an extra
            return None
    return total
