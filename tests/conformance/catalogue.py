"""What happens when…: each fault in a user's words, what dcipher does, and the tests that would fail otherwise.

A fault that the table of instructions has (`instructions.py`) says only which of them it stands for: what it means
for each operation is read there. Anything else says what happens in words, and names the tests that hold it to them.
`scripts/what_happens.py` prints all of it. It is long, for it is one table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["SECTIONS", "Case", "Fault", "Section"]


@dataclass(frozen=True)
class Fault:
    """A fault on the wire, whose meaning the table of instructions holds."""

    happens: str
    covers: tuple[str, ...]
    """Names of instructions, which all mean the same."""


@dataclass(frozen=True)
class Case:
    """Anything else that can happen."""

    happens: str
    does: str
    """What dcipher does, and what one gets."""
    then: str = ""
    """What one does next, where that is worth a word."""
    tests: tuple[str, ...] = ()
    """One to three, as pytest names them; each would fail if this were wrong."""


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    faults: tuple[Fault, ...] = ()
    cases: tuple[Case, ...] = ()


_CONNECTING = Section(
    "Connecting",
    cases=(
        Case(
            "The host's name does not resolve, or the connection is refused",
            "Sent again, a start too, for nothing was sent; refused on this machine, once. Then "
            "`APIConnectionError`, which names the host, where it was configured, and the cause",
            "Check the base URL and the network",
            tests=(
                "tests/wire/transport/test_retrying.py::test_a_name_that_does_not_resolve",
                "tests/wire/transport/test_retrying.py::test_a_refused_connection_is_tried_again",
                "tests/faults/test_connecting.py::test_what_is_not_connected",
            ),
        ),
        Case(
            "The process has too many open files",
            "Sent again, a start too, for nothing was sent; connections that are idle are closed. Then "
            "`APIConnectionError`, which says so",
            "Run fewer calls at once, or raise `ulimit -n`",
            tests=(
                "tests/client/test_processes.py::test_too_many_open_files",
                "tests/wire/errors/test_connection_errors.py::test_too_many_files_are_said",
            ),
        ),
        Case(
            "Nobody answers while connecting, as behind a firewall",
            "Given up after `timeout`, or 10 s where that is longer; sent again, a start too, then `APITimeoutError`",
            tests=(
                "tests/wire/transport/test_connecting.py::test_a_black_hole",
                "tests/wire/transport/test_connecting.py::test_a_short_timeout_and_a_black_hole",
                "tests/faults/test_connecting.py::test_connecting_has_a_timeout_of_its_own",
            ),
        ),
        Case(
            "The TLS handshake is cut off, or gets no answer",
            "Sent again, then `APIConnectionError`, or `APITimeoutError`",
            tests=("tests/wire/transport/test_connecting.py::test_a_handshake_that_fails",),
        ),
        Case(
            "The certificate is expired, of another host, or of nobody known",
            "`TLSError` after one attempt; no request was sent",
            "Check the host; name your authority in `SSL_CERT_FILE`",
            tests=(
                "tests/wire/transport/test_connecting.py::test_a_certificate_that_does_not_fit",
                "tests/client/test_construction.py::test_an_untrusted_certificate",
            ),
        ),
        Case(
            "The server wants a client certificate, or another one",
            "`TLSError` after one attempt, which says so; nothing was read",
            "Load one into an SSL context, and pass it as `verify_ssl` of an `HTTPAuthenticatedClient`",
            tests=(
                "tests/wire/transport/test_connecting.py::test_a_server_that_wants_a_certificate",
                "tests/wire/transport/test_connecting.py::test_a_store_that_wants_a_certificate",
            ),
        ),
        Case(
            "Scheme or port of the base URL is the wrong one",
            "`https` to a port of plain `http`: `TLSError` after one attempt. The other way round: "
            "`APIConnectionError`, after the retries",
            "Check both",
            tests=(
                "tests/wire/transport/test_connecting.py::test_a_handshake_that_fails",
                "tests/wire/transport/test_connecting.py::test_plain_http_to_a_tls_port",
            ),
        ),
        Case(
            "The proxy is not there, or does not connect",
            "Sent again, a start too, for nothing was sent; then `APIConnectionError`, which points to the "
            "proxy without its password, or `APITimeoutError`",
            "Check the proxy variables",
            tests=(
                "tests/wire/transport/test_connecting.py::test_a_proxy_that_refuses",
                "tests/wire/transport/test_connecting.py::test_a_proxy_that_does_not_connect",
                "tests/wire/transport/test_connecting.py::test_a_proxy_that_opens_no_tunnel",
            ),
        ),
        Case(
            "`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` or `NO_PROXY` cannot be used, or needs a library that "
            "is not there",
            "`ConfigurationError`, which names the variable: when the client is made, or, where only the store of a "
            "result goes by it, when that is fetched. One that no request goes by does not count; an empty one is "
            "missing",
            tests=(
                "tests/faults/test_connecting.py::test_a_proxy_variable_that_is_broken",
                "tests/faults/test_connecting.py::test_a_proxy_variable_that_does_not_count",
                "tests/faults/test_connecting.py::test_a_result_whose_proxy_cannot_be_used",
            ),
        ),
        Case(
            "The environment names a proxy, and the API is on this machine",
            "The proxy is not used: `localhost` and all names below it, 127.0.0.0/8 and `::1` are asked directly",
            tests=(
                "tests/client/test_mended.py::test_no_proxy_for_this_machine",
                "tests/wire/transport/test_connecting.py::test_this_machine_by_any_name_has_no_proxy",
            ),
        ),
        Case(
            "`NO_PROXY` has addresses, blocks of them, or ports",
            "Obeyed, for the API and for the stores. An entry that no host can be is left out, and a line of the log "
            "has its number",
            tests=(
                "tests/wire/transport/test_connecting.py::test_no_proxy",
                "tests/wire/transport/test_proxy_choice.py::test_exemptions",
                "tests/wire/transport/test_proxy_choice.py::test_exemptions_of_a_port_or_a_scheme",
            ),
        ),
        Case(
            "The proxy speaks SOCKS: `socks5://`, `socks5h://` or `socks://`",
            "API and stores are reached by it, and it looks up their names; it reads neither the key nor a signed URL",
            tests=(
                "tests/wire/transport/test_socks.py::test_a_run_by_socks",
                "tests/wire/transport/test_socks.py::test_plain_http_by_socks",
                "tests/wire/transport/test_socks.py::test_this_machine_is_not_asked_of_a_socks_proxy",
            ),
        ),
        Case(
            "`SSL_CERT_FILE` or `SSL_CERT_DIR` leads to no certificates, or a client certificate cannot be loaded",
            "`ConfigurationError`, which names it; no request is sent",
            tests=(
                "tests/wire/transport/test_connecting.py::test_a_broken_certificate_variable",
                "tests/wire/transport/test_connecting.py::test_a_broken_client_certificate",
            ),
        ),
        Case(
            "All connections are in use (100 at most)",
            "The call waits for one, up to `timeout`; then `APITimeoutError`, which says how many there are. "
            "Nothing was sent",
            tests=(
                "tests/client/test_concurrency.py::test_no_free_connection",
                "tests/client/test_concurrency.py::test_three_hundred_at_once",
                "tests/wire/transport/test_connecting.py::test_no_place_within_a_short_timeout",
            ),
        ),
        Case(
            "The server has closed a kept connection meanwhile",
            "It is not used; this costs no retry",
            tests=(
                "tests/wire/transport/test_retrying.py::test_an_idle_connection_that_the_server_closed",
            ),
        ),
    ),
)

_LOST = Section(
    "Lost answers",
    faults=(
        Fault(
            "The connection is closed or reset, and no byte of an answer came",
            (
                "closed before it was read",
                "reset before it was read",
                "closed after it was done",
                "reset after it was done",
            ),
        ),
        Fault(
            "The connection breaks within the answer, or the body is shorter than its length",
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
            "No answer comes within `timeout`, or only the beginning of one",
            ("silent before the head", "silent within the body"),
        ),
        Fault("What comes is no HTTP", ("no HTTP",)),
        Fault(
            "The connection is closed or reset right behind a whole answer",
            ("closed after the answer", "reset after the answer"),
        ),
        Fault("More bytes come than were promised", ("more than was promised",)),
        Fault(
            "The answer is late, but within `timeout`, or comes in chunks", ("late", "in chunks")
        ),
    ),
    cases=(
        Case(
            "A server sends a byte now and then, or takes the request in little by little",
            "`timeout` bounds the request as a whole: `APITimeoutError`, after the retries",
            tests=(
                "tests/wire/transport/test_retrying.py::test_timeout_bounds_the_whole_request",
                "tests/wire/transport/test_retrying.py::test_a_timeout_of_parts_bounds_the_whole_request",
                "tests/wire/transport/test_retrying.py::test_a_server_that_reads_slowly",
            ),
        ),
        Case(
            "All attempts fail",
            "The error of the last one, such as `InternalServerError`, with `.attempts`",
            tests=("tests/wire/transport/test_retrying.py::test_the_table",),
        ),
        Case(
            "`max_retries=0`",
            "One request; what goes wrong with it, such as `InternalServerError`, is raised at once",
            tests=(
                "tests/wire/transport/test_retrying.py::test_without_retries_everything_is_sent_once",
            ),
        ),
        Case(
            "The call's `Resilience(deadline=…)` is over",
            "No further attempt, and one that hangs is ended: the last error, or `APITimeoutError`",
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
            "The answer to a start is lost",
            "The start is sent again, with the same `Idempotency-Key` and the same bytes. A service that knows the "
            "header gives the one run that there is",
            tests=(
                "tests/emulator/test_faults_sdk.py::test_a_lost_start_is_one_run",
                "tests/faults/test_sending.py::test_a_kept_connection_is_replaced",
                "tests/fuzz/test_params.py::test_every_attempt_sends_the_same_bytes",
            ),
        ),
        Case(
            "The answer is lost, and the service does not know the header",
            "The run of the answer that arrives; an earlier one may go on unseen",
            "`resend_ambiguous=False`, where that must not be",
            tests=(
                "tests/conformance/test_promises.py::test_a_service_that_does_not_know_the_key",
            ),
        ),
        Case(
            "The answer is lost, with `resend_ambiguous=False`",
            "`SubmissionUnknownError`, with `.flow_id` and `.idempotency_key`; it was sent once",
            "Look at the service, or start again with that `idempotency_key`",
            tests=(
                "tests/wire/transport/test_retrying.py::test_what_may_not_be_sent_again",
                "tests/faults/test_sending.py::test_a_kept_connection_that_closes_under_a_start",
            ),
        ),
        Case(
            "The connection breaks while the params are being written",
            "They may have been read: the same as a lost answer. `SubmissionUnknownError`, or sent again and then "
            "`APIConnectionError`",
            tests=(
                "tests/faults/test_sending.py::test_a_large_start_that_is_cut_off_while_it_is_written",
            ),
        ),
        Case(
            "A start is sent again in vain",
            "The last `APIError`; it says with which `idempotency_key` to go on",
            tests=(
                "tests/wire/errors/test_lost_starts.py::test_a_start_that_was_sent_again_in_vain",
                "tests/wire/errors/test_lost_starts.py::test_a_lost_start_is_not_forgotten",
            ),
        ),
        Case(
            "A start meets itself: the first attempt is still in progress (409)",
            "Sent again; the same run in the end",
            tests=("tests/wire/transport/test_retrying.py::test_a_conflict_is_waited_for",),
        ),
        Case(
            "The same start is made twice",
            "Two runs: each start has a key of its own. With one `idempotency_key` of yours it is one run, "
            "also from another client",
            tests=(
                "tests/client/test_flows.py::test_the_same_key_is_the_same_run",
                "tests/client/test_flows.py::test_every_start_has_a_key_of_its_own",
            ),
        ),
        Case(
            "A key is used again whose run has failed, or whose URL has expired",
            "The same run, with its URLs as they were issued and its end, each time; the errors say so",
            "Start with another key",
            tests=(
                "tests/client/test_recent.py::test_a_run_that_ended_badly_is_not_replayed_by_its_advice",
                "tests/results/downloads/test_urls.py::test_a_clock_that_is_wrong",
            ),
        ),
        Case(
            "The params do not fit the flow (422)",
            "`UnprocessableEntityError`, which names the fields; there is no run",
            tests=("tests/client/test_flows.py::test_parameters_that_do_not_fit",),
        ),
        Case(
            "A start is cancelled, or Ctrl-C strikes, while its answer is awaited",
            "The cancellation comes out; a note on it (shown from Python 3.11 on) has the `idempotency_key`",
            "Start again with that key",
            tests=(
                "tests/client/test_recent.py::test_an_interrupted_start_goes_on_with_its_key",
                "tests/client/test_cancelling.py::test_a_cancelled_start_says_its_key",
                "tests/client/test_mended.py::test_an_interrupted_start_says_its_key",
            ),
        ),
        Case(
            "`flows.run` fails after the start",
            "The error, such as `AuthenticationError`, has the run in `.run`, with the URLs of its results",
            "`client.runs.wait(error.run)`",
            tests=("tests/client/test_mended.py::test_a_run_whose_first_look_is_refused",),
        ),
        Case(
            "A signed start is sent again",
            "Signed anew, with a nonce of its own, over the same bytes",
            tests=(
                "tests/client/test_construction.py::test_every_attempt_is_signed_anew",
                "tests/faults/test_sending.py::test_one_digest_one_body",
            ),
        ),
    ),
)

_ANSWERS = Section(
    "Answers",
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
            "200 with a page of HTML, as of a login, or with nothing", ("a page of HTML", "nothing")
        ),
        Fault(
            "200 with JSON that is cut, in another charset, or has a `NaN`, or with no JSON at all",
            ("cut, and its length is right", "garbage", "not a number", "another charset"),
        ),
        Fault(
            "200 with JSON that is no object, or lacks the id or status",
            ("a list", "an empty object"),
        ),
        Fault("200 with a truncated gzip, or a bomb", ("a truncated gzip", "a gzip bomb")),
        Fault("200 in an encoding that nobody knows", ("an encoding that nobody knows",)),
        Fault(
            "200 in gzip or deflate, of several members too, or with a cookie",
            ("gzip", "gzip of several members", "deflate", "with a cookie"),
        ),
    ),
    cases=(
        Case(
            "The API redirects",
            "Not followed: `APIStatusError`, which says where to. Neither key nor params go to the other host",
            "Set `base_url` to the right place",
            tests=(
                "tests/wire/transport/test_retrying.py::test_redirects_are_not_followed",
                "tests/wire/transport/test_retrying.py::test_a_redirect_to_nowhere_is_a_redirect",
                "tests/wire/errors/test_status_errors.py::test_a_redirect_is_told_not_followed",
            ),
        ),
        Case(
            "An answer sets a cookie",
            "Neither stored nor sent back",
            tests=(
                "tests/faults/test_answers.py::test_cookies",
                "tests/wire/transport/test_retrying.py::test_cookies_are_not_stored",
            ),
        ),
        Case(
            "The body of an error is HTML, empty, or unreadable",
            "Still the error of its status, such as `NotFoundError`; `.error` is `None`, and at most 200 clean "
            "characters of the body are in its text",
            tests=(
                "tests/wire/transport/test_retrying.py::test_an_error_page_is_still_a_status",
                "tests/wire/transport/test_retrying.py::test_a_long_error_is_cut",
            ),
        ),
        Case(
            "A body is larger than 8 MiB",
            "Read as far as that. A success is an `InvalidResponseError`, an error still that of its status, "
            "such as `AuthenticationError`",
            tests=(
                "tests/wire/transport/test_retrying.py::test_a_huge_answer_is_refused",
                "tests/wire/transport/test_retrying.py::test_a_huge_error_page_is_still_its_status",
                "tests/faults/test_answers.py::test_an_endless_body",
            ),
        ),
        Case(
            "A success begins with a byte order mark, has a number as `taskId`, one URL or a list of them, "
            "fields that nobody knows",
            "Fine: the mark is left out, the number is text, `run.outputs` is a tuple, the fields are kept",
            tests=(
                "tests/faults/test_answers.py::test_a_start_that_can_be_used",
                "tests/wire/transport/test_retrying.py::test_what_is_usable_is_used",
            ),
        ),
        Case(
            "The service's words are megabytes long, or have terminal escapes",
            "Cut and cleaned where they are shown: `APIStatusError` is one printable line",
            tests=("tests/faults/test_answers.py::test_a_monstrous_error",),
        ),
        Case(
            "A status is not in the OpenAPI document",
            "Nothing special; only an `HTTPClient` with `raise_on_unexpected_status=True` raises `UnexpectedStatus`",
            tests=("tests/test_http.py::test_statuses_that_are_documented",),
        ),
        Case(
            "The service compresses its answers",
            "None is asked for in an encoding; one that comes all the same is decoded up to 8 MiB, then "
            "`InvalidResponseError`",
            tests=(
                "tests/faults/test_answers.py::test_what_is_asked_for",
                "tests/faults/test_answers.py::test_a_status_that_cannot_be_used",
            ),
        ),
    ),
)

_RETRY_AFTER = Section(
    "Retry-After",
    cases=(
        Case(
            "Seconds, decimals, a date in any of the three forms of HTTP, or `retry-after-ms`",
            "The next attempt is not made earlier, and at most a quarter of that time later",
            tests=(
                "tests/faults/test_retry_after.py::test_not_before_the_service_says",
                "tests/wire/transport/test_retrying.py::test_not_before_the_service_says",
            ),
        ),
        Case(
            "A date, and the clock of this machine is wrong",
            "The date is compared with the answer's own `Date`, where it has one",
            tests=(
                "tests/wire/errors/test_retries.py::test_the_servers_own_clock_counts",
                "tests/fuzz/test_retry_after.py::test_dates_are_told_against_the_servers_own",
            ),
        ),
        Case(
            "Zero, or a date that is past",
            "The usual backoff, not a hot loop",
            tests=(
                "tests/faults/test_retry_after.py::test_zero_is_the_normal_backoff",
                "tests/wire/transport/test_retrying.py::test_zero_in_retry_after_is_no_hot_loop",
            ),
        ),
        Case(
            "Anything else: a sign, an exponent, `inf`, a list, nothing",
            "Ignored; it hides no status: `RateLimitError` after the retries",
            tests=(
                "tests/faults/test_retry_after.py::test_what_is_no_time_is_ignored",
                "tests/fuzz/test_retry_after.py::test_any_header_is_harmless",
            ),
        ),
        Case(
            "More than `max_retry_after` (120 s), or than is left of `deadline`",
            "The error, such as `RateLimitError`, at once; `.retry_after` has the seconds",
            "Try again after that time",
            tests=(
                "tests/faults/test_retry_after.py::test_longer_than_the_caller_waits",
                "tests/faults/test_retry_after.py::test_past_the_deadline",
                "tests/wire/transport/test_retrying.py::test_too_long_a_wait_is_an_error_at_once",
            ),
        ),
        Case(
            "More than `max_retry_after`, to a look of a wait",
            "The wait goes on, and looks again after `max_retry_after`",
            tests=("tests/client/test_runs.py::test_a_retry_after_of_a_day",),
        ),
    ),
)

_WAITING = Section(
    "Waiting",
    cases=(
        Case(
            "The run ends badly",
            "`RunFailedError`, also where its cancellation was refused, or `RunCancelledError`: with the "
            "service's words and the run; nothing is saved",
            tests=(
                "tests/client/test_flows.py::test_a_run_that_fails_says_why",
                "tests/client/test_runs.py::test_ends_that_are_errors",
            ),
        ),
        Case(
            "A look fails: lost connection, 429, 5xx, an answer of no use or none",
            "The wait goes on while time is left, with one warning in the log; a look takes its `timeout` at most",
            tests=(
                "tests/faults/test_polling.py::test_errors_while_time_is_left",
                "tests/client/test_runs.py::test_failing_looks_do_not_end_a_wait",
                "tests/client/test_runs.py::test_a_stalled_look_does_not_end_a_wait",
            ),
        ),
        Case(
            "The key is refused during the wait",
            "`AuthenticationError` or `PermissionDeniedError`, at once",
            tests=("tests/client/test_runs.py::test_what_another_look_would_not_change",),
        ),
        Case(
            "The wait's `timeout` is over",
            "`WaitTimeoutError`; the run is left alone and goes on",
            "`client.runs.wait(error.run)`",
            tests=(
                "tests/client/test_flows.py::test_wait_timeout_leaves_the_run_alone",
                "tests/client/test_runs.py::test_a_timeout_says_how_to_go_on",
            ),
        ),
        Case(
            "That time is over while a look hangs, or none has succeeded",
            "`WaitTimeoutError` all the same, within a second or so, and with the last failure as its cause",
            tests=(
                "tests/client/test_runs.py::test_a_timeout_while_a_look_hangs",
                "tests/client/test_runs.py::test_a_timeout_while_the_api_is_away",
            ),
        ),
        Case(
            "Without a `timeout`, nothing can be seen for 15 minutes, or for `deadline`",
            "`PollingInterruptedError`; the run may go on",
            "`client.runs.wait(error.run)`, when the API is back",
            tests=(
                "tests/client/test_runs.py::test_an_api_that_stays_away",
                "tests/client/test_polling.py::test_a_wait_without_a_limit_outlives_minutes",
            ),
        ),
        Case(
            "The service does not know the run (404)",
            "Looked at again for 10 s after its start; later, and for a run that is known by its ids alone, "
            "`NotFoundError` at once",
            tests=(
                "tests/client/test_runs.py::test_a_new_run_may_be_unknown_for_a_while",
                "tests/faults/test_retry_after.py::test_a_run_that_was_just_started",
                "tests/client/test_mended.py::test_a_run_that_is_not_there",
            ),
        ),
        Case(
            "The status is free text, or a word that nobody knows",
            "Not an end; `run.status` has the words. Case and blanks around do not matter",
            tests=(
                "tests/faults/test_polling.py::test_words_of_the_service",
                "tests/client/test_runs.py::test_only_known_words_end_a_wait",
            ),
        ),
        Case(
            "A run goes back from `RUNNING` to `PENDING`, or on from its end",
            "The first is told and waited for; the second is not believed: an end is final",
            tests=(
                "tests/faults/test_polling.py::test_backwards_and_forwards",
                "tests/wire/messages/test_parsing.py::test_the_end_is_final",
            ),
        ),
        Case(
            "The clock of the machine is set",
            "Nothing: durations are measured by the monotonic clock. `WaitTimeoutError` comes when it should",
            tests=(
                "tests/faults/test_polling.py::test_a_clock_that_is_set",
                "tests/faults/test_polling.py::test_a_clock_that_is_set_does_not_prolong_a_wait",
            ),
        ),
        Case(
            "A test stops or turns the clock (freezegun, time-machine)",
            "Waits, retries and an emulator in the same process go on, by a clock that such tools do not reach",
            tests=(
                "tests/test_clock.py::test_it_goes_on",
                "tests/test_clock.py::test_waits_and_an_emulator_go_on",
            ),
        ),
        Case(
            "The message of a run is megabytes long, or has terminal escapes",
            "Cut and cleaned in `RunFailedError` and in the log; whole in `run.message`",
            tests=(
                "tests/faults/test_polling.py::test_a_monstrous_message",
                "tests/client/test_outcomes.py::test_a_failure_in_too_many_words",
            ),
        ),
        Case(
            "The URL of the result expires before the next look, or has expired",
            "The wait goes on, and one warning says so",
            "If it has, run the flow again, with another idempotency key",
            tests=(
                "tests/faults/test_polling.py::test_a_wait_that_is_about_to_outlast_the_url",
                "tests/faults/test_polling.py::test_a_wait_that_has_outlasted_the_url",
            ),
        ),
        Case(
            "Ctrl-C, a cancellation, an error of a callback or the end of a `timeout` strikes after the start",
            "It comes out, with a note that names the run; the run goes on, and `client.runs.recent` has it, with "
            "its URLs",
            "`client.runs.wait(client.runs.recent[0])`",
            tests=(
                "tests/client/test_recent.py::test_a_callback_that_raises_loses_no_run",
                "tests/client/test_recent.py::test_a_cancelled_crowd",
                "tests/client/test_recent.py::test_a_wait_that_is_over_names_the_run",
            ),
        ),
        Case(
            "`on_status` raises",
            "What it raises comes through; the client goes on working",
            tests=("tests/client/test_runs.py::test_a_callback_that_raises",),
        ),
        Case(
            "The program ends, and another one is to go on",
            "Two ids are enough to wait; `run.to_json(reveal=True)` is needed to download. Without a URL, "
            "`ResultError`",
            tests=(
                "tests/client/test_runs.py::test_wait_for_a_run_of_another_process",
                "tests/client/test_runs.py::test_a_stored_run_is_waited_for_and_read",
                "tests/client/test_runs.py::test_no_result_without_urls",
            ),
        ),
        Case(
            "A stored run is damaged",
            "`Run.from_json` raises `pydantic.ValidationError`, without the URL",
            tests=(
                "tests/test_models.py::test_what_is_no_run",
                "tests/test_models.py::test_a_run_that_does_not_fit_shows_no_url",
            ),
        ),
        Case(
            "A `RunError` goes to another process in a pickle",
            "It comes with its run, but for the URLs",
            tests=("tests/client/test_outcomes.py::test_errors_hold_no_signed_url",),
        ),
    ),
)

_SIGNED_URLS = Section(
    "Signed URLs",
    cases=(
        Case(
            "The URL has expired, and says so itself",
            "The store is asked once, for the clock of this machine may be wrong; a refusal is a "
            "`ResultExpiredError`, by the store's own `Date` where it gives one. More than 30 days later, there is no "
            "request. Amazon's, Google's and Azure's ways of saying it are read into `output.expires_at`",
            "Run the flow again, with another idempotency key: the service gives a URL once",
            tests=(
                "tests/faults/test_signed_urls.py::test_when_a_url_expires",
                "tests/results/downloads/test_urls.py::test_a_long_expired_url_is_not_even_asked",
                "tests/results/downloads/test_urls.py::test_a_clock_that_is_wrong",
            ),
        ),
        Case(
            "The store says that it has expired",
            "`ResultExpiredError` after one request",
            "Run the flow again, with another idempotency key",
            tests=("tests/results/downloads/test_urls.py::test_a_store_that_says_expired",),
        ),
        Case(
            "The URL expires in the middle of a download",
            "`ResultExpiredError`; the old file is intact",
            "Run the flow again, with another idempotency key",
            tests=(
                "tests/results/downloads/test_urls.py::test_an_expiry_in_the_middle_is_not_tried_again",
            ),
        ),
        Case(
            "403 or 404, less than 10 s after the run has ended",
            "Fetched again, as often as `max_retries` allows: the result may not be there yet; then `ResultError`",
            tests=(
                "tests/faults/test_signed_urls.py::test_a_store_that_refuses",
                "tests/results/downloads/test_urls.py::test_a_result_that_is_not_there_yet",
            ),
        ),
        Case(
            "403 or 404, later",
            "`ResultError`, at once",
            tests=(
                "tests/faults/test_signed_urls.py::test_seconds_after_the_end",
                "tests/results/downloads/test_urls.py::test_a_refusal_is_final",
            ),
        ),
        Case(
            "The URL has characters that are usually quoted, or is quoted twice",
            "Fetched byte for byte, as it was given",
            tests=("tests/results/downloads/test_urls.py::test_a_url_is_sent_byte_for_byte",),
        ),
        Case(
            "The URL is plain `http` to another machine, has a user name or a host that cannot be, or is none",
            "`ResultError` without a request, and without the signature",
            tests=(
                "tests/results/downloads/test_urls.py::test_urls_that_are_not_fetched",
                "tests/client/test_mended.py::test_a_result_at_a_host_that_cannot_be",
            ),
        ),
        Case(
            "The store redirects",
            "Followed five times; the sixth is a `ResultError`",
            tests=(
                "tests/results/downloads/test_urls.py::test_redirects_of_the_store_are_followed",
                "tests/results/downloads/test_urls.py::test_five_redirects_are_enough",
            ),
        ),
        Case(
            "The store redirects from `https` to `http`, to another scheme, or nowhere",
            "`ResultError`, at once",
            tests=(
                "tests/results/downloads/test_urls.py::test_https_leads_to_https_only",
                "tests/results/downloads/test_urls.py::test_redirects_that_are_not_followed",
                "tests/client/test_mended.py::test_a_result_that_is_redirected_to_nowhere",
            ),
        ),
        Case(
            "The URL of a result leads to this machine by plain `http`, and the base URL is elsewhere",
            "`ResultError`, at once; nothing is sent",
            "Where that is meant, `allow_insecure=True`",
            tests=(
                "tests/results/downloads/test_urls.py::test_a_run_of_elsewhere_does_not_lead_to_this_machine",
            ),
        ),
        Case(
            "The store's certificate is not valid",
            "`ResultError`, at once, which says why; no request was sent",
            tests=(
                "tests/conformance/test_promises.py::test_a_store_without_a_valid_certificate",
                "tests/faults/test_connecting.py::test_the_certificate_of_a_store",
            ),
        ),
        Case(
            "The store refuses HEAD",
            "It is never asked: the size is told from the one GET",
            tests=("tests/faults/test_signed_urls.py::test_a_store_that_knows_no_head",),
        ),
        Case(
            "Your client adds headers, cookies or auth",
            "None of it goes to the store, and no API key",
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
            "The connection breaks in the middle",
            "Where the store gives a strong `ETag`, the rest is asked for, of the same version (`If-Match`), "
            "and nothing is fetched twice. Otherwise everything is fetched again",
            tests=(
                "tests/results/downloads/test_resuming.py::test_a_lost_connection_is_resumed",
                "tests/results/downloads/test_resuming.py::test_without_a_strong_validator_it_starts_again",
            ),
        ),
        Case(
            "The connection breaks again and again",
            "A megabyte or more earns new attempts, a byte does not; then `IntegrityError`",
            tests=(
                "tests/results/downloads/test_resuming.py::test_progress_earns_attempts",
                "tests/results/downloads/test_resuming.py::test_one_byte_does_not_earn_attempts",
            ),
        ),
        Case(
            "The head trickles in, or the body stops in the middle",
            "Given up after `timeout`, and asked again, or resumed",
            tests=(
                "tests/results/downloads/test_resuming.py::test_a_stalled_body_is_resumed",
                "tests/results/downloads/test_resuming.py::test_a_head_that_trickles_in",
            ),
        ),
        Case(
            "The body trickles in: less than 1 kB/s for 30 s",
            "Counts as stalled, however fast it began, and is resumed",
            tests=(
                "tests/faults/test_downloading.py::test_a_trickle_counts_as_stalled",
                "tests/faults/test_downloading.py::test_a_fast_beginning_is_no_excuse",
            ),
        ),
        Case(
            "Asked for the rest, the store sends all of it, other bytes, 416, or several parts",
            "Noticed, never pasted together: fetched from the start",
            tests=(
                "tests/results/downloads/test_resuming.py::test_parts_that_do_not_fit_are_never_put_together",
                "tests/results/downloads/test_transfer.py::test_a_range_that_does_not_fit",
            ),
        ),
        Case(
            "The object changes between two parts",
            "The new one is fetched whole; where the attempts end before, `ResultChangedError`",
            tests=(
                "tests/results/downloads/test_resuming.py::test_a_result_that_keeps_changing",
                "tests/results/downloads/test_resuming.py::test_parts_that_do_not_fit_are_never_put_together",
            ),
        ),
        Case(
            "The bytes change between two parts, and the `ETag` does not",
            "Noticed by the digest, where one is given; fetched from the start",
            tests=("tests/faults/test_downloading.py::test_a_damaged_part_under_the_same_etag",),
        ),
        Case(
            "The body is not of its digest",
            "Fetched again, then `IntegrityError`; the old file is intact. Checked are `Repr-Digest`, "
            "`Content-Digest`, `Content-MD5`, the MD5 of `x-goog-hash`, and SHA-1, SHA-256 and CRC-32 of "
            "`x-amz-checksum-…`, over the whole file after a resume",
            tests=(
                "tests/faults/test_downloading.py::test_a_digest_that_is_not_the_bodys",
                "tests/faults/test_downloading.py::test_a_digest_of_a_file_in_two_parts",
                "tests/results/downloads/test_integrity.py::test_what_is_broken_is_not_saved",
            ),
        ),
        Case(
            "There is an `ETag` that looks like an MD5, a checksum of parts, a CRC-32C or CRC-64, or what "
            "cannot be read",
            "None of them is taken for a digest",
            tests=(
                "tests/results/downloads/test_integrity.py::test_what_is_no_digest_of_the_file_is_not_taken_for_one",
                "tests/conformance/test_promises.py::test_checksums_that_are_not_looked_at",
            ),
        ),
        Case(
            "The body has neither a length nor a digest, and ends",
            "Accepted, with a warning; `IntegrityError` with `require_integrity=True`",
            tests=(
                "tests/faults/test_downloading.py::test_a_body_without_length_and_digest",
                "tests/results/downloads/test_resuming.py::test_integrity_can_be_required",
            ),
        ),
        Case(
            "The body is in gzip or deflate, although that was not asked for",
            "Decoded to the end of its last member, and not resumed; a cut or damaged one is an `IntegrityError`",
            tests=(
                "tests/results/downloads/test_integrity.py::test_what_is_encoded_all_the_same_is_decoded",
                "tests/results/downloads/test_integrity.py::test_an_encoded_result_is_not_resumed",
                "tests/results/downloads/test_integrity.py::test_what_is_broken_is_not_saved",
            ),
        ),
        Case(
            "`Content-Encoding` has `aws-chunked`, `utf-8`, `none`, or a coding that nobody knows",
            "What is no coding is left out; the bytes of an unknown one are saved as they came, with a warning",
            tests=(
                "tests/results/downloads/test_integrity.py::test_words_that_are_no_encoding",
                "tests/results/downloads/test_integrity.py::test_an_encoding_that_is_unknown_is_saved_as_it_is",
            ),
        ),
        Case(
            "The body is compressed, and a bomb",
            "`IntegrityError` as soon as it expands too far; the disk is not filled",
            tests=(
                "tests/results/downloads/test_integrity.py::test_what_is_broken_is_not_saved",
                "tests/wire/messages/test_encodings.py::test_a_bomb_is_defused",
            ),
        ),
        Case(
            "The result has 0 bytes",
            "A file like any other",
            tests=("tests/faults/test_downloading.py::test_nothing_is_a_valid_file",),
        ),
        Case(
            "The store answers with a page of HTML, and no digest says otherwise",
            "Saved as it is; read as rows or as a model, it is a `ResultParseError`",
            tests=("tests/conformance/test_promises.py::test_a_page_in_place_of_a_result",),
        ),
        Case(
            "The store answers 203: a proxy has changed the answer",
            "Saved where it is whole; another 2xx or a 3xx is a `ResultError` that shows nothing of the body",
            tests=(
                "tests/results/downloads/test_integrity.py::test_a_success_that_a_proxy_has_changed_is_saved_where_it_is_whole",
                "tests/results/downloads/test_integrity.py::test_a_status_that_is_no_error_shows_nothing_of_its_body",
            ),
        ),
        Case(
            "The store asks to wait for an hour",
            "`ResultError` at once; what has arrived is kept",
            tests=(
                "tests/faults/test_signed_urls.py::test_a_store_that_refuses",
                "tests/results/downloads/test_taking_up.py::test_out_of_service",
            ),
        ),
        Case(
            "`deadline` is over, although bytes still come",
            "`ResultError`: progress does not put off the deadline",
            tests=(
                "tests/results/downloads/test_plans.py::test_progress_does_not_put_off_the_deadline",
            ),
        ),
        Case(
            "Several of these, one after the other",
            "The exact bytes, or a typed error; the old file intact, no debris, no secret",
            tests=(
                "tests/results/downloads/test_plans.py::test_a_plan_of_faults",
                "tests/conformance/test_promises.py::test_a_bad_day",
            ),
        ),
        Case(
            "`on_progress` raises",
            "What it raises comes through; the old file is intact, and a megabyte or more is kept",
            tests=(
                "tests/results/downloads/test_progress.py::test_a_callback_that_raises",
                "tests/results/downloads/test_taking_up.py::test_a_callback_that_raises",
            ),
        ),
        Case(
            "The run has not ended, or its URLs are not known",
            "`ResultError`, which says what to do",
            tests=(
                "tests/results/downloads/test_progress.py::test_a_run_that_is_not_known_to_have_ended",
                "tests/results/downloads/test_progress.py::test_a_run_without_urls",
            ),
        ),
        Case(
            "The result is not of the format or the type that is asked for",
            "`ResultParseError`, with `.location`; no values of the result are in its text",
            tests=(
                "tests/client/test_runs.py::test_rows_that_do_not_fit",
                "tests/client/test_runs.py::test_a_result_that_is_no_json",
            ),
        ),
        Case(
            "More rows of a result do not fit than `max_invalid` permits",
            "`TooManyInvalidRowsError` after the rows before it, with how many and why in `.rejects`; no values, "
            "unless `keep_raw=True` asks for them",
            tests=(
                "tests/results/test_records.py::test_too_many_rows_that_do_not_fit",
                "tests/results/test_records.py::test_a_share_is_judged_at_the_hundredth_row",
            ),
        ),
        Case(
            "The result is a compressed file (`.gz`, `.zst`) that is cut, damaged, or a bomb",
            "Saved as it is; read, it is a `ResultParseError`, a bomb as soon as it has expanded to 250 times its size "
            "beyond 16 MiB",
            tests=(
                "tests/results/test_records.py::test_a_compressed_result_that_is_cut_or_a_bomb",
                "tests/results/rows/test_compression.py::test_a_compressed_file_that_is_cut_or_broken",
                "tests/results/rows/test_compression.py::test_a_bomb_is_refused",
            ),
        ),
        Case(
            "Rows are dropped half-way, and nobody closes them",
            "No temporary file is left, and nothing is warned of",
            tests=(
                "tests/results/test_records.py::test_dropped_half_way_it_leaves_nothing",
                "tests/results/test_records.py::test_dropped_half_way_on_an_event_loop",
            ),
        ),
    ),
)

_FILES = Section(
    "Files",
    cases=(
        Case(
            "The folder is missing, the path is a folder, may not be written to, or is on a read-only disk",
            "`LocalStorageError` before the run is started; it is an `OSError` with `errno` and `filename`, "
            "and has the system's words",
            "Make the folder, or choose another path",
            tests=(
                "tests/client/test_flows.py::test_the_error_of_a_path_is_an_os_error",
                "tests/faults/test_files.py::test_a_folder_that_takes_no_file",
                "tests/faults/test_files.py::test_a_place_that_is_none",
            ),
        ),
        Case(
            "The disk is full",
            "`LocalStorageError`; the old file is intact, and there is no debris",
            "Make room, and download again",
            tests=(
                "tests/results/test_files.py::test_a_full_disk",
                "tests/results/downloads/test_taking_up.py::test_a_full_disk_keeps_nothing",
            ),
        ),
        Case(
            "The disk is too small for the result, and the store says how long it is",
            "`LocalStorageError` at once. A download that is ended takes no more room than what arrived of it",
            "Make room",
            tests=(
                "tests/results/downloads/test_replacing.py::test_a_disk_that_is_too_small_for_all_of_it_says_so_at_once",
                "tests/results/downloads/test_replacing.py::test_what_did_not_arrive_takes_no_room",
            ),
        ),
        Case(
            "The file or its folder may only be appended to, or not be changed (`chattr`); the disk has no room at all",
            "`LocalStorageError` before the run is started: what is needed is tried, in that folder",
            "Choose another path, or make room",
            tests=(
                "tests/results/downloads/test_replacing.py::test_what_cannot_be_replaced_is_noticed_before",
                "tests/results/downloads/test_replacing.py::test_a_full_disk_is_noticed_before",
            ),
        ),
        Case(
            "There is a file already, or one appears during the download",
            "Replaced when the new one is whole; with `overwrite=False`, `LocalStorageError`, and it is left alone",
            tests=(
                "tests/results/test_files.py::test_overwrite_false",
                "tests/results/test_files.py::test_a_file_that_appears_meanwhile",
                "tests/client/test_flows.py::test_overwrite_false_is_said_before_the_start",
            ),
        ),
        Case(
            "The path is a symbolic link",
            "What it points to is replaced, by a rename in that folder; the link stays. Another user's link in a "
            "folder like `/tmp` is a `LocalStorageError`",
            tests=(
                "tests/results/downloads/test_replacing.py::test_a_symbolic_link_is_followed",
                "tests/results/downloads/test_replacing.py::test_a_link_of_another_user_in_a_shared_folder_is_refused",
            ),
        ),
        Case(
            "The file cannot be renamed over: it is mounted, as in a container, or another user's in a sticky folder",
            "Written in place when the result is whole, with a warning, for a reader may see a part; where that is "
            "refused, too, `LocalStorageError` before the run is started",
            tests=(
                "tests/results/downloads/test_replacing.py::test_a_mounted_file_is_written_in_place",
                "tests/results/downloads/test_replacing.py::test_a_mounted_file_that_cannot_be_written_is_noticed_before",
                "tests/results/downloads/test_replacing.py::test_a_file_of_another_user_in_a_sticky_folder",
            ),
        ),
        Case(
            "A whole result cannot be put at the path all the same",
            "`LocalStorageError`, which names the file beside it that has the whole result",
            "Move that file, or download again",
            tests=("tests/results/downloads/test_replacing.py::test_what_was_paid_for_stays",),
        ),
        Case(
            "The file system has no hard links, permissions, locks or syncing (exFAT, FUSE, network mounts)",
            "The result is saved without, with a warning the first time; `overwrite=False` still replaces nothing",
            tests=(
                "tests/results/downloads/test_replacing.py::test_a_file_system_without_hard_links",
                "tests/results/downloads/test_replacing.py::test_a_file_system_that_lacks_nearly_everything",
            ),
        ),
        Case(
            "The file that is replaced belongs to another user or group",
            "Owner, group and permissions are kept, as far as the system permits",
            tests=(
                "tests/results/downloads/test_replacing.py::test_owner_group_and_mode_are_kept",
            ),
        ),
        Case(
            "The power fails right after a download",
            "The file was synced before it got its name, and its folder after that",
            tests=("tests/faults/test_files.py::test_the_order_in_which_a_file_is_saved",),
        ),
        Case(
            "`kill -9` at any moment",
            "The old file or the new one, whole; the next download goes on, and clears up",
            tests=(
                "tests/faults/test_files.py::test_a_process_that_is_killed",
                "tests/results/downloads/test_kills.py::test_killed_at",
            ),
        ),
        Case(
            "Ctrl-C in the middle of a download",
            "It ends within seconds; the old file is intact. "
            "A megabyte or more, with a strong `ETag`, is not fetched again",
            "Download to the same path again",
            tests=(
                "tests/faults/test_files.py::test_ctrl_c",
                "tests/faults/test_files.py::test_ctrl_c_and_again",
            ),
        ),
        Case(
            "Two write the same path at the same time",
            "Each has a file of its own; the last one to end wins, with a whole file",
            tests=(
                "tests/results/test_files.py::test_two_writers",
                "tests/results/downloads/test_taking_up.py::test_many_at_a_time",
            ),
        ),
        Case(
            "Somebody has put a symbolic link where the temporary file would be",
            "Nothing is written through it",
            tests=(
                "tests/faults/test_files.py::test_a_symbolic_link_in_the_way",
                "tests/results/downloads/test_taking_up.py::test_what_stands_in_its_place",
            ),
        ),
        Case(
            "The target is a device",
            "Not replaced: `LocalStorageError`",
            tests=("tests/results/test_files.py::test_a_device_is_no_file",),
        ),
        Case(
            "The file is new, or replaces one",
            "It has the permissions of a plain `open()`, or those of the old file",
            tests=(
                "tests/results/test_files.py::test_permissions_follow_the_umask",
                "tests/results/test_files.py::test_permissions_of_an_existing_file_stay",
            ),
        ),
        Case(
            "The store sends a file name",
            "Not used: the path is yours",
            tests=("tests/faults/test_files.py::test_names_of_the_server",),
        ),
        Case(
            "One of several results fails",
            "The others end; those that were saved stay, and what arrived of the rest is kept; the error has "
            "its `.output_index`",
            "Download to the same path again",
            tests=(
                "tests/results/test_files.py::test_several_results_and_one_that_fails",
                "tests/results/downloads/test_several_results.py::test_a_store_that_refuses_one",
            ),
        ),
        Case(
            "What was kept of a download is damaged, too short, or of another result",
            "Fetched from the start; a wrong digest over the whole is noticed",
            tests=(
                "tests/results/downloads/test_taking_up.py::test_a_damaged_note",
                "tests/results/downloads/test_taking_up.py::test_another_run",
                "tests/results/downloads/test_taking_up.py::test_the_digest_covers_what_was_there",
            ),
        ),
    ),
)

_PROCESSES = Section(
    "Processes, threads, event loops",
    cases=(
        Case(
            "The process forks, even while other threads connect",
            "Each side has connections of its own; no answer goes astray, and the child does not hang",
            tests=(
                "tests/client/test_concurrency.py::test_a_fork",
                "tests/client/test_processes.py::test_forked_in_the_middle_of_calls",
                "tests/client/test_processes.py::test_forked_while_a_lock_is_held",
            ),
        ),
        Case(
            "A second `asyncio.run` uses the same client, or trio does",
            "It works: connections belong to an event loop",
            tests=(
                "tests/client/test_concurrency.py::test_two_event_loops",
                "tests/client/test_processes.py::test_asyncio_then_trio_then_asyncio",
            ),
        ),
        Case(
            "Threads share a client",
            "Each gets its own answers",
            tests=(
                "tests/client/test_concurrency.py::test_threads_share_a_client",
                "tests/client/test_concurrency.py::test_answers_are_not_mixed_up",
            ),
        ),
        Case(
            "A call is cancelled",
            "The cancellation comes out, and the connection is given back",
            tests=(
                "tests/client/test_cancelling.py::test_cancelled_at_any_moment",
                "tests/client/test_concurrency.py::test_cancelled_calls_give_their_connection_back",
            ),
        ),
        Case(
            "A wait is cancelled",
            "The run is left alone; a note on the cancellation says how to wait again (from Python 3.11 on)",
            tests=(
                "tests/client/test_concurrency.py::test_a_cancelled_wait_leaves_the_run_alone",
                "tests/client/test_cancelling.py::test_a_cancelled_run_is_not_lost",
            ),
        ),
        Case(
            "A download is cancelled",
            "It ends at once; the old file is intact. "
            "A megabyte or more, with a strong `ETag`, is kept for the next time",
            tests=(
                "tests/client/test_concurrency.py::test_a_cancelled_download_leaves_nothing",
                "tests/results/downloads/test_taking_up.py::test_cancelled",
                "tests/client/test_mended.py::test_a_cancelled_download_does_not_hold_the_process",
            ),
        ),
        Case(
            "Ctrl-C",
            "The program ends soon, without noise; a run that goes on can be found again",
            tests=("tests/client/test_processes.py::test_ctrl_c",),
        ),
        Case(
            "A client is used after it was closed, or closed while others call",
            "`DcipherError`, which says so; a call under way ends so, or with its answer. Closing twice is nothing",
            tests=(
                "tests/client/test_construction.py::test_use_after_close",
                "tests/client/test_processes.py::test_closed_while_others_call",
            ),
        ),
        Case(
            "A client is never closed",
            "One warning at most, and its connections end",
            "Use `with`, or `close()`",
            tests=(
                "tests/faults/test_process.py::test_a_client_that_is_forgotten",
                "tests/client/test_concurrency.py::test_a_client_that_was_never_closed_warns_once_at_most",
            ),
        ),
        Case(
            "A client is copied or pickled",
            "`TypeError`, which says what to do instead",
            "`with_options`, or a new client",
            tests=(
                "tests/client/test_construction.py::test_a_client_is_not_copied",
                "tests/client/test_processes.py::test_what_holds_connections_is_not_copied",
            ),
        ),
        Case(
            "A derived client is closed, or the one that it came from",
            "The other one goes on, on the same connections",
            tests=(
                "tests/wire/transport/test_sharing.py::test_closing_one_leaves_the_other_alone",
            ),
        ),
        Case(
            "A service calls for weeks",
            "No connection, thread, task, file or memory stays behind",
            tests=("tests/client/test_leaks.py::test_calls_leave_nothing",),
        ),
    ),
)

_SETTINGS = Section(
    "Settings",
    cases=(
        Case(
            "There is no API key, or a blank one",
            "`MissingAPIKeyError` when the client is made",
            "Set `DCIPHER_API_KEY`",
            tests=(
                "tests/client/test_construction.py::test_without_a_key",
                "tests/faults/test_configuration.py::test_blank_is_missing",
            ),
        ),
        Case(
            "The key has blanks or a line break around it, or `Api-Key ` before it",
            "Left out; blanks with one warning, which does not show the key",
            tests=(
                "tests/faults/test_configuration.py::test_blanks_around_a_key",
                "tests/settings/test_checks.py::test_blanks_around_are_left_out_with_one_warning",
                "tests/faults/test_configuration.py::test_a_pasted_prefix",
            ),
        ),
        Case(
            "The key has blanks, control characters or other scripts within",
            "`ConfigurationError` with the position, not the key",
            tests=("tests/faults/test_configuration.py::test_what_cannot_be_used",),
        ),
        Case(
            "`timeout`, or a part of an `httpx.Timeout`, is 0, negative, `nan`, `inf` or no number; "
            "`max_retries` is negative or no whole number",
            "`ConfigurationError`",
            tests=(
                "tests/faults/test_configuration.py::test_what_cannot_be_used",
                "tests/faults/test_configuration.py::test_a_timeout_of_httpx",
                "tests/settings/test_checks.py::test_max_retries_that_are_none",
            ),
        ),
        Case(
            "`base_url` lacks a scheme or host, or has a user name, query or fragment",
            "`ConfigurationError`, without what might be a password. A path is kept, and a slash at the end "
            "does not matter",
            tests=(
                "tests/faults/test_configuration.py::test_what_cannot_be_used",
                "tests/settings/test_checks.py::test_a_base_url_shows_no_password",
                "tests/faults/test_configuration.py::test_the_tail_of_a_base_url",
            ),
        ),
        Case(
            "`base_url` is plain `http` to another machine",
            "`ConfigurationError`, unless `allow_insecure=True`; this machine is fine",
            tests=(
                "tests/settings/test_checks.py::test_what_a_key_may_not_travel_over",
                "tests/client/test_construction.py::test_plain_http_may_be_allowed",
                "tests/client/test_construction.py::test_this_machine_may_be_reached_by_plain_http",
            ),
        ),
        Case(
            "`base_url` comes from a `.env`, and the key from elsewhere",
            "`ConfigurationError`: the key is not sent there",
            "Put both into one place",
            tests=(
                "tests/client/test_construction.py::test_a_base_url_of_a_file_gets_no_foreign_key",
            ),
        ),
        Case(
            "The environment changes after `Settings()` was read, or a subclass has other sources, such as a vault",
            "Each value has the source that it was read from: the same rule, `ConfigurationError`",
            tests=(
                "tests/test_settings.py::test_what_is_set_later_says_nothing_of_what_was_read",
                "tests/test_settings.py::test_a_base_url_of_another_source",
            ),
        ),
        Case(
            "The `.env` has `${NAME}`",
            "Nothing is filled in. In `base_url`, or as all of a key or secret: `ConfigurationError`",
            tests=("tests/test_settings.py::test_a_reference_is_not_filled_in",),
        ),
        Case(
            "The `.env` is a pipe, a device, or larger than 1 MiB",
            "`ConfigurationError`; nobody waits for it. A folder of that name, and `/dev/null`, count as none",
            tests=(
                "tests/test_settings.py::test_what_is_no_file_is_not_read",
                "tests/test_settings.py::test_a_file_that_is_far_too_large",
                "tests/test_settings.py::test_no_file_by_any_name",
            ),
        ),
        Case(
            "The key is that of an example, as it stands there (`…`, `<key>`, `$KEY`)",
            "`ConfigurationError`; it is not sent",
            "Put your own in its place",
            tests=("tests/settings/test_checks.py::test_a_placeholder_is_no_key",),
        ),
        Case(
            "The program was written for 0.3.5",
            "Arguments, attributes, items and imports that are gone are errors which say what to write instead",
            tests=(
                "tests/client/test_former.py::test_run_flow_waits_now",
                "tests/client/test_former.py::test_a_run_is_no_dictionary",
                "tests/client/test_former.py::test_the_modules_of_the_former_version",
            ),
        ),
        Case(
            "The `.env` is not UTF-8, or has lines of other programs",
            "The first is a `ConfigurationError`, which names the file; the second does not matter",
            tests=(
                "tests/faults/test_configuration.py::test_a_file_in_another_encoding",
                "tests/faults/test_configuration.py::test_a_file_with_other_lines",
            ),
        ),
        Case(
            "A setting is misspelt as an argument of `Settings`",
            "`ConfigurationError`",
            tests=("tests/test_settings.py::test_a_setting_that_is_not_there",),
        ),
    ),
)

_IDENTIFIERS = Section(
    "Identifiers and params",
    cases=(
        Case(
            "An id is empty, `.` or `..`, has control characters, or hides them in `%2e`",
            "`InvalidParamsError`; nothing is sent",
            tests=(
                "tests/faults/test_identifiers.py::test_ids_that_lead_elsewhere",
                "tests/wire/messages/test_operations.py::test_an_id_that_leads_elsewhere_is_refused",
            ),
        ),
        Case(
            "An id has a slash, `?`, `#`, `%`, or letters of any script",
            "Quoted: one segment of the path, or one query parameter",
            tests=(
                "tests/faults/test_identifiers.py::test_ids_are_one_segment",
                "tests/client/test_flows.py::test_ids_are_quoted_whole",
            ),
        ),
        Case(
            "Params hold NaN, `NaT`, infinity, a set, bytes, a cycle, or half a character",
            "`InvalidParamsError` with the path, such as `params.a[0]`; nothing is sent",
            tests=(
                "tests/faults/test_sending.py::test_params_that_json_cannot_carry",
                "tests/client/test_flows.py::test_parameters_that_json_cannot_carry",
            ),
        ),
        Case(
            "An `idempotency_key` cannot stand in a header, or has more than 255 characters",
            "`InvalidParamsError`; nothing is sent",
            tests=(
                "tests/faults/test_identifiers.py::test_idempotency_keys",
                "tests/client/test_flows.py::test_keys_that_a_header_cannot_carry",
            ),
        ),
        Case(
            "A header of yours is `Authorization`, `Signature` or `Host`, or has a line break",
            "`ConfigurationError` where it is given",
            tests=("tests/faults/test_identifiers.py::test_headers_that_replace_ours",),
        ),
        Case(
            "A time to wait is negative or no number, or a callback is no function",
            "`InvalidParamsError`; no run is started",
            tests=(
                "tests/client/test_runs.py::test_a_wait_timeout_that_is_none_costs_no_run",
                "tests/client/test_mended.py::test_a_callback_that_cannot_be_called",
                "tests/client/test_runs.py::test_times_that_are_none",
            ),
        ),
    ),
)

_SECRETS = Section(
    "Logging and secrets",
    cases=(
        Case(
            "dcipher is imported",
            "Nothing is configured; the root logger is never touched",
            tests=(
                "tests/test_logs.py::test_importing_configures_nothing",
                "tests/test_logs.py::test_configure_leaves_the_users_handlers",
            ),
        ),
        Case(
            "`DCIPHER_LOG` is set, and several clients are made",
            "The logger `dcipher` gets that level, and one handler on stderr, once",
            tests=(
                "tests/faults/test_logging.py::test_a_program_that_is_logged",
                "tests/test_logs.py::test_configure_twice_gives_one_handler",
            ),
        ),
        Case(
            "httpx logs a signed URL",
            "Its query is masked; nothing else of httpx's and httpcore's records is changed",
            tests=(
                "tests/test_logs.py::test_signed_urls_are_masked",
                "tests/test_logs.py::test_nothing_else_is_changed",
                "tests/test_logs.py::test_other_loggers_are_left_alone",
            ),
        ),
        Case(
            "An httpx client of yours speaks HTTP/2, and its libraries log the headers",
            "Key and signed URLs are masked in them",
            tests=("tests/wire/transport/test_http2.py::test_nothing_secret_is_logged",),
        ),
        Case(
            "An answer has hundreds of signed URLs, or megabytes in which secrets may be",
            "Masked in a time that grows with the text alone",
            tests=(
                "tests/masking/test_text.py::test_the_time_is_linear",
                "tests/masking/test_text.py::test_very_many_secrets_are_narrowed_to_those_that_are_repeated",
                "tests/wire/messages/test_parsing.py::test_a_start_with_very_many_urls_takes_no_longer",
            ),
        ),
        Case(
            "Everything is logged at the lowest level",
            "No key, secret or signed URL is in it",
            tests=(
                "tests/client/test_secrets.py::test_a_whole_run_shows_no_secret",
                "tests/faults/test_logging.py::test_a_download_that_is_tried_again",
            ),
        ),
        Case(
            "The service repeats the key in an error, or the store the signature",
            "Masked in the text, body and headers of the error, and in its pickle",
            tests=(
                "tests/client/test_secrets.py::test_a_service_that_answers_with_the_request",
                "tests/client/test_secrets.py::test_a_store_that_answers_with_the_request",
                "tests/wire/errors/test_status_errors.py::test_an_error_repeats_no_secret",
            ),
        ),
        Case(
            "A reporter of errors keeps the variables of every frame",
            "No frame of the package or of httpx is there, after Ctrl-C and a cancellation neither",
            tests=(
                "tests/client/test_tracebacks.py::test_a_call_that_fails",
                "tests/client/test_tracebacks.py::test_ctrl_c",
                "tests/client/test_tracebacks.py::test_a_cancellation",
            ),
        ),
        Case(
            "A run is printed, dumped, or pickled",
            "Without its URLs; `to_json(reveal=True)` has them",
            tests=(
                "tests/test_models.py::test_a_signed_url_is_not_shown",
                "tests/test_models.py::test_a_pickle_comes_back_without_its_urls",
                "tests/test_models.py::test_a_revealed_run_goes_through_json_whole",
            ),
        ),
        Case(
            "Any `DcipherError` goes to another process in a pickle",
            "The same error, attribute by attribute, but for signed URLs",
            tests=("tests/test_errors.py::test_pickles",),
        ),
        Case(
            "A setting with a secret in it cannot be used",
            "`ConfigurationError` without its value, in its traceback too",
            tests=(
                "tests/faults/test_configuration.py::test_a_traceback_without_the_value",
                "tests/client/test_construction.py::test_settings_that_cannot_be_used",
            ),
        ),
        Case(
            "A proxy has a password",
            "It is in no log, repr or error",
            tests=(
                "tests/client/test_secrets.py::test_a_proxy_with_a_password",
                "tests/faults/test_connecting.py::test_a_proxy_password_is_not_shown",
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
    _SIGNED_URLS,
    _DOWNLOADING,
    _FILES,
    _PROCESSES,
    _SETTINGS,
    _IDENTIFIERS,
    _SECRETS,
)
