"""What happens when…: each fault in a user's words, the behaviour of dcipher, and the tests that verify it.

A fault that is in the table of instructions (`instructions.py`) only names them: the table says what they mean for each
operation. Any other case has a description, and names the tests that verify it. `scripts/what_happens.py` prints all of
it. The file is long because it is one table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["SECTIONS", "Case", "Fault", "Section"]


@dataclass(frozen=True)
class Fault:
    """A fault on the wire. The table of instructions says what it means."""

    happens: str
    covers: tuple[str, ...]
    """The names of instructions that all mean the same."""


@dataclass(frozen=True)
class Case:
    """Any other case."""

    happens: str
    does: str
    """What dcipher does, and the result for the user."""
    then: str = ""
    """What the user can do."""
    tests: tuple[str, ...] = ()
    """One to three test ids. Each test would fail if the description were wrong."""


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    title: str
    faults: tuple[Fault, ...] = ()
    cases: tuple[Case, ...] = ()


_CONNECTING = Section(
    "Connecting",
    cases=(
        Case(
            "The name of the host does not resolve, or the connection is refused",
            "Retried, a start too, because nothing was sent. A refused connection on this machine"
            " is retried once. Then `APIConnectionError`, with the host, the source of the base "
            "URL, and the cause",
            "Check the base URL and the network",
            tests=(
                "tests/wire/transport/test_retrying.py::test_a_name_that_does_not_resolve",
                "tests/wire/transport/test_retrying.py::test_a_refused_connection_is_tried_again",
                "tests/faults/test_connecting.py::test_a_failed_connection",
            ),
        ),
        Case(
            "The process has too many open files",
            "Retried, a start too, because nothing was sent. Idle connections are closed. Then "
            "`APIConnectionError`, with this cause",
            "Run fewer calls at once, or raise `ulimit -n`",
            tests=(
                "tests/client/test_processes.py::test_too_many_open_files",
                "tests/wire/errors/test_connection_errors.py::test_too_many_files_are_said",
            ),
        ),
        Case(
            "There is no reply while connecting, as behind a firewall",
            "The attempt ends after `timeout`, or after 10 s if that is shorter. Retried, a start"
            " too, then `APITimeoutError`",
            tests=(
                "tests/wire/transport/test_connecting.py::test_a_black_hole",
                "tests/wire/transport/test_connecting.py::test_a_short_timeout_and_a_black_hole",
                "tests/faults/test_connecting.py::test_connecting_has_its_own_timeout",
            ),
        ),
        Case(
            "The TLS handshake is cut off, or gets no reply",
            "Retried, then `APIConnectionError` or `APITimeoutError`",
            tests=("tests/wire/transport/test_connecting.py::test_a_handshake_that_fails",),
        ),
        Case(
            "The certificate is expired, for another host, or from an unknown authority",
            "`TLSError` after one attempt; no request was sent",
            "Check the host. Set `SSL_CERT_FILE` to the certificate of your authority",
            tests=(
                "tests/wire/transport/test_connecting.py::test_a_certificate_that_does_not_fit",
                "tests/client/test_construction.py::test_an_untrusted_certificate",
            ),
        ),
        Case(
            "The server requires a client certificate, or another one",
            "`TLSError` after one attempt, with this cause; nothing was read",
            "Load one into an SSL context, and pass it as `verify_ssl` of an `HTTPAuthenticatedClient`",
            tests=(
                "tests/wire/transport/test_connecting.py::test_a_server_that_wants_a_certificate",
                "tests/wire/transport/test_connecting.py::test_a_store_that_wants_a_certificate",
            ),
        ),
        Case(
            "The scheme or port of the base URL is wrong",
            "`https` to a port of plain `http`: `TLSError` after one attempt. `http` to a port of"
            " `https`: retried, then `APIConnectionError`",
            "Check both",
            tests=(
                "tests/wire/transport/test_connecting.py::test_a_handshake_that_fails",
                "tests/wire/transport/test_connecting.py::test_plain_http_to_a_tls_port",
            ),
        ),
        Case(
            "The proxy is unreachable, or refuses to connect",
            "Retried, a start too, because nothing was sent. Then `APIConnectionError`, which "
            "names the proxy without its password, or `APITimeoutError`",
            "Check the proxy variables",
            tests=(
                "tests/wire/transport/test_connecting.py::test_a_proxy_that_refuses",
                "tests/wire/transport/test_connecting.py::test_a_proxy_that_does_not_connect",
                "tests/wire/transport/test_connecting.py::test_a_proxy_that_rejects_the_tunnel",
            ),
        ),
        Case(
            "`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` or `NO_PROXY` is invalid, or needs a "
            "library that is not installed",
            "`ConfigurationError`, which names the variable, when the client is created. If only "
            "the store of a result needs that proxy, when the result is fetched. A variable that "
            "no request needs is ignored; an empty one counts as missing",
            tests=(
                "tests/faults/test_connecting.py::test_a_proxy_variable_that_is_broken",
                "tests/faults/test_connecting.py::test_an_unused_proxy_variable",
                "tests/faults/test_connecting.py::test_a_result_with_an_invalid_proxy",
            ),
        ),
        Case(
            "The environment has a proxy, and the API is on this machine",
            "The proxy is not used for `localhost` and its subdomains, 127.0.0.0/8 and `::1`",
            tests=(
                "tests/client/test_regressions.py::test_no_proxy_for_this_machine",
                "tests/wire/transport/test_connecting.py::test_this_machine_by_any_name_has_no_proxy",
            ),
        ),
        Case(
            "`NO_PROXY` has addresses, blocks of addresses, or ports",
            "Obeyed, for the API and for the stores. An entry that cannot be a host is ignored, "
            "with its number in the log",
            tests=(
                "tests/wire/transport/test_connecting.py::test_no_proxy",
                "tests/wire/transport/test_proxy_choice.py::test_exemptions",
                "tests/wire/transport/test_proxy_choice.py::test_exemptions_of_a_port_or_a_scheme",
            ),
        ),
        Case(
            "The proxy is a SOCKS proxy: `socks5://`, `socks5h://` or `socks://`",
            "API and stores are reached through it, and it resolves their names. It can read "
            "neither the key nor a signed URL",
            tests=(
                "tests/wire/transport/test_socks.py::test_a_run_by_socks",
                "tests/wire/transport/test_socks.py::test_plain_http_by_socks",
                "tests/wire/transport/test_socks.py::test_this_machine_is_not_asked_of_a_socks_proxy",
            ),
        ),
        Case(
            "`SSL_CERT_FILE` or `SSL_CERT_DIR` has no certificates, or a client certificate "
            "cannot be loaded",
            "`ConfigurationError`, which names it; no request is sent",
            tests=(
                "tests/wire/transport/test_connecting.py::test_a_broken_certificate_variable",
                "tests/wire/transport/test_connecting.py::test_a_broken_client_certificate",
            ),
        ),
        Case(
            "All connections are in use (100 at most)",
            "The call waits for a free one, up to `timeout`. Then `APITimeoutError`, with the "
            "number of connections. Nothing was sent",
            tests=(
                "tests/client/test_concurrency.py::test_no_free_connection",
                "tests/client/test_concurrency.py::test_three_hundred_at_once",
                "tests/wire/transport/test_connecting.py::test_no_place_within_a_short_timeout",
            ),
        ),
        Case(
            "The server has closed an idle connection",
            "The connection is replaced; this does not count as a retry",
            tests=(
                "tests/wire/transport/test_retrying.py::test_an_idle_connection_that_the_server_closed",
            ),
        ),
    ),
)

_LOST = Section(
    "Lost responses",
    faults=(
        Fault(
            "The connection is closed or reset before the first byte of the response",
            (
                "closed before it was read",
                "reset before it was read",
                "closed after it was done",
                "reset after it was done",
            ),
        ),
        Fault(
            "The connection is lost within the response, or the body is shorter than its length",
            (
                "closed within the head",
                "reset within the head",
                "half a head",
                "closed within the body",
                "reset within the body",
                "one byte short",
                "short of its length",
                "short of its last chunk",
            ),
        ),
        Fault(
            "There is no response within `timeout`, or only the beginning of one",
            ("silent before the head", "silent within the body"),
        ),
        Fault("The response is not HTTP", ("no HTTP",)),
        Fault(
            "The connection is closed or reset just after a complete response",
            ("closed after the answer", "reset after the answer"),
        ),
        Fault("The response has more bytes than announced", ("more than was promised",)),
        Fault(
            "The response is late, but within `timeout`, or is sent in chunks",
            ("late", "in chunks"),
        ),
    ),
    cases=(
        Case(
            "The server sends a byte now and then, or reads the request slowly",
            "`timeout` limits the whole request: retried, then `APITimeoutError`",
            tests=(
                "tests/wire/transport/test_retrying.py::test_timeout_bounds_the_whole_request",
                "tests/wire/transport/test_retrying.py::test_a_timeout_of_parts_bounds_the_whole_request",
                "tests/wire/transport/test_retrying.py::test_a_server_that_reads_slowly",
            ),
        ),
        Case(
            "All attempts fail",
            "The error of the last attempt, such as `InternalServerError`, with `.attempts`",
            tests=("tests/wire/transport/test_retrying.py::test_the_table",),
        ),
        Case(
            "`max_retries=0`",
            "One request; its error, such as `InternalServerError`, is raised at once",
            tests=(
                "tests/wire/transport/test_retrying.py::test_without_retries_everything_is_sent_once",
            ),
        ),
        Case(
            "The `Resilience(deadline=…)` of the call has passed",
            "There is no further attempt, and one in progress ends: the last error, or "
            "`APITimeoutError`",
            tests=(
                "tests/wire/transport/test_retrying.py::test_a_deadline_ends_the_retries",
                "tests/wire/transport/test_retrying.py::test_a_deadline_bounds_an_attempt_that_hangs",
            ),
        ),
    ),
)

_STARTING = Section(
    "Starting a run",
    cases=(
        Case(
            "The response to a start is lost",
            "The start is retried, with the same `Idempotency-Key` and the same bytes. A service "
            "that supports the header returns the one run",
            tests=(
                "tests/emulator/test_faults_sdk.py::test_a_lost_start_is_one_run",
                "tests/faults/test_sending.py::test_a_kept_connection_is_replaced",
                "tests/fuzz/test_params.py::test_every_attempt_sends_the_same_bytes",
            ),
        ),
        Case(
            "The response is lost, and the service does not support the header",
            "The run in the response that arrives. A run of an earlier attempt may continue "
            "unnoticed",
            "Use `resend_ambiguous=False` if that must not happen",
            tests=(
                "tests/conformance/test_promises.py::test_a_service_that_does_not_know_the_key",
            ),
        ),
        Case(
            "The response is lost, with `resend_ambiguous=False`",
            "`SubmissionUnknownError`, with `.flow_id` and `.idempotency_key`; the start was sent"
            " once",
            "Check the service, or start again with that `idempotency_key`",
            tests=(
                "tests/wire/transport/test_retrying.py::test_what_may_not_be_sent_again",
                "tests/faults/test_sending.py::test_a_kept_connection_that_closes_under_a_start",
            ),
        ),
        Case(
            "The connection is lost while the params are sent",
            "The service may have received them, so it counts as a lost response: "
            "`SubmissionUnknownError`, or retried, then `APIConnectionError`",
            tests=(
                "tests/faults/test_sending.py::test_a_large_start_that_is_cut_off_while_it_is_written",
            ),
        ),
        Case(
            "All attempts of a start fail",
            "The last `APIError`, with the `idempotency_key` for another start",
            tests=(
                "tests/wire/errors/test_lost_starts.py::test_a_start_that_was_sent_again_in_vain",
                "tests/wire/errors/test_lost_starts.py::test_a_lost_start_is_not_forgotten",
            ),
        ),
        Case(
            "A retried start conflicts with its own first attempt, which is in progress (409)",
            "Retried; in the end, it returns the same run",
            tests=("tests/wire/transport/test_retrying.py::test_a_conflict_is_waited_for",),
        ),
        Case(
            "The same start is made twice",
            "Two runs: each start has its own key. If you pass the same `idempotency_key`, it is "
            "one run, also from another client",
            tests=(
                "tests/client/test_flows.py::test_the_same_key_is_the_same_run",
                "tests/client/test_flows.py::test_every_start_has_a_key_of_its_own",
            ),
        ),
        Case(
            "A start has the key of a run that has failed, or whose URL has expired",
            "The same run, with the same URLs and the same status. The errors say so",
            "Start with a new key",
            tests=(
                "tests/client/test_recent.py::test_advice_for_a_failed_run_with_a_fixed_key",
                "tests/results/downloads/test_urls.py::test_a_wrong_clock",
            ),
        ),
        Case(
            "The params do not match the flow (422)",
            "`UnprocessableEntityError`, which names the fields; no run was started",
            tests=("tests/client/test_flows.py::test_parameters_that_do_not_fit",),
        ),
        Case(
            "A start is cancelled or interrupted by Ctrl-C before its response",
            "The cancellation is raised. A note on it (shown from Python 3.11 on) has the "
            "`idempotency_key`",
            "Start again with that key",
            tests=(
                "tests/client/test_recent.py::test_an_interrupted_start_is_resumed_with_its_key",
                "tests/client/test_cancelling.py::test_a_cancelled_start_has_a_note_with_its_key",
                "tests/client/test_regressions.py::test_an_interrupted_start_has_a_note_with_its_key",
            ),
        ),
        Case(
            "`flows.run` fails after the start",
            "The error, such as `AuthenticationError`, has the run in `.run`, with the URLs of its results",
            "`client.runs.wait(error.run)`",
            tests=("tests/client/test_regressions.py::test_a_run_whose_first_poll_is_rejected",),
        ),
        Case(
            "A signed start is retried",
            "Each attempt has a new signature and nonce, over the same bytes",
            tests=(
                "tests/client/test_construction.py::test_every_attempt_is_signed_anew",
                "tests/faults/test_sending.py::test_one_digest_one_body",
            ),
        ),
    ),
)

_ANSWERS = Section(
    "Responses",
    faults=(
        Fault("400", ("400",)),
        Fault("401", ("401",)),
        Fault("403", ("403",)),
        Fault("404", ("404",)),
        Fault("408", ("408",)),
        Fault("409", ("409",)),
        Fault("422", ("422",)),
        Fault("425", ("425",)),
        Fault("429, with or without `Retry-After`", ("429", "429 Retry-After")),
        Fault("another 4xx", ("402", "405", "410", "418", "451")),
        Fault("503 with `Retry-After`", ("503 Retry-After",)),
        Fault("another 5xx", ("500", "501", "502", "503", "504", "507", "599")),
        Fault("3xx: a redirect", ("redirect",)),
        Fault("204: a success without content", ("204",)),
        Fault(
            "200 with an HTML page, as of a login, or with an empty body",
            ("a page of HTML", "nothing"),
        ),
        Fault(
            "200 with truncated JSON, in another charset, with `NaN`, or without any JSON",
            ("cut, and its length is right", "garbage", "not a number", "another charset"),
        ),
        Fault(
            "200 with JSON that is not an object, or has no id or status",
            ("a list", "an empty object"),
        ),
        Fault(
            "200 with a truncated gzip body, or a decompression bomb",
            ("a truncated gzip", "a gzip bomb"),
        ),
        Fault("200 in an unknown content encoding", ("an encoding that nobody knows",)),
        Fault(
            "200 in gzip or deflate, also with several members, or with a cookie",
            ("gzip", "gzip of several members", "deflate", "with a cookie"),
        ),
    ),
    cases=(
        Case(
            "The API redirects",
            "The redirect is not followed: `APIStatusError`, with its target. Neither key nor "
            "params are sent to the other host",
            "Correct `base_url`",
            tests=(
                "tests/wire/transport/test_retrying.py::test_redirects_are_not_followed",
                "tests/wire/transport/test_retrying.py::test_a_redirect_to_nowhere_is_a_redirect",
                "tests/wire/errors/test_status_errors.py::test_a_redirect_is_told_not_followed",
            ),
        ),
        Case(
            "A response sets a cookie",
            "The cookie is neither stored nor sent",
            tests=(
                "tests/faults/test_answers.py::test_cookies",
                "tests/wire/transport/test_retrying.py::test_cookies_are_not_stored",
            ),
        ),
        Case(
            "The body of an error is HTML, empty, or unreadable",
            "The error of its status, such as `NotFoundError`. `.error` is `None`, and the "
            "message has an excerpt of at most 200 printable characters",
            tests=(
                "tests/wire/transport/test_retrying.py::test_an_error_page_is_still_a_status",
                "tests/wire/transport/test_retrying.py::test_a_long_error_is_cut",
            ),
        ),
        Case(
            "A body is larger than 8 MiB",
            "Only 8 MiB are read. A success raises `InvalidResponseError`, an error status its "
            "own error, such as `AuthenticationError`",
            tests=(
                "tests/wire/transport/test_retrying.py::test_a_huge_answer_is_refused",
                "tests/wire/transport/test_retrying.py::test_a_huge_error_page_is_still_its_status",
                "tests/faults/test_answers.py::test_an_endless_body",
            ),
        ),
        Case(
            "A success begins with a byte order mark, or has a number as `taskId`, one URL "
            "instead of a list, or unknown fields",
            "Accepted: the mark is skipped, the number becomes text, `run.outputs` is a tuple, "
            "and the fields are kept",
            tests=(
                "tests/faults/test_answers.py::test_an_unusual_start_response",
                "tests/wire/transport/test_retrying.py::test_what_is_usable_is_used",
            ),
        ),
        Case(
            "A message of the service is megabytes long, or has terminal escapes",
            "Truncated and cleaned in the message of the error: `APIStatusError` is one printable"
            " line",
            tests=("tests/faults/test_answers.py::test_a_huge_error",),
        ),
        Case(
            "The OpenAPI document does not list the status",
            "It is handled like any other. Only an `HTTPClient` with "
            "`raise_on_unexpected_status=True` raises `UnexpectedStatus`",
            tests=("tests/test_http.py::test_statuses_that_are_documented",),
        ),
        Case(
            "The service compresses its responses",
            "The client does not ask for that. A compressed response is decoded up to 8 MiB, then"
            " `InvalidResponseError`",
            tests=(
                "tests/faults/test_answers.py::test_responses_are_requested_unencoded",
                "tests/faults/test_answers.py::test_an_unusable_response",
            ),
        ),
    ),
)

_RETRY_AFTER = Section(
    "Retry-After",
    cases=(
        Case(
            "Seconds, decimals, a date in any of the three forms of HTTP, or `retry-after-ms`",
            "The next attempt comes after that time, and at most a quarter of it later",
            tests=(
                "tests/faults/test_retry_after.py::test_not_before_the_service_says",
                "tests/wire/transport/test_retrying.py::test_not_before_the_service_says",
            ),
        ),
        Case(
            "A date, while the clock of this machine is wrong",
            "The date is compared with the `Date` of the response, if it has one",
            tests=(
                "tests/wire/test_retries.py::test_the_servers_own_clock_counts",
                "tests/fuzz/test_retry_after.py::test_dates_are_relative_to_the_clock_of_the_server",
            ),
        ),
        Case(
            "Zero, or a date in the past",
            "The usual backoff",
            tests=(
                "tests/faults/test_retry_after.py::test_zero_is_the_normal_backoff",
                "tests/wire/transport/test_retrying.py::test_zero_in_retry_after_is_no_hot_loop",
            ),
        ),
        Case(
            "Anything else: a sign, an exponent, `inf`, a list, nothing",
            "Ignored. The status still counts: `RateLimitError` after the retries",
            tests=(
                "tests/faults/test_retry_after.py::test_invalid_times_are_ignored",
                "tests/fuzz/test_retry_after.py::test_any_header_is_harmless",
            ),
        ),
        Case(
            "More than `max_retry_after` (120 s), or than the rest of `deadline`",
            "The error, such as `RateLimitError`, at once; `.retry_after` has the seconds",
            "Try again after that time",
            tests=(
                "tests/faults/test_retry_after.py::test_longer_than_the_caller_waits",
                "tests/faults/test_retry_after.py::test_past_the_deadline",
                "tests/wire/transport/test_retrying.py::test_too_long_a_wait_is_an_error_at_once",
            ),
        ),
        Case(
            "More than `max_retry_after`, in response to a poll",
            "The wait continues, with the next poll after `max_retry_after`",
            tests=("tests/client/test_runs.py::test_a_retry_after_of_a_day",),
        ),
    ),
)

_WAITING = Section(
    "Waiting",
    cases=(
        Case(
            "The run fails, or is cancelled",
            "`RunFailedError`, also if its cancellation was refused, or `RunCancelledError`: with"
            " the message of the service and the run. No file is written",
            tests=(
                "tests/client/test_flows.py::test_a_failed_run",
                "tests/client/test_runs.py::test_ends_that_are_errors",
            ),
        ),
        Case(
            "A poll fails: lost connection, 429, 5xx, an invalid response or none",
            "The wait continues until its timeout, with one warning in the log. A poll takes at "
            "most the `timeout` of a request",
            tests=(
                "tests/faults/test_polling.py::test_errors_while_time_is_left",
                "tests/client/test_runs.py::test_failing_polls_do_not_end_a_wait",
                "tests/client/test_runs.py::test_a_stalled_poll_does_not_end_a_wait",
            ),
        ),
        Case(
            "The key is rejected during the wait",
            "`AuthenticationError` or `PermissionDeniedError`, at once",
            tests=("tests/client/test_runs.py::test_a_permanent_failure_ends_a_wait",),
        ),
        Case(
            "The `timeout` of the wait has passed",
            "`WaitTimeoutError`; the run continues",
            "`client.runs.wait(error.run)`",
            tests=(
                "tests/client/test_flows.py::test_wait_timeout_does_not_end_the_run",
                "tests/client/test_runs.py::test_a_timeout_has_advice",
            ),
        ),
        Case(
            "The `timeout` passes while a poll hangs, or no poll has succeeded",
            "`WaitTimeoutError` within a second or so; its cause is the last failure",
            tests=(
                "tests/client/test_runs.py::test_a_timeout_while_a_poll_hangs",
                "tests/client/test_runs.py::test_a_timeout_while_the_api_is_unavailable",
            ),
        ),
        Case(
            "Without a `timeout`, the API is unreachable for 15 minutes, or for `deadline`",
            "`PollingInterruptedError`; the run may continue",
            "`client.runs.wait(error.run)`, when the API is reachable again",
            tests=(
                "tests/client/test_runs.py::test_an_api_that_remains_unavailable",
                "tests/client/test_poll_intervals.py::test_a_wait_without_a_limit_outlives_minutes",
            ),
        ),
        Case(
            "The service has no such run (404)",
            "Retried during the first 10 s after its start. Later, or for a run with only its "
            "ids, `NotFoundError` at once",
            tests=(
                "tests/client/test_runs.py::test_a_new_run_may_be_unknown_for_a_while",
                "tests/faults/test_retry_after.py::test_a_run_that_was_just_started",
                "tests/client/test_regressions.py::test_an_unknown_run",
            ),
        ),
        Case(
            "The status is free text, or an unknown word",
            "The run has not ended; `run.status` has the text. Case and surrounding blanks are "
            "ignored",
            tests=(
                "tests/faults/test_polling.py::test_statuses_of_the_service",
                "tests/client/test_runs.py::test_only_known_statuses_end_a_wait",
            ),
        ),
        Case(
            "A run goes back from `RUNNING` to `PENDING`, or changes after its end",
            "The first is reported, and the wait continues. The second is ignored: an end is final",
            tests=(
                "tests/faults/test_polling.py::test_backwards_and_forwards",
                "tests/wire/messages/test_parsing.py::test_the_end_is_final",
            ),
        ),
        Case(
            "The clock of the machine is changed",
            "No effect: durations are measured by the monotonic clock. `WaitTimeoutError` comes "
            "in time",
            tests=(
                "tests/faults/test_polling.py::test_a_clock_that_is_set",
                "tests/faults/test_polling.py::test_a_clock_that_is_set_does_not_prolong_a_wait",
            ),
        ),
        Case(
            "A test stops or changes the clock (freezegun, time-machine)",
            "Waits, retries and an emulator in the same process continue, by a clock that such "
            "tools do not change",
            tests=(
                "tests/test_clock.py::test_the_clock_cannot_be_stopped",
                "tests/test_clock.py::test_waits_and_an_emulator_continue",
            ),
        ),
        Case(
            "The message of a run is megabytes long, or has terminal escapes",
            "Truncated and cleaned in `RunFailedError` and in the log; complete in `run.message`",
            tests=(
                "tests/faults/test_polling.py::test_a_monstrous_message",
                "tests/client/test_run_errors.py::test_a_failure_with_a_long_message",
            ),
        ),
        Case(
            "The URL of the result expires before the next poll, or has expired",
            "The wait continues, with one warning",
            "If it has expired, run the flow again, with a new idempotency key",
            tests=(
                "tests/faults/test_polling.py::test_a_wait_that_is_about_to_outlast_the_url",
                "tests/faults/test_polling.py::test_a_wait_that_has_outlasted_the_url",
            ),
        ),
        Case(
            "Ctrl-C, a cancellation, an error of a callback or a `timeout` ends the call after "
            "the start",
            "It is raised, with a note that names the run. The run continues, and "
            "`client.runs.recent` has it, with its URLs",
            "`client.runs.wait(client.runs.recent[0])`",
            tests=(
                "tests/client/test_recent.py::test_a_callback_that_raises_loses_no_run",
                "tests/client/test_recent.py::test_many_cancelled_runs",
                "tests/client/test_recent.py::test_a_timeout_has_a_note",
            ),
        ),
        Case(
            "`on_status` raises",
            "Its exception is raised; the client remains usable",
            tests=("tests/client/test_runs.py::test_a_callback_that_raises",),
        ),
        Case(
            "The program ends, and another one resumes",
            "The two ids are enough to wait. To download, `run.to_json(reveal=True)` is needed; "
            "without a URL, `ResultError`",
            tests=(
                "tests/client/test_runs.py::test_wait_for_a_run_of_another_process",
                "tests/client/test_runs.py::test_a_stored_run_is_waited_for_and_read",
                "tests/client/test_runs.py::test_no_result_without_urls",
            ),
        ),
        Case(
            "The JSON of a stored run is damaged",
            "`Run.from_json` raises `pydantic.ValidationError`, without the URL",
            tests=(
                "tests/test_models.py::test_invalid_runs",
                "tests/test_models.py::test_the_error_for_an_invalid_run_has_no_url",
            ),
        ),
        Case(
            "A `RunError` is pickled, for another process",
            "It has its run, without the URLs",
            tests=("tests/client/test_run_errors.py::test_errors_show_no_signed_url",),
        ),
    ),
)

_SIGNED_URLS = Section(
    "Signed URLs",
    cases=(
        Case(
            "The URL contains its expiry, which has passed",
            "The store is asked once, because the clock of this machine may be wrong. If it "
            "refuses, `ResultExpiredError` (according to the `Date` of the store, if it sends one). 30"
            " days after the expiry, there is no request. The expiry in URLs of Amazon, Google "
            "and Azure is read into `output.expires_at`",
            "Run the flow again, with a new idempotency key: the service issues a URL only once",
            tests=(
                "tests/faults/test_signed_urls.py::test_when_a_url_expires",
                "tests/results/downloads/test_urls.py::test_a_long_expired_url_is_not_requested",
                "tests/results/downloads/test_urls.py::test_a_wrong_clock",
            ),
        ),
        Case(
            "The store reports that the URL has expired",
            "`ResultExpiredError` after one request",
            "Run the flow again, with a new idempotency key",
            tests=("tests/results/downloads/test_urls.py::test_a_store_that_reports_expiry",),
        ),
        Case(
            "The URL expires during a download",
            "`ResultExpiredError`; an existing file is intact",
            "Run the flow again, with a new idempotency key",
            tests=(
                "tests/results/downloads/test_urls.py::test_an_expiry_in_the_middle_is_not_retried",
            ),
        ),
        Case(
            "403 or 404, less than 10 s after the run has ended",
            "Retried up to `max_retries` times, because the result may not be available yet. Then"
            " `ResultError`",
            tests=(
                "tests/faults/test_signed_urls.py::test_a_store_that_rejects",
                "tests/results/downloads/test_urls.py::test_a_result_that_is_not_available_yet",
            ),
        ),
        Case(
            "403 or 404, later",
            "`ResultError`, at once",
            tests=(
                "tests/faults/test_signed_urls.py::test_seconds_after_the_end",
                "tests/results/downloads/test_urls.py::test_a_late_rejection_is_final",
            ),
        ),
        Case(
            "The URL has characters that are usually percent-encoded, or is encoded twice",
            "Fetched exactly as it is, byte for byte",
            tests=("tests/results/downloads/test_urls.py::test_a_url_is_sent_byte_for_byte",),
        ),
        Case(
            "The URL is plain `http` to another machine, has a user name or an impossible host, "
            "or is not a URL",
            "`ResultError` without a request; the message has no signature",
            tests=(
                "tests/results/downloads/test_urls.py::test_urls_that_are_not_fetched",
                "tests/client/test_regressions.py::test_a_result_at_an_impossible_host",
            ),
        ),
        Case(
            "The store redirects",
            "Five redirects are followed; the sixth raises `ResultError`",
            tests=(
                "tests/results/downloads/test_urls.py::test_redirects_of_the_store_are_followed",
                "tests/results/downloads/test_urls.py::test_five_redirects_are_enough",
            ),
        ),
        Case(
            "The store redirects from `https` to `http`, to another scheme, or without a target",
            "`ResultError`, at once",
            tests=(
                "tests/results/downloads/test_urls.py::test_https_leads_to_https_only",
                "tests/results/downloads/test_urls.py::test_redirects_that_are_not_followed",
                "tests/client/test_regressions.py::test_a_result_that_is_redirected_to_nowhere",
            ),
        ),
        Case(
            "The URL of a result is plain `http` to this machine, and the base URL is elsewhere",
            "`ResultError`, at once; nothing is sent",
            "If this is intended, pass `allow_insecure=True`",
            tests=(
                "tests/results/downloads/test_urls.py::test_a_foreign_run_does_not_lead_to_this_machine",
            ),
        ),
        Case(
            "The certificate of the store is invalid",
            "`ResultError`, at once, with the cause; no request was sent",
            tests=(
                "tests/conformance/test_promises.py::test_a_store_without_a_valid_certificate",
                "tests/faults/test_connecting.py::test_the_certificate_of_a_store",
            ),
        ),
        Case(
            "The store does not support HEAD",
            "HEAD is never sent: the GET has the size",
            tests=("tests/faults/test_signed_urls.py::test_a_store_without_head_requests",),
        ),
        Case(
            "Your httpx client adds headers, cookies or auth",
            "None of them are sent to the store, and no API key",
            tests=(
                "tests/faults/test_signed_urls.py::test_nothing_of_a_client_of_the_users",
                "tests/results/downloads/test_urls.py::test_nothing_of_the_user_goes_to_the_store",
            ),
        ),
    ),
)

_DOWNLOADING = Section(
    "Downloading",
    cases=(
        Case(
            "The connection is lost during the download",
            "If the store sends a strong `ETag`, the download resumes with the same version "
            "(`If-Match`), and no byte is fetched twice. Otherwise it starts again",
            tests=(
                "tests/results/downloads/test_resuming.py::test_a_lost_connection_is_resumed",
                "tests/results/downloads/test_resuming.py::test_without_a_strong_validator_it_starts_again",
            ),
        ),
        Case(
            "The connection is lost again and again",
            "A megabyte of progress resets the number of attempts, a byte does not. Then "
            "`IntegrityError`",
            tests=(
                "tests/results/downloads/test_resuming.py::test_progress_earns_attempts",
                "tests/results/downloads/test_resuming.py::test_one_byte_does_not_earn_attempts",
            ),
        ),
        Case(
            "The head of the response arrives slowly, or the body stalls",
            "The attempt ends after `timeout`, and is retried or resumed",
            tests=(
                "tests/results/downloads/test_resuming.py::test_a_stalled_body_is_resumed",
                "tests/results/downloads/test_resuming.py::test_a_slow_head",
            ),
        ),
        Case(
            "The body arrives slowly: less than 1 kB/s for 30 s",
            "The download counts as stalled, however fast it began, and is resumed",
            tests=(
                "tests/faults/test_downloading.py::test_a_trickle_counts_as_stalled",
                "tests/faults/test_downloading.py::test_a_fast_beginning_is_no_excuse",
            ),
        ),
        Case(
            "When a download resumes, the store sends the whole file, other bytes, 416, or "
            "multipart",
            "This is detected, and never joined with the first part: the download starts again",
            tests=(
                "tests/results/downloads/test_resuming.py::test_mismatching_parts_are_never_joined",
                "tests/results/downloads/test_transfer.py::test_a_range_that_does_not_fit",
            ),
        ),
        Case(
            "The result changes between two parts",
            "The new version is downloaded from the start. If the attempts end before, "
            "`ResultChangedError`",
            tests=(
                "tests/results/downloads/test_resuming.py::test_a_result_that_keeps_changing",
                "tests/results/downloads/test_resuming.py::test_mismatching_parts_are_never_joined",
            ),
        ),
        Case(
            "The bytes change between two parts, but the `ETag` does not",
            "Detected by the digest, if there is one; the download starts again",
            tests=("tests/faults/test_downloading.py::test_a_damaged_part_under_the_same_etag",),
        ),
        Case(
            "The body does not match its digest",
            "Retried, then `IntegrityError`; an existing file is intact. Verified are "
            "`Repr-Digest`, `Content-Digest`, `Content-MD5`, the MD5 in `x-goog-hash`, and SHA-1,"
            " SHA-256 and CRC-32 in `x-amz-checksum-…`, over the whole file after a resume",
            tests=(
                "tests/faults/test_downloading.py::test_a_digest_that_is_not_the_bodys",
                "tests/faults/test_downloading.py::test_a_digest_of_a_file_in_two_parts",
                "tests/results/downloads/test_integrity.py::test_a_damaged_body_is_not_saved",
            ),
        ),
        Case(
            "There is an `ETag` that looks like an MD5, a checksum of parts, a CRC-32C or CRC-64,"
            " or a malformed digest",
            "None of them is used as a digest",
            tests=(
                "tests/results/downloads/test_integrity.py::test_other_checksums_are_ignored",
                "tests/conformance/test_promises.py::test_checksums_that_are_not_looked_at",
            ),
        ),
        Case(
            "The body has neither a length nor a digest",
            "Accepted, with a warning. With `require_integrity=True`, `IntegrityError`",
            tests=(
                "tests/faults/test_downloading.py::test_a_body_without_length_and_digest",
                "tests/results/downloads/test_resuming.py::test_integrity_can_be_required",
            ),
        ),
        Case(
            "The body is compressed by gzip or deflate, although the client did not ask for it",
            "Decompressed to the end of the last member, and not resumed. If it is truncated or "
            "damaged, `IntegrityError`",
            tests=(
                "tests/results/downloads/test_integrity.py::test_an_unrequested_encoding_is_decoded",
                "tests/results/downloads/test_integrity.py::test_an_encoded_result_is_not_resumed",
                "tests/results/downloads/test_integrity.py::test_a_damaged_body_is_not_saved",
            ),
        ),
        Case(
            "`Content-Encoding` is `aws-chunked`, `utf-8`, `none`, or an unknown coding",
            "A value that is no coding is ignored. The bytes of an unknown coding are saved as "
            "they are, with a warning",
            tests=(
                "tests/results/downloads/test_integrity.py::test_values_that_are_not_encodings",
                "tests/results/downloads/test_integrity.py::test_an_unknown_encoding_is_saved_unchanged",
            ),
        ),
        Case(
            "The compressed body is a decompression bomb",
            "`IntegrityError` as soon as it expands too far; the disk is not filled",
            tests=(
                "tests/results/downloads/test_integrity.py::test_a_damaged_body_is_not_saved",
                "tests/wire/messages/test_encodings.py::test_a_bomb_is_defused",
            ),
        ),
        Case(
            "The result has 0 bytes",
            "A file like any other",
            tests=("tests/faults/test_downloading.py::test_nothing_is_a_valid_file",),
        ),
        Case(
            "The store sends an HTML page, and no digest contradicts it",
            "Saved as it is. Reading it as rows or as a model raises `ResultParseError`",
            tests=("tests/conformance/test_promises.py::test_a_page_in_place_of_a_result",),
        ),
        Case(
            "The store sends 203: a proxy has changed the response",
            "Saved if it is complete. Another 2xx or a 3xx raises `ResultError`, without an "
            "excerpt of the body",
            tests=(
                "tests/results/downloads/test_integrity.py::test_a_203_is_saved_if_it_is_complete",
                "tests/results/downloads/test_integrity.py::test_an_unexpected_success_shows_no_body",
            ),
        ),
        Case(
            "The `Retry-After` of the store is an hour",
            "`ResultError` at once; the received part is kept",
            tests=(
                "tests/faults/test_signed_urls.py::test_a_store_that_rejects",
                "tests/results/downloads/test_resumed_parts.py::test_out_of_service",
            ),
        ),
        Case(
            "The `deadline` passes while bytes still arrive",
            "`ResultError`: progress does not extend the deadline, and a body that arrives is cut off",
            tests=(
                "tests/results/downloads/test_plans.py::test_progress_does_not_put_off_the_deadline",
            ),
        ),
        Case(
            "Several of these, one after the other",
            "The exact bytes, or a typed error. An existing file is intact, no temporary file is "
            "left, and no secret is revealed",
            tests=(
                "tests/results/downloads/test_plans.py::test_a_plan_of_faults",
                "tests/conformance/test_promises.py::test_a_bad_day",
            ),
        ),
        Case(
            "`on_progress` raises",
            "Its exception is raised. An existing file is intact, and a received megabyte or more"
            " is kept",
            tests=(
                "tests/results/downloads/test_progress.py::test_a_callback_that_raises",
                "tests/results/downloads/test_resumed_parts.py::test_a_callback_that_raises",
            ),
        ),
        Case(
            "The run has not ended, or its URLs are not known",
            "`ResultError`, with advice",
            tests=(
                "tests/results/downloads/test_progress.py::test_a_run_that_is_not_known_to_have_ended",
                "tests/results/downloads/test_progress.py::test_a_run_without_urls",
            ),
        ),
        Case(
            "The result does not have the requested format or type",
            "`ResultParseError`, with `.location`; the message has no values of the result",
            tests=(
                "tests/client/test_runs.py::test_invalid_rows",
                "tests/client/test_runs.py::test_a_result_that_is_not_json",
            ),
        ),
        Case(
            "More rows of a result are invalid than `max_invalid` allows",
            "`TooManyInvalidRowsError` after the earlier rows, with the number and the reasons in"
            " `.rejects`, and without values, unless `keep_raw=True`",
            tests=(
                "tests/results/test_records.py::test_too_many_rows_that_do_not_fit",
                "tests/results/test_records.py::test_a_share_is_checked_at_the_hundredth_row",
            ),
        ),
        Case(
            "The result is a compressed file (`.gz`, `.zst`) that is truncated, damaged, or a "
            "decompression bomb",
            "Saved as it is. Reading it raises `ResultParseError`; a bomb does so as soon as it "
            "has expanded beyond 16 MiB to 250 times its size",
            tests=(
                "tests/results/test_records.py::test_a_compressed_result_that_is_cut_or_a_bomb",
                "tests/results/rows/test_compression.py::test_a_compressed_file_that_is_cut_or_broken",
                "tests/results/rows/test_compression.py::test_a_bomb_is_rejected",
            ),
        ),
        Case(
            "The iteration over rows stops halfway, and is not closed",
            "No temporary file is left, and there is no warning",
            tests=(
                "tests/results/test_records.py::test_dropped_rows_leave_no_file",
                "tests/results/test_records.py::test_dropped_rows_on_an_event_loop",
            ),
        ),
    ),
)

_FILES = Section(
    "Files",
    cases=(
        Case(
            "The folder is missing or read-only, the path is a folder, or there is no permission",
            "`LocalStorageError` before the run is started. It is an `OSError` with `errno`, "
            "`filename` and the message of the system",
            "Create the folder, or choose another path",
            tests=(
                "tests/client/test_flows.py::test_the_error_of_a_path_is_an_os_error",
                "tests/faults/test_files.py::test_an_unwritable_folder",
                "tests/faults/test_files.py::test_an_unwritable_path",
            ),
        ),
        Case(
            "The disk is full",
            "`LocalStorageError`; an existing file is intact, and no temporary file is left",
            "Free disk space, and download again",
            tests=(
                "tests/results/test_files.py::test_a_full_disk",
                "tests/results/downloads/test_resumed_parts.py::test_a_full_disk_keeps_nothing",
            ),
        ),
        Case(
            "The disk is too small for the result, and the store sends its length",
            "`LocalStorageError` at once. A download that ends early takes no more space than the"
            " received part",
            "Free disk space",
            tests=(
                "tests/results/downloads/test_replacing.py::test_a_disk_that_is_too_small_fails_at_once",
                "tests/results/downloads/test_replacing.py::test_missing_bytes_take_no_space",
            ),
        ),
        Case(
            "The file or its folder is append-only or immutable (`chattr`), or the disk is full",
            "`LocalStorageError` before the run is started: writing, renaming and removing are "
            "tried in that folder",
            "Choose another path, or free disk space",
            tests=(
                "tests/results/downloads/test_replacing.py::test_an_immutable_target_is_noticed_before",
                "tests/results/downloads/test_replacing.py::test_a_full_disk_is_noticed_before",
            ),
        ),
        Case(
            "The file already exists, or is created during the download",
            "Replaced when the new file is complete. With `overwrite=False`, `LocalStorageError`,"
            " and the file is unchanged",
            tests=(
                "tests/results/test_files.py::test_overwrite_false",
                "tests/results/test_files.py::test_a_file_that_appears_meanwhile",
                "tests/client/test_flows.py::test_overwrite_false_is_checked_before_the_start",
            ),
        ),
        Case(
            "The path is a symbolic link",
            "Its target is replaced, by a rename in the folder of the target; the link remains. "
            "Another user's link in a folder like `/tmp` raises `LocalStorageError`",
            tests=(
                "tests/results/downloads/test_replacing.py::test_a_symbolic_link_is_followed",
                "tests/results/downloads/test_replacing.py::test_a_link_of_another_user_in_a_shared_folder_is_rejected",
            ),
        ),
        Case(
            "The file cannot be replaced by a rename: it is mounted, as in a container, or "
            "belongs to another user in a sticky folder",
            "Written in place when the result is complete, with a warning, because a reader may "
            "see half of it. If that is not permitted, `LocalStorageError` before the run is "
            "started",
            tests=(
                "tests/results/downloads/test_replacing.py::test_a_mounted_file_is_written_in_place",
                "tests/results/downloads/test_replacing.py::test_an_unwritable_mounted_file_is_noticed_before",
                "tests/results/downloads/test_replacing.py::test_a_file_of_another_user_in_a_sticky_folder",
            ),
        ),
        Case(
            "A complete result cannot be moved to the path",
            "`LocalStorageError`, which names the file beside it with the complete result",
            "Move that file, or download again",
            tests=("tests/results/downloads/test_replacing.py::test_a_complete_result_is_kept",),
        ),
        Case(
            "The file system does not support hard links, permissions, locks or syncing (exFAT, "
            "FUSE, network mounts)",
            "The result is saved without them, with a warning the first time; `overwrite=False` "
            "still replaces nothing",
            tests=(
                "tests/results/downloads/test_replacing.py::test_a_file_system_without_hard_links",
                "tests/results/downloads/test_replacing.py::test_a_file_system_that_lacks_nearly_everything",
            ),
        ),
        Case(
            "The existing file belongs to another user or group",
            "Owner, group and permissions are kept, as far as the system permits",
            tests=(
                "tests/results/downloads/test_replacing.py::test_owner_group_and_mode_are_kept",
            ),
        ),
        Case(
            "The power fails just after a download",
            "The file was synced before it was renamed, and its folder after that",
            tests=("tests/faults/test_files.py::test_the_order_in_which_a_file_is_saved",),
        ),
        Case(
            "`kill -9` at any moment",
            "The old file or the new one, complete. The next download resumes, and cleans up",
            tests=(
                "tests/faults/test_files.py::test_a_process_that_is_killed",
                "tests/results/downloads/test_kills.py::test_killed_at",
            ),
        ),
        Case(
            "Ctrl-C during a download",
            "It ends within seconds, and an existing file is intact. A received megabyte or more,"
            " with a strong `ETag`, is not fetched again",
            "Download to the same path again",
            tests=(
                "tests/faults/test_files.py::test_ctrl_c",
                "tests/faults/test_files.py::test_ctrl_c_and_resume",
            ),
        ),
        Case(
            "Two processes write the same path at the same time",
            "Each uses its own temporary file. The last one to finish wins, with a complete file",
            tests=(
                "tests/results/test_files.py::test_two_writers",
                "tests/results/downloads/test_resumed_parts.py::test_many_at_a_time",
            ),
        ),
        Case(
            "Somebody created a symbolic link at the path of the temporary file",
            "Nothing is written through it",
            tests=(
                "tests/faults/test_files.py::test_a_symbolic_link_at_a_temporary_name",
                "tests/results/downloads/test_resumed_parts.py::test_other_files_at_the_path_of_the_part",
            ),
        ),
        Case(
            "The target is a device",
            "It is not replaced: `LocalStorageError`",
            tests=("tests/results/test_files.py::test_a_device_is_no_file",),
        ),
        Case(
            "The file is new, or replaces one",
            "It has the permissions of an ordinary `open()`, or those of the old file",
            tests=(
                "tests/results/test_files.py::test_permissions_follow_the_umask",
                "tests/results/test_files.py::test_permissions_of_an_existing_file",
            ),
        ),
        Case(
            "The store sends a file name",
            "Ignored: you choose the path",
            tests=("tests/faults/test_files.py::test_names_of_the_server",),
        ),
        Case(
            "One of several results fails",
            "The other downloads stop. Saved files remain, and the received parts are kept. The "
            "error has its `.output_index`",
            "Download to the same path again",
            tests=(
                "tests/results/test_files.py::test_several_results_and_one_that_fails",
                "tests/results/downloads/test_several_results.py::test_a_store_that_rejects_one",
            ),
        ),
        Case(
            "The kept part of a download is damaged, too short, or of another result",
            "The download starts again. A wrong digest of the whole file is detected",
            tests=(
                "tests/results/downloads/test_resumed_parts.py::test_a_damaged_sidecar",
                "tests/results/downloads/test_resumed_parts.py::test_another_run",
                "tests/results/downloads/test_resumed_parts.py::test_the_digest_covers_resumed_bytes",
            ),
        ),
    ),
)

_PROCESSES = Section(
    "Processes, threads, event loops",
    cases=(
        Case(
            "The process forks, also while other threads connect",
            "Each process has its own connections. No response is mixed up, and the child does "
            "not hang",
            tests=(
                "tests/client/test_concurrency.py::test_a_fork",
                "tests/client/test_processes.py::test_forked_in_the_middle_of_calls",
                "tests/client/test_processes.py::test_forked_while_a_lock_is_held",
            ),
        ),
        Case(
            "A second `asyncio.run`, or trio, uses the same client",
            "It works: each event loop has its own connections",
            tests=(
                "tests/client/test_concurrency.py::test_two_event_loops",
                "tests/client/test_processes.py::test_asyncio_then_trio_then_asyncio",
            ),
        ),
        Case(
            "Threads share a client",
            "Each thread gets its own responses",
            tests=(
                "tests/client/test_concurrency.py::test_threads_share_a_client",
                "tests/client/test_concurrency.py::test_responses_are_not_mixed_up",
            ),
        ),
        Case(
            "A call is cancelled",
            "The cancellation is raised, and the connection is released",
            tests=(
                "tests/client/test_cancelling.py::test_cancelled_at_any_moment",
                "tests/client/test_concurrency.py::test_cancelled_calls_give_their_connection_back",
            ),
        ),
        Case(
            "A wait is cancelled",
            "The run continues. A note on the cancellation (shown from Python 3.11 on) has the "
            "call that resumes the wait",
            tests=(
                "tests/client/test_concurrency.py::test_a_cancelled_wait_leaves_the_run_alone",
                "tests/client/test_cancelling.py::test_a_cancelled_run_is_not_lost",
            ),
        ),
        Case(
            "A download is cancelled",
            "It ends at once, and an existing file is intact. A received megabyte or more, with a"
            " strong `ETag`, is kept for the next download",
            tests=(
                "tests/client/test_concurrency.py::test_a_cancelled_download_leaves_nothing",
                "tests/results/downloads/test_resumed_parts.py::test_cancelled",
                "tests/client/test_regressions.py::test_a_cancelled_download_does_not_keep_the_process",
            ),
        ),
        Case(
            "Ctrl-C",
            "The program ends soon, without further output. A note has the call that resumes "
            "waiting for the run",
            tests=("tests/client/test_processes.py::test_ctrl_c",),
        ),
        Case(
            "A client is used after it was closed, or closed during calls of other threads",
            "`DcipherError`, with this cause. A call in progress ends with it, or with its "
            "response. Closing twice does nothing",
            tests=(
                "tests/client/test_construction.py::test_use_after_close",
                "tests/client/test_processes.py::test_closed_while_others_call",
            ),
        ),
        Case(
            "A client is never closed",
            "One warning at most, and its connections are closed",
            "Use `with`, or `close()`",
            tests=(
                "tests/faults/test_process.py::test_an_unclosed_client",
                "tests/client/test_concurrency.py::test_a_client_that_was_never_closed_warns_once_at_most",
            ),
        ),
        Case(
            "A client is copied or pickled",
            "`TypeError`, with advice",
            "Use `with_options`, or create another client",
            tests=(
                "tests/client/test_construction.py::test_a_client_is_not_copied",
                "tests/client/test_processes.py::test_objects_with_connections_are_not_copied",
            ),
        ),
        Case(
            "A derived client is closed, or its original",
            "The other one remains open, on the same connections",
            tests=(
                "tests/wire/transport/test_sharing.py::test_closing_one_leaves_the_other_alone",
            ),
        ),
        Case(
            "A service makes calls for weeks",
            "No connection, thread, task, file or memory leaks",
            tests=("tests/client/test_leaks.py::test_calls_leave_nothing",),
        ),
    ),
)

_SETTINGS = Section(
    "Settings",
    cases=(
        Case(
            "There is no API key, or a blank one",
            "`MissingAPIKeyError` when the client is created",
            "Set `DCIPHER_API_KEY`",
            tests=(
                "tests/client/test_construction.py::test_without_a_key",
                "tests/faults/test_configuration.py::test_blank_is_missing",
            ),
        ),
        Case(
            "The key has surrounding blanks or a line break, or the prefix `Api-Key `",
            "They are removed; for blanks, there is one warning, which does not contain the key",
            tests=(
                "tests/faults/test_configuration.py::test_blanks_around_a_key",
                "tests/settings/test_checks.py::test_surrounding_blanks_are_removed_with_one_warning",
                "tests/faults/test_configuration.py::test_a_pasted_prefix",
            ),
        ),
        Case(
            "The key contains blanks, control characters or non-ASCII characters",
            "`ConfigurationError` with the position, not the key",
            tests=("tests/faults/test_configuration.py::test_invalid_settings",),
        ),
        Case(
            "`timeout`, or a part of an `httpx.Timeout`, is 0, negative, `nan`, `inf` or not a "
            "number; `max_retries` is negative or not an integer",
            "`ConfigurationError`",
            tests=(
                "tests/faults/test_configuration.py::test_invalid_settings",
                "tests/faults/test_configuration.py::test_a_timeout_of_httpx",
                "tests/settings/test_checks.py::test_invalid_max_retries",
            ),
        ),
        Case(
            "`base_url` has no scheme or host, or has a user name, query or fragment",
            "`ConfigurationError`, without what may be a password. A path is permitted, and a "
            "trailing slash is ignored",
            tests=(
                "tests/faults/test_configuration.py::test_invalid_settings",
                "tests/settings/test_checks.py::test_a_base_url_shows_no_password",
                "tests/faults/test_configuration.py::test_the_path_of_a_base_url",
            ),
        ),
        Case(
            "`base_url` is plain `http` to another machine",
            "`ConfigurationError`, unless `allow_insecure=True`. `http` to this machine is "
            "permitted",
            tests=(
                "tests/settings/test_checks.py::test_urls_that_a_key_may_not_be_sent_to",
                "tests/client/test_construction.py::test_plain_http_may_be_allowed",
                "tests/client/test_construction.py::test_this_machine_may_be_reached_by_plain_http",
            ),
        ),
        Case(
            "`base_url` comes from a `.env` file, and the key from elsewhere",
            "`ConfigurationError`: the key is not sent there",
            "Set both in one place",
            tests=(
                "tests/client/test_construction.py::test_a_base_url_of_a_file_gets_no_foreign_key",
            ),
        ),
        Case(
            "The environment changes after `Settings()` was created, or a subclass has other "
            "sources, such as a vault",
            "Each value keeps the source that it was read from, and the same rule applies: "
            "`ConfigurationError`",
            tests=(
                "tests/test_settings.py::test_later_variables_do_not_change_sources",
                "tests/test_settings.py::test_a_base_url_of_another_source",
            ),
        ),
        Case(
            "The `.env` file has `${NAME}`",
            "It is not expanded. In `base_url`, or as a whole key or secret, it raises "
            "`ConfigurationError`",
            tests=("tests/test_settings.py::test_a_reference_is_not_expanded",),
        ),
        Case(
            "The `.env` file is a pipe, a device, or larger than 1 MiB",
            "`ConfigurationError`, without waiting for the pipe. A folder of that name, and "
            "`/dev/null`, count as no file",
            tests=(
                "tests/test_settings.py::test_only_regular_files_are_read",
                "tests/test_settings.py::test_a_file_that_is_far_too_large",
                "tests/test_settings.py::test_no_file_by_any_name",
            ),
        ),
        Case(
            "The key is a placeholder from an example (`…`, `<key>`, `$KEY`)",
            "`ConfigurationError`; it is not sent",
            "Replace it with your own key",
            tests=("tests/settings/test_checks.py::test_a_placeholder_is_rejected",),
        ),
        Case(
            "The program was written for 0.3.5",
            "Removed arguments, attributes, items and imports raise errors that name the "
            "replacement",
            tests=(
                "tests/client/test_legacy.py::test_run_flow_waits_now",
                "tests/client/test_legacy.py::test_a_run_is_not_a_dictionary",
                "tests/client/test_legacy.py::test_the_modules_of_the_former_version",
            ),
        ),
        Case(
            "The `.env` file is not UTF-8, or has lines of other programs",
            "The first raises `ConfigurationError`, which names the file. The second is ignored",
            tests=(
                "tests/faults/test_configuration.py::test_a_file_in_another_encoding",
                "tests/faults/test_configuration.py::test_a_file_with_other_lines",
            ),
        ),
        Case(
            "An argument of `Settings` is misspelt",
            "`ConfigurationError`",
            tests=("tests/test_settings.py::test_a_setting_that_is_not_there",),
        ),
    ),
)

_IDENTIFIERS = Section(
    "Identifiers and params",
    cases=(
        Case(
            "An id is empty, `.` or `..`, or has control characters, also encoded as in `%2e`",
            "`InvalidParamsError`; nothing is sent",
            tests=(
                "tests/faults/test_identifiers.py::test_ids_that_lead_elsewhere",
                "tests/wire/messages/test_operations.py::test_an_id_that_leads_elsewhere_is_refused",
            ),
        ),
        Case(
            "An id has a slash, `?`, `#`, `%`, or letters of any script",
            "Percent-encoded: it is one segment of the path, or one query parameter",
            tests=(
                "tests/faults/test_identifiers.py::test_ids_are_one_segment",
                "tests/client/test_flows.py::test_ids_are_quoted_completely",
            ),
        ),
        Case(
            "The params contain NaN, `NaT`, infinity, a set, bytes, a cycle, or a lone surrogate",
            "`InvalidParamsError` with the path, such as `params.a[0]`; nothing is sent",
            tests=(
                "tests/faults/test_sending.py::test_params_that_json_cannot_carry",
                "tests/client/test_flows.py::test_parameters_that_json_lacks",
            ),
        ),
        Case(
            "An `idempotency_key` cannot be sent in a header, or has more than 255 characters",
            "`InvalidParamsError`; nothing is sent",
            tests=(
                "tests/faults/test_identifiers.py::test_idempotency_keys",
                "tests/client/test_flows.py::test_keys_that_a_header_cannot_carry",
            ),
        ),
        Case(
            "A header of yours is `Authorization`, `Signature` or `Host`, or has a line break",
            "`ConfigurationError` where you pass it",
            tests=("tests/faults/test_identifiers.py::test_headers_that_replace_ours",),
        ),
        Case(
            "A timeout is negative or not a number, or a callback is not callable",
            "`InvalidParamsError`; no run is started",
            tests=(
                "tests/client/test_runs.py::test_an_invalid_wait_timeout_starts_no_run",
                "tests/client/test_regressions.py::test_a_callback_that_cannot_be_called",
                "tests/client/test_runs.py::test_invalid_times",
            ),
        ),
    ),
)

_SECRETS = Section(
    "Logging and secrets",
    cases=(
        Case(
            "dcipher is imported",
            "Nothing is configured; the root logger is never changed",
            tests=(
                "tests/test_logs.py::test_importing_configures_nothing",
                "tests/test_logs.py::test_configure_keeps_handlers_of_the_user",
            ),
        ),
        Case(
            "`DCIPHER_LOG` is set, and several clients are created",
            "The logger `dcipher` has that level, and one handler on stderr",
            tests=(
                "tests/faults/test_logging.py::test_a_program_with_a_log",
                "tests/test_logs.py::test_configure_twice_adds_one_handler",
            ),
        ),
        Case(
            "httpx logs a signed URL",
            "Its query is redacted; nothing else in the records of httpx and httpcore is changed",
            tests=(
                "tests/test_logs.py::test_signed_urls_are_redacted",
                "tests/test_logs.py::test_nothing_else_is_changed",
                "tests/test_logs.py::test_other_loggers_are_unchanged",
            ),
        ),
        Case(
            "Your httpx client uses HTTP/2, and its libraries log the headers",
            "The key and signed URLs are redacted there",
            tests=("tests/wire/transport/test_http2.py::test_nothing_secret_is_logged",),
        ),
        Case(
            "A response has hundreds of signed URLs, or megabytes of text that may contain secrets",
            "Redacting takes time in proportion to the text, not to the number of secrets",
            tests=(
                "tests/masking/test_text.py::test_the_time_is_linear",
                "tests/masking/test_text.py::test_very_many_secrets_are_filtered",
                "tests/wire/messages/test_parsing.py::test_a_start_with_very_many_urls_takes_no_longer",
            ),
        ),
        Case(
            "Everything is logged at the lowest level",
            "The log contains no key, secret or signed URL",
            tests=(
                "tests/client/test_secrets.py::test_a_complete_run_shows_no_secret",
                "tests/faults/test_logging.py::test_a_download_with_retries",
            ),
        ),
        Case(
            "The service repeats the key in an error response, or the store repeats the signature",
            "They are redacted in the message, body and headers of the error, and in its pickle",
            tests=(
                "tests/client/test_secrets.py::test_a_service_that_repeats_the_request",
                "tests/client/test_secrets.py::test_a_store_that_answers_with_the_request",
                "tests/wire/errors/test_status_errors.py::test_an_error_repeats_no_secret",
            ),
        ),
        Case(
            "An error reporter records the variables of every frame",
            "The traceback has no frame of dcipher or httpx, also after Ctrl-C and a cancellation",
            tests=(
                "tests/client/test_tracebacks.py::test_a_call_that_fails",
                "tests/client/test_tracebacks.py::test_ctrl_c",
                "tests/client/test_tracebacks.py::test_a_cancellation",
            ),
        ),
        Case(
            "A run is printed, dumped, or pickled",
            "Its URLs are left out; `to_json(reveal=True)` includes them",
            tests=(
                "tests/test_models.py::test_a_signed_url_is_not_shown",
                "tests/test_models.py::test_a_pickle_has_no_urls",
                "tests/test_models.py::test_a_revealed_run_is_restored_completely",
            ),
        ),
        Case(
            "A `DcipherError` is pickled, for another process",
            "It has the same attributes, except signed URLs",
            tests=("tests/test_errors.py::test_pickles",),
        ),
        Case(
            "A setting that contains a secret is invalid",
            "`ConfigurationError` without the value, also in its traceback",
            tests=(
                "tests/faults/test_configuration.py::test_a_traceback_without_the_value",
                "tests/client/test_construction.py::test_invalid_settings",
            ),
        ),
        Case(
            "A proxy has a password",
            "No log, repr or error contains it",
            tests=(
                "tests/client/test_secrets.py::test_a_proxy_with_a_password",
                "tests/faults/test_connecting.py::test_a_proxy_password_is_not_shown",
            ),
        ),
    ),
)

_BATCHES = Section(
    "Many runs",
    cases=(
        Case(
            "One row of `flows.map` fails",
            "Its outcome has the error; the other rows continue. More failures than `max_failures` end the "
            "batch: `TooManyFailuresError`, with the report in `.report`",
            tests=(
                "tests/batch/test_map.py::test_one_failure_ends_nothing",
                "tests/batch/test_map.py::test_too_many_failures",
            ),
        ),
        Case(
            "The key is refused, or the flow does not exist",
            "The batch ends at once: `AuthenticationError`, `NotFoundError`",
            tests=(
                "tests/batch/test_map.py::test_a_wrong_key",
                "tests/batch/test_map.py::test_an_unknown_flow",
            ),
        ),
        Case(
            "The process of a batch with a journal is killed",
            "The same call continues: no row is run twice, and no result that was paid for is lost",
            tests=(
                "tests/batch/test_resume.py::test_killed_and_resumed",
                "tests/batch/test_resume.py::test_killed_again_and_again",
            ),
        ),
        Case(
            "The same batch is run again",
            "`BatchError`",
            "Call `flows.map` again",
            tests=("tests/batch/test_map.py::test_a_batch_runs_once",),
        ),
        Case(
            "Two rows have the same key, a key has different params in the journal, or the journal is of another "
            "service or API key",
            "`JournalConflictError`, which names the rows; nothing is run twice",
            tests=(
                "tests/batch/test_journal.py::test_a_key_twice",
                "tests/batch/test_journal.py::test_other_params",
                "tests/batch/test_journal.py::test_it_belongs_to_a_service_and_a_key",
            ),
        ),
        Case(
            "Another process uses the journal",
            "`JournalBusyError`, which names the process. The lock of one that was killed is released",
            tests=(
                "tests/batch/test_journal.py::test_two_runners",
                "tests/batch/test_journal.py::test_a_runner_that_was_killed",
            ),
        ),
        Case(
            "The journal is another file, of a newer version, or cannot be opened",
            "`JournalError`; the file is not changed",
            tests=(
                "tests/batch/test_journal.py::test_another_file",
                "tests/batch/test_journal.py::test_a_newer_version",
                "tests/batch/test_journal.py::test_a_folder_that_is_not_there",
            ),
        ),
    ),
)

SECTIONS: Final = (
    _CONNECTING,
    _LOST,
    _STARTING,
    _ANSWERS,
    _RETRY_AFTER,
    _WAITING,
    _BATCHES,
    _SIGNED_URLS,
    _DOWNLOADING,
    _FILES,
    _PROCESSES,
    _SETTINGS,
    _IDENTIFIERS,
    _SECRETS,
)
