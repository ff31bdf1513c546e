"""Python SDK for the Dcipher Workflows API.

It starts a run of a flow, waits for it, and returns its result, typed and validated.

```python
from dcipher import Dcipher

with Dcipher() as client:  # DCIPHER_API_KEY
    run = client.flows.run("65cf2f3e", {"text": "…"}, save_path="output.json")
```

PYTEST_DONT_REWRITE
"""

# The last line of the docstring: pytest rewrites the asserts of every package that has a plugin, and
# warns if it was imported before (docs.pytest.org, "Assertion rewriting"). This file has no asserts.

from __future__ import annotations

from importlib import import_module

from ._version import __version__

# The modules of 0.3.5, such as `dcipher.client`: their names raise errors with the replacements.
__path__.append(f"{__path__[0]}/_legacy/modules")

# Type checkers know it by its name; `typing` would be most of what this import costs.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from dcipher._batch.batch import Batch
    from dcipher._batch.batch_async import AsyncBatch
    from dcipher._batch.partition import Partition
    from dcipher._batch.reports.outcomes import Outcome
    from dcipher._batch.reports.progress import BatchProgress
    from dcipher._batch.reports.report import BatchReport
    from dcipher._client.client import Dcipher
    from dcipher._client.client_async import AsyncDcipher
    from dcipher._flow_types.drift import FlowDrift
    from dcipher._results.records import Records
    from dcipher._results.records_async import AsyncRecords
    from dcipher._results.saved_files import FileRecords, read_file, records_file, table_file

    from .calls import FlowCall
    from .errors import (
        APIConnectionError,
        APIError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        BatchError,
        ConfigurationError,
        ConflictError,
        DcipherError,
        IntegrityError,
        InternalServerError,
        InvalidParamsError,
        InvalidResponseError,
        JournalBusyError,
        JournalConflictError,
        JournalError,
        LocalStorageError,
        MissingAPIKeyError,
        NotFoundError,
        PermissionDeniedError,
        PollingInterruptedError,
        RateLimitError,
        ResultChangedError,
        ResultError,
        ResultExpiredError,
        ResultParseError,
        RunCancelledError,
        RunError,
        RunFailedError,
        SubmissionUnknownError,
        TLSError,
        TooManyFailuresError,
        TooManyInvalidRowsError,
        UnexpectedStatus,
        UnprocessableEntityError,
        WaitTimeoutError,
    )
    from .http import HTTPAuthenticatedClient, HTTPClient
    from .models import ErrorResponse, FieldError, Flow, FlowParam, Output, Run, RunStatus
    from .rejects import Reject, Rejects
    from .resilience import Resilience
    from .settings import Settings
    from .tables import Table

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncBatch",
    "AsyncDcipher",
    "AsyncRecords",
    "AuthenticationError",
    "BadRequestError",
    "Batch",
    "BatchError",
    "BatchProgress",
    "BatchReport",
    "ConfigurationError",
    "ConflictError",
    "Dcipher",
    "DcipherError",
    "ErrorResponse",
    "FieldError",
    "FileRecords",
    "Flow",
    "FlowCall",
    "FlowDrift",
    "FlowParam",
    "HTTPAuthenticatedClient",
    "HTTPClient",
    "IntegrityError",
    "InternalServerError",
    "InvalidParamsError",
    "InvalidResponseError",
    "JournalBusyError",
    "JournalConflictError",
    "JournalError",
    "LocalStorageError",
    "MissingAPIKeyError",
    "NotFoundError",
    "Outcome",
    "Output",
    "Partition",
    "PermissionDeniedError",
    "PollingInterruptedError",
    "RateLimitError",
    "Records",
    "Reject",
    "Rejects",
    "Resilience",
    "ResultChangedError",
    "ResultError",
    "ResultExpiredError",
    "ResultParseError",
    "Run",
    "RunCancelledError",
    "RunError",
    "RunFailedError",
    "RunStatus",
    "Settings",
    "SubmissionUnknownError",
    "TLSError",
    "Table",
    "TooManyFailuresError",
    "TooManyInvalidRowsError",
    "UnexpectedStatus",
    "UnprocessableEntityError",
    "WaitTimeoutError",
    "__version__",
    "read_file",
    "records_file",
    "table_file",
]

_MODULES = {
    "AsyncBatch": "._batch.batch_async",
    "AsyncDcipher": "._client.client_async",
    "AsyncRecords": "._results.records_async",
    "Batch": "._batch.batch",
    "BatchProgress": "._batch.reports.progress",
    "BatchReport": "._batch.reports.report",
    "Dcipher": "._client.client",
    "FlowCall": ".calls",
    "FlowDrift": "._flow_types.drift",
    "HTTPAuthenticatedClient": ".http",
    "HTTPClient": ".http",
    "Outcome": "._batch.reports.outcomes",
    "Partition": "._batch.partition",
    "FileRecords": "._results.saved_files",
    "Records": "._results.records",
    "read_file": "._results.saved_files",
    "records_file": "._results.saved_files",
    "table_file": "._results.saved_files",
    "Reject": ".rejects",
    "Rejects": ".rejects",
    "Resilience": ".resilience",
    "Settings": ".settings",
    "Table": ".tables",
    **dict.fromkeys(
        ("ErrorResponse", "FieldError", "Flow", "FlowParam", "Output", "Run", "RunStatus"),
        ".models",
    ),
}
"""The module of each name; the other names are errors."""


_SUBMODULES = (
    "calls",
    "emulator",
    "errors",
    "http",
    "logs",
    "models",
    "rejects",
    "resilience",
    "settings",
    "signing",
    "tables",
)
"""Public modules, which are imported at their first use as attributes."""
_FORMER = ("async_client", "client", "constants", "exceptions", "logger")
"""The modules of 0.3.5, in `_legacy/modules`: each of their names is an error with its replacement."""


def __getattr__(name: str) -> object:
    # PEP 562: importing the package imports neither httpx nor pydantic; using a name of it does.
    if name in _SUBMODULES or name in _FORMER:
        return import_module(f".{name}", __name__)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULES.get(name, ".errors"), __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
