"""The signature base: the components of a request, and their lines (RFC 9421 section 2)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

__all__ = [
    "SignatureError",
    "component",
    "derived_components",
    "header_components",
    "signature_base",
]

_DEFAULT_PORTS = {"http": 80, "https": 443}

_URL = re.compile(
    r"""
    (?P<scheme> [a-z][a-z0-9+.-]* ) :// (?: [^/?\#@]* @ )?
    (?P<authority> (?P<host> \[ [^]/?\#@]+ \] | [^]/?\#@:[]+ ) (?: : (?P<port> [0-9]{0,5} ) )? )
    (?P<path> / [^?\#]* )? (?P<query> \? [^\#]* )? (?: \# .* )?
    """,
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
_URL_TEXT = re.compile(r"[!-~]+")
_NEWLINES = re.compile(r"[\r\n]+")
_COMPONENT_NAME = re.compile(r"@?[!#$%&'*+.^_`|~0-9a-z-]+")

# RFC 9421 2.5: a newline in a value would forge a line of the signature base.
_COMPONENT_VALUE = re.compile(r"[\t -~]*")


class SignatureError(ValueError):
    """A request cannot be signed, or its signature is missing, malformed or invalid."""

    # The module that users import it from, for tracebacks and pickles.
    __module__ = "dcipher.signing"


def derived_components(method: str, url: str) -> dict[str, str]:
    """Returns the components of the request line, by name (RFC 9421 2.2).

    Raises:
        SignatureError: `url` is not absolute, or is not spelled as it is sent.
    """
    match = _URL.fullmatch(url) if _URL_TEXT.fullmatch(url) else None
    if match is None:
        raise SignatureError("the URL is not absolute, or is not spelled as it is sent")
    scheme = match["scheme"].lower()
    # RFC 9421 2.2.6 and 2.2.7: an empty path is "/", an empty query "?".
    path, query = match["path"] or "/", match["query"] or ""
    return {
        "@method": method,
        "@target-uri": f"{match['scheme']}://{match['authority']}{path}{query}",
        "@authority": _authority(scheme, match["host"].lower(), match["port"]),
        "@scheme": scheme,
        "@request-target": path + query,
        "@path": path,
        "@query": query or "?",
    }


def _authority(scheme: str, host: str, port: str | None) -> str:
    # RFC 9421 2.2.3: lower case, without the port that the scheme implies.
    if not port or int(port) == _DEFAULT_PORTS.get(scheme):
        return host
    return f"{host}:{int(port)}"


def header_components(headers: Mapping[str, str]) -> dict[str, str]:
    """Returns the canonical value of each header, by its name in lower case (RFC 9421 2.1)."""
    fields: dict[str, str] = {}
    for name, value in headers.items():
        lower, line = name.lower(), _unfolded(value)
        # RFC 9421 2.1: several lines of one field are one value.
        fields[lower] = f"{fields[lower]}, {line}" if lower in fields else line
    return fields


def _unfolded(value: str) -> str:
    # RFC 9421 2.1: no blanks around a line, and a single one for each old line folding.
    lines = (line.strip(" \t") for line in _NEWLINES.split(value))
    return " ".join(line for line in lines if line)


def component(values: Mapping[str, str], name: str) -> str:
    """Returns the value of a component.

    Raises:
        SignatureError: The request has no such component.
    """
    if name not in values:
        raise SignatureError(f"the request has no {name!r}")
    return values[name]


def signature_base(components: Sequence[tuple[str, str]], params: str) -> bytes:
    """Returns the bytes to sign (RFC 9421 2.5). They contain the API key: never log them.

    Args:
        components: Names and values, in order.
        params: The value of `@signature-params`: the list of names in brackets, and the parameters.

    Raises:
        SignatureError: A name is not the name of a component, or a value is not one line of ASCII.
    """
    lines: list[str] = []
    for name, value in components:
        if not _COMPONENT_NAME.fullmatch(name):
            raise SignatureError(f"{name!r} is not the name of a component")
        if not _COMPONENT_VALUE.fullmatch(value):
            raise SignatureError(f"the value of {name!r} is not one line of printable ASCII")
        lines.append(f'"{name}": {value}\n')
    if not _COMPONENT_VALUE.fullmatch(params):
        raise SignatureError("the signature parameters are not one line of printable ASCII")
    return f'{"".join(lines)}"@signature-params": {params}'.encode("ascii")
