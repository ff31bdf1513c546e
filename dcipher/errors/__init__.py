"""Every error that this package raises.

```
DcipherError
├── ConfigurationError (ValueError)        nothing was sent
│   └── MissingAPIKeyError
├── InvalidParamsError (ValueError)        nothing was sent
├── APIError                               .request .attempts .request_id
│   ├── APIConnectionError                 no response
│   │   ├── APITimeoutError (TimeoutError)
│   │   └── TLSError                       certificate or handshake
│   ├── APIStatusError                     .status_code .error .body
│   │   ├── BadRequestError 400
│   │   ├── AuthenticationError 401
│   │   ├── PermissionDeniedError 403
│   │   ├── NotFoundError 404
│   │   ├── ConflictError 409
│   │   ├── UnprocessableEntityError 422
│   │   ├── RateLimitError 429             .retry_after
│   │   ├── InternalServerError 500+
│   │   └── UnexpectedStatus               not in the OpenAPI document
│   ├── InvalidResponseError               unexpected 2xx body
│   └── SubmissionUnknownError             .flow_id .idempotency_key
├── RunError                               .run
│   ├── RunFailedError
│   ├── RunCancelledError
│   ├── WaitTimeoutError (TimeoutError)    the run continues
│   └── PollingInterruptedError            the run may continue
├── ResultError                            .run .output_index
│   ├── ResultExpiredError
│   ├── ResultChangedError
│   ├── IntegrityError
│   ├── ResultParseError                   .location .errors
│   │   └── TooManyInvalidRowsError        .rejects
│   └── LocalStorageError (OSError)
└── BatchError                             .report
    ├── TooManyFailuresError               more than max_failures
    └── JournalError                       the journal is unusable
        ├── JournalConflictError
        └── JournalBusyError
```

In brackets: the built-in class that the error also inherits from. Every error can be pickled. None
contains an API key, a secret or a signed URL.
"""

from __future__ import annotations

from ._api import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestInfo,
    SubmissionUnknownError,
    TLSError,
    UnexpectedStatus,
    UnprocessableEntityError,
    status_error_class,
)
from ._base import (
    ConfigurationError,
    DcipherError,
    InvalidParamsError,
    MissingAPIKeyError,
    _restore,
)
from ._batches import (
    BatchError,
    JournalBusyError,
    JournalConflictError,
    JournalError,
    TooManyFailuresError,
)
from ._hints import Hint
from ._results import (
    IntegrityError,
    LocalStorageError,
    ResultChangedError,
    ResultError,
    ResultExpiredError,
    ResultParseError,
    TooManyInvalidRowsError,
)
from ._runs import (
    PollingInterruptedError,
    RunCancelledError,
    RunError,
    RunFailedError,
    WaitTimeoutError,
)

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "BatchError",
    "ConfigurationError",
    "ConflictError",
    "DcipherError",
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
    "PermissionDeniedError",
    "PollingInterruptedError",
    "RateLimitError",
    "RequestInfo",
    "ResultChangedError",
    "ResultError",
    "ResultExpiredError",
    "ResultParseError",
    "RunCancelledError",
    "RunError",
    "RunFailedError",
    "SubmissionUnknownError",
    "TLSError",
    "TooManyFailuresError",
    "TooManyInvalidRowsError",
    "UnexpectedStatus",
    "UnprocessableEntityError",
    "WaitTimeoutError",
    "status_error_class",
]

# Their public names, in tracebacks, documentation and pickles, also in those of earlier versions.
for _public in (*(globals()[_name] for _name in __all__), Hint, _restore):
    _public.__module__ = __name__
