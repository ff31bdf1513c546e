"""Formats a request as a curl command and as a Python program. Pure.

They contain no secret: the key is `$DCIPHER_API_KEY`, and redacted values stay redacted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pprint import pformat
from shlex import quote
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qs, unquote
from urllib.parse import quote as percent_quote

from pydantic_core import from_json

from dcipher.emulator.faults.messages import ROUTES
from dcipher.emulator.gate.masking import MASK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

__all__ = ["Sent", "as_curl", "as_python"]

# Headers about the client or the connection, and those that curl cannot compute.
_LEFT_OUT: Final = {
    *("accept", "accept-encoding", "authorization", "connection", "content-digest"),
    *("content-length", "host", "signature", "signature-input", "transfer-encoding", "user-agent"),
}
_ON_LOOPBACK = re.compile(r"http://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")
_NO_BODY = "# The body was not stored: write it to the file `body`."
_MASKED = f"# Replace each {MASK} with the secret."


@dataclass(frozen=True, slots=True)
class Sent:
    """A request from the journal."""

    base_url: str
    method: str
    path: str
    """Decoded."""
    query: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: str | None = ""
    """`None` if it was not stored completely."""

    @property
    def target(self) -> str:
        """Path and query of the URL, percent-encoded."""
        # safe: the characters that RFC 3986 section 3.3 permits in a path.
        path = percent_quote(self.path, safe="/:@!$&'()*+,;=~")
        return f"{path}?{self.query}" if self.query else path


def as_curl(sent: Sent) -> str:
    """Returns a command for a POSIX shell."""
    notes: list[str] = []
    words = ["curl"]
    if sent.method not in {"GET", "POST"} or (sent.method == "POST" and sent.body == ""):
        words.append(f"-X {quote(sent.method)}")
    if re.search(r"[\[\]{}]", sent.target + sent.base_url):
        words.append("--globoff")
    parts = [" ".join([*words, quote(_printable(sent.base_url + sent.target))])]
    if "authorization" in sent.headers:
        parts.append('-H "Authorization: Api-Key $DCIPHER_API_KEY"')
    for name, value in sent.headers.items():
        if name not in _LEFT_OUT and value != MASK:
            # Without a value, curl would remove the header.
            shown = f"{name}: {value}" if value else f"{name};"
            parts.append(f"-H {quote(_printable(shown))}")
    before = ""
    if sent.body is None:
        notes.append(_NO_BODY)
        parts.append("--data-binary @body")
    elif not _is_visible(sent.body):
        before = f"printf %b {quote(_octal(sent.body))} | "
        parts.append("--data-binary @-")
    elif sent.body:
        parts.append(f"--data-raw {quote(sent.body)}")
    if "signature" in sent.headers:
        notes.append("# The request was signed, which curl cannot do.")
    if MASK in sent.query or MASK in (sent.body or ""):
        notes.append(_MASKED)
    return "\n".join([*notes, before + " \\\n  ".join(parts)])


def as_python(sent: Sent) -> str:
    """Returns a program that reads its key from DCIPHER_API_KEY."""
    for method, operation, pattern in ROUTES:
        # The path is encoded again, because a decoded slash does not end a name.
        found = pattern.fullmatch(sent.target.partition("?")[0])
        if found is not None and method == sent.method:
            lines = _OPERATIONS[operation](sent, tuple(map(unquote, found.groups())))
            if lines is not None:
                return _program("Run, Dcipher" if operation == "result" else "Dcipher", sent, lines)
    return _any_request(sent)


def _start(sent: Sent, names: tuple[str, ...]) -> list[str] | None:
    params = _params(sent.body)
    if params is None:
        return None
    arguments = [_literal(names[0])]
    if params:
        arguments.append(_literal(params))
    key = sent.headers.get("idempotency-key")
    if key:
        arguments.append(f"idempotency_key={_literal(key)}")
    notes = [_MASKED] if MASK in (sent.body or "") else []
    return [*notes, *_call("run = client.flows.start", arguments), "print(run.task_id, run.status)"]


def _status(sent: Sent, names: tuple[str, ...]) -> list[str] | None:
    task_ids = parse_qs(sent.query).get("taskId")
    if not task_ids:
        return None
    arguments = [_literal(names[0]), _literal(task_ids[-1])]
    return [*_call("run = client.runs.get", arguments), "print(run.status, run.message)"]


def _flow(_: Sent, names: tuple[str, ...]) -> list[str]:
    return [f"print(client.flows.get({_literal(names[0])}))"]


def _result(_: Sent, names: tuple[str, ...]) -> list[str]:
    return [
        "# Only the program that started the run has the signed URL. It stored the run:",
        '# Path("run.json").write_text(run.to_json(reveal=True))',
        'run = Run.from_json(Path("run.json").read_text(encoding="utf-8"))',
        f'print(client.runs.download(run, "output-{int(names[1])}"))',
    ]


_OPERATIONS: Final = {"start": _start, "status": _status, "flow": _flow, "result": _result}


def _program(names: str, sent: Sent, lines: list[str]) -> str:
    insecure = "" if _ON_LOOPBACK.fullmatch(sent.base_url) else ", allow_insecure=True"
    imported = ", ".join(sorted(names.split(", ")))
    head = [f"from dcipher import {imported}", ""]
    if "Run" in imported:
        head = ["from pathlib import Path", "", *head]
    opened = f"with Dcipher(base_url={_literal(sent.base_url)}{insecure}) as client:"
    return "\n".join([*head, opened, *(f"    {line}" if line else "" for line in lines)])


def _any_request(sent: Sent) -> str:
    """Formats a request that is not a valid operation of the API."""
    keyed = "authorization" in sent.headers
    lines = ["import os", ""] if keyed else []
    client = "HTTPAuthenticatedClient" if keyed else "HTTPClient"
    lines += [f"from dcipher.http import {client}", ""]
    arguments = [_literal(sent.base_url)]
    if keyed:
        arguments += ['api_key=os.environ["DCIPHER_API_KEY"]', 'auth_header_name="Authorization"']
        arguments.append('auth_scheme="Api-Key"')
    lines += _call("client = " + client, arguments)
    call_arguments = [_literal(sent.method), _literal(sent.target)]
    headers = {
        name: value
        for name, value in sent.headers.items()
        if name not in _LEFT_OUT and value != MASK
    }
    if headers:
        call_arguments.append(f"headers={_literal(cast('JsonValue', headers))}")
    if sent.body is None:
        lines.append(_NO_BODY)
        call_arguments.append('content=open("body", "rb").read()')
    elif sent.body:
        call_arguments.append(f"content={_literal(sent.body)}.encode()")
    if MASK in sent.query or MASK in (sent.body or ""):
        lines.append(_MASKED)
    lines.append("with client:")
    called = _call("response = client.get_or_create_httpx_client().request", call_arguments)
    return "\n".join([*lines, *(f"    {line}" for line in called), "    print(response.text)"])


def _params(body: str | None) -> dict[str, JsonValue] | None:
    """Returns the params of a start; `None` if they are invalid."""
    try:
        value: JsonValue = from_json(body or "", allow_inf_nan=False)
    except ValueError:
        return None
    params = value.get("pipelineParams") if isinstance(value, dict) else None
    return params if isinstance(params, dict) else None


def _call(name: str, arguments: list[str]) -> list[str]:
    """Formats a call, on one line if it fits."""
    line = f"{name}({', '.join(arguments)})"
    if len(line) <= 88 and "\n" not in line:
        return [line]
    indented = [f"    {line}" for argument in arguments for line in f"{argument},".split("\n")]
    return [f"{name}(", *indented, ")"]


def _literal(value: JsonValue) -> str:
    """Formats a Python literal: `repr` escapes unprintable characters."""
    if isinstance(value, str):
        text = repr(value)
        # Double quotes, as formatters write them.
        if text.startswith("'") and '"' not in text:
            return f'"{text[1:-1]}"'
        return text
    return pformat(value, width=80, sort_dicts=False)


def _is_visible(text: str) -> bool:
    return all(c.isprintable() or c in "\t\n" for c in text)


def _octal(text: str) -> str:
    """Escapes bytes for `printf %b` of POSIX, with printable characters only."""
    return "".join(
        c if c.isprintable() and c != "\\" else "".join(f"\\0{byte:03o}" for byte in c.encode())
        for c in text
    )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else percent_quote(c) for c in text)
