"""Invalid bodies and headers, which some services send."""

from __future__ import annotations

import json

from hypothesis import strategies as st

__all__ = ["bodies", "curiosities", "headers", "responses_json", "statuses"]

_NAMES = [
    *("taskId", "status", "message", "id", "name", "params", "description", "required", "default"),
    *("signedResponseURL", "signedResponseURLs", "detail", "errors", "error", "loc", "msg", "type"),
    *("title", "instance", "pointer", "field_errors", "flow_id", "outputs", "task_id", "self"),
    *("model_config", "__class__", "_secret", "copy", "created_at", "", "\u202e", "a b", "0"),
]
_ESCAPES = "\x1b[31m\x07\r\n\u202e\u2028\ufeff\x00\x9b"
_texts = (
    st.text(max_size=12)
    | st.text(_ESCAPES + "aé😀", max_size=12)
    | st.sampled_from(
        [
            "SUCCEEDED",
            " running ",
            "setting up cluster",
            "https://s/r?X-Amz-Signature=S&X-Amz-Date=20240102T030405Z&X-Amz-Expires=60",
            "https://s/r?sig=S&se=0001-01-01T00:00:00%2B14:00",
            "https://s/r?sig=S&se=9999-12-31T23:59:59-14:00",
            "https://s/r?Signature=S&Expires=99999999999999999999",
            "http://[",
            "..",
            "x" * 3000,
        ]
    )
)
_numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from([10**30, -(10**30), 10**400, 1e308, -0.0, 2**63, True])
)
_leaves = st.none() | st.booleans() | _numbers | _texts
_keys = st.sampled_from(_NAMES) | _texts
responses_json = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=6),
    max_leaves=16,
)
"""JSON of the right names and wrong shapes."""
_objects = st.dictionaries(_keys, responses_json, max_size=8)

_written = st.builds(
    lambda value, ascii_, encoding: json.dumps(value, ensure_ascii=ascii_).encode(
        encoding, "replace"
    ),
    _objects | responses_json,
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32-le", "latin-1"]),
)


def _around(value: bytes) -> list[bytes]:
    return [
        value,
        b'{"message": %s}' % value,
        b'{"taskId": %s, "status": %s, "id": %s}' % ((value,) * 3),
        b'{"taskId": "t", "status": "RUNNING", "id": "f", "name": "n", "extra": %s}' % value,
    ]


curiosities: list[bytes] = [
    *(
        b"",
        b" \n",
        b"\xef\xbb\xbf",
        b"null",
        b"NaN",
        b"-Infinity",
        b"\xff\xfe",
        b"\x00",
        b"{",
        b'"',
    ),
    *_around(b"1" * 4000),
    *_around(b"1" * 5000),
    *_around(b"-" + b"9" * 300 + b".5e-7"),
    *_around(b"1e999"),
    *_around(rb'"\ud800"'),
    *_around(rb'"\udc00\ud800"'),
    *_around(rb'"\u0000\u001b[2J\u009b31m\u202egnp.exe"'),
    *_around(b"[" * 100_000),
    *_around(b"[" * 100_000 + b"]" * 100_000),
    *_around(b"[" * 190 + b"]" * 190),
    *_around(b'{"a":' * 100_000),
    *_around(b'{"message":' * 150 + b"1" + b"}" * 150),
    *_around(b'"' + b"x\\n" * 70_000 + b'"'),
    b'{"taskId": "a", "taskId": ["b"], "status": "x", "status": 1, "id": "f", "id": null}',
    b'{"message": "a", "message": NaN}',
    '{"message": "é"}'.encode("utf-16"),
    b"<html>\x1b]0;owned\x07<title>502</title>",
    b'{"detail": ['
    + b",".join(
        b'{"loc": ["%s", %d], "msg": "%s"}' % (b"l" * 300, n, b"m" * 300) for n in range(30)
    )
    + b"]}",
    b'{"detail": [{"loc": [1e999, null, {}, [], "\\u001b"], "msg": "m", "type": 5}]}',
    b'{"errors": [{"detail": "d", "pointer": "#/%ff/~0~1/%00"}], "title": "t", "type": "u"}',
]

bodies = st.binary(max_size=80) | _written | st.sampled_from(curiosities)

statuses = st.integers(100, 999) | st.sampled_from([200, 201, 204, 302, 304, 401, 422, 429, 503])

_values = (
    st.binary(max_size=30)
    | st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace"))
    | st.sampled_from(
        [
            *(
                b"application/json",
                b"text/html; charset=utf-16",
                b"a/b; charset=hex",
                b"; charset=",
            ),
            *(b"gzip", b"GZIP, gzip", b"br", b"identity", b"deflate", b", ,", b"gzip;q=0"),
            *(b"1e400", b"-1", b"9" * 400, b"0", b"Fri, 31 Dec 9999 23:59:59 GMT", b"Mon, 01"),
            *(
                b"https://u:p@h/?token=T",
                b"//[",
                b"http://\xff/",
                b"/x?y",
                b"\x1b[31m",
                b"x" * 5000,
            ),
        ]
    )
)
_header_names = st.sampled_from(
    [
        *(b"Content-Type", b"Content-Encoding", b"Retry-After", b"retry-after-ms", b"Date"),
        *(b"X-Request-Id", b"x-request-id", b"Location", b"Set-Cookie", b"Content-Length"),
        *(b"Transfer-Encoding", b"Link", b"X", b"Content-Location", b"Connection"),
    ]
)
headers = st.lists(st.tuples(_header_names, _values), max_size=6)
"""Pairs, some of them of one name."""
