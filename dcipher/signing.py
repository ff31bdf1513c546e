"""HTTP message signatures (RFC 9421, `hmac-sha256`) and body digests (RFC 9530).

Everything here is pure: text and bytes in, text or an error out, the standard library and nothing
else. Whether the service checks signatures, and which, is unknown, so `Signer` is what the clients
ask for, and `HMACSigner` is one that follows the standard.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import math
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Protocol, TypeGuard, final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

__all__ = [
    "HMACSigner",
    "SignatureError",
    "Signer",
    "VerifiedSignature",
    "content_digest",
    "digest_matches",
    "digests",
    "key_id",
    "signature_base",
    "verify_request",
]

_ALGORITHM = "hmac-sha256"
_LABEL = "sig1"
_DIGESTS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 9651 3.3.1: keeps `expires` within the 15 digits of an integer.
_MAX_LIFETIME = 1e12

# RFC 9110 9.3: the methods for which content has a meaning; an empty body of theirs is signed too.
_CONTENT_METHODS = frozenset({"PATCH", "POST", "PUT"})
_CONTENT_FIELDS = ("content-type", "content-digest", "idempotency-key")

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
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_COMPONENT_NAME = re.compile(r"@?[!#$%&'*+.^_`|~0-9a-z-]+")

# RFC 9421 2.5: a newline in a value would forge a line of the signature base.
_COMPONENT_VALUE = re.compile(r"[\t -~]*")


class SignatureError(ValueError):
    """A request that cannot be signed, or whose signature is missing, malformed or wrong."""


class Signer(Protocol):
    """Anything that can sign a request: pluggable, since the service's own scheme is unknown."""

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """Return the headers to add to (or replace in) this attempt of the request.

        `url` is absolute and spelled as it is sent; `headers` maps names (any case) to values;
        `body` holds the exact bytes, `b""` where there are none.
        """
        ...


def _random_nonce() -> str:
    return secrets.token_urlsafe(16)


@dataclass(frozen=True, slots=True, init=False, eq=False)
class HMACSigner:
    """Signs requests by RFC 9421 with a shared secret; immutable, and safe to share.

    A signature covers the method, authority, path, query and the header with the API key; for a
    request with content also its type, its digest and the idempotency key; each header only where
    the request has it. Every call makes a new nonce, so every attempt is signed by itself.

    Args:
        secret: shared with the service; text stands for its UTF-8 bytes.
        key_id: tells the service which secret to take. It travels in the clear: never the key
            itself; `dcipher.signing.key_id` makes one of it.
        key_header: the header that carries the API key, any case.
        lifetime: seconds from `created` to `expires`, rounded up.
        tag: names the application, so that a signature is not taken for another one's.
        clock: seconds since the epoch.
        nonce: makes a text that never repeats; 16 random bytes unless given.

    Raises:
        ValueError: the secret is empty, the lifetime is not positive and finite, or a text cannot
            stand in a header.
    """

    key_id: str
    key_header: str
    lifetime: float
    tag: str
    _clock: Callable[[], float] = field(repr=False)
    _nonce: Callable[[], str] = field(repr=False)
    _mac: hmac.HMAC = field(repr=False)
    _quoted_key_id: str = field(repr=False)
    _quoted_tag: str = field(repr=False)

    def __init__(
        self,
        secret: str | bytes,
        *,
        key_id: str,
        key_header: str = "authorization",
        lifetime: float = 300.0,
        tag: str = "dcipher",
        clock: Callable[[], float] = time.time,
        nonce: Callable[[], str] = _random_nonce,
    ) -> None:
        if not 0 < lifetime <= _MAX_LIFETIME:
            raise ValueError("lifetime must be a positive, finite number of seconds")
        if not _FIELD_NAME.fullmatch(key_header.lower()):
            raise ValueError("key_header must be the name of a header")
        keep = object.__setattr__
        # A keyed HMAC state signs as well as the secret does, and does not give it away.
        keep(self, "_mac", hmac.new(_key_bytes(secret, "secret"), digestmod=hashlib.sha256))
        keep(self, "_quoted_key_id", _quoted(key_id))
        keep(self, "_quoted_tag", _quoted(tag))
        keep(self, "_clock", clock)
        keep(self, "_nonce", nonce)
        keep(self, "key_id", key_id)
        keep(self, "key_header", key_header.lower())
        keep(self, "lifetime", lifetime)
        keep(self, "tag", tag)

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """Return `Signature-Input`, `Signature` and, where there is content, `Content-Digest`.

        Raises:
            SignatureError: the URL is not absolute, or a covered value is not printable ASCII.
        """
        names = ["@method", "@authority", "@path", "@query", self.key_header]
        fields = _fields(headers)
        added: dict[str, str] = {}
        if body or method in _CONTENT_METHODS:
            names += _CONTENT_FIELDS
            added["Content-Digest"] = fields["content-digest"] = content_digest(body)
        values = fields | _derived(method, url)
        components = [(name, values[name]) for name in names if name in values]
        params = self._params([name for name, _ in components])
        mac = self._mac.copy()
        mac.update(signature_base(components, params))
        added["Signature-Input"] = f"{_LABEL}={params}"
        added["Signature"] = f"{_LABEL}={_binary(mac.digest())}"
        return added

    def _params(self, names: Sequence[str]) -> str:
        created = int(self._clock())
        covered = " ".join(f'"{name}"' for name in names)
        return (
            f"({covered});created={created};expires={created + math.ceil(self.lifetime)}"
            f';keyid={self._quoted_key_id};alg="{_ALGORITHM}"'
            f";nonce={_quoted(self._nonce())};tag={self._quoted_tag}"
        )

    # The standard library of 3.10 has no typing.override to say so.
    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds a secret and is neither pickled nor copied")


def key_id(api_key: str) -> str:
    """Return a name for an API key that does not give it away: 16 hex digits of its SHA-256.

    Raises:
        ValueError: the key is empty, or not text that UTF-8 can carry.
    """
    return hashlib.sha256(_key_bytes(api_key, "API key")).hexdigest()[:16]


def content_digest(body: bytes, algorithm: str = "sha-256") -> str:
    """Return the value of `Content-Digest` (RFC 9530) over exactly these bytes.

    Raises:
        ValueError: `algorithm` is neither `sha-256` nor `sha-512`.
    """
    if algorithm not in _DIGESTS:
        raise ValueError(f"algorithm must be one of {', '.join(_DIGESTS)}")
    return f"{algorithm}={_binary(_DIGESTS[algorithm](body).digest())}"


def digests(header: str) -> dict[str, bytes]:
    """Return what a `Content-Digest` or `Repr-Digest` holds, by algorithm, known or not.

    A member that is malformed is left out; nothing is raised.
    """
    members = (_DIGEST.fullmatch(member[0]) for member in _MEMBERS.finditer(header))
    found = ((member["algorithm"], _unbinary(member["digest"])) for member in members if member)
    return {algorithm: digest for algorithm, digest in found if digest is not None}


def digest_matches(header: str, body: bytes) -> bool | None:
    """Return whether every digest of a known algorithm is the body's; None where there is none."""
    known = {name: value for name, value in digests(header).items() if name in _DIGESTS}
    if not known:
        return None
    return all(
        hmac.compare_digest(_DIGESTS[name](body).digest(), value) for name, value in known.items()
    )


def signature_base(components: Sequence[tuple[str, str]], params: str) -> bytes:
    """Return the bytes that are signed (RFC 9421 2.5). They hold the API key: never log them.

    `components` are names and values in their order, `params` is the whole value of
    `@signature-params`: the list of the names in brackets and the parameters after it.

    Raises:
        SignatureError: a name is not one of a component, or a value is not one line of ASCII.
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


@dataclass(frozen=True)
class VerifiedSignature:
    """What a signature that holds says of itself; None where it says nothing.

    `created` and `expires` are seconds since the epoch; `components` are the names of what is
    covered: anything else in the request is not vouched for.
    """

    key_id: str | None
    created: int | None
    expires: int | None
    nonce: str | None
    tag: str | None
    components: tuple[str, ...]


def verify_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secret: str | bytes,
    required: Collection[str] = (),
    now: float | None = None,
    max_skew: float = 60.0,
) -> VerifiedSignature:
    """Return the first `hmac-sha256` signature of the request that holds.

    Who wrote it does not matter; a signature without `alg` is taken for `hmac-sha256`. A
    `Content-Digest` is checked against the body wherever there is one. It is the caller's part to
    look up the secret by `keyid`, to refuse a nonce that was seen before, and to limit the age of
    a signature without `expires`.

    Args:
        method: as sent.
        url: absolute, as the signer sees it: behind a proxy, the outer one.
        headers: names (any case) to values; pairs that repeat a name are joined.
        body: the exact bytes, before any decoding.
        secret: shared with the signer; text stands for its UTF-8 bytes.
        required: names of components that the signature must cover. Without `content-digest` among
            them the body may be anything.
        now: seconds since the epoch; the present unless given.
        max_skew: seconds that the two clocks may differ.

    Raises:
        SignatureError: there is no such signature; the text says why the first candidate failed.
        ValueError: the secret is empty.
    """
    key = _key_bytes(secret, "secret")
    fields = _fields(headers)
    request = _Request(fields | _derived(method, url), body)
    policy = _Policy(frozenset(required), time.time() if now is None else now, max_skew)
    inputs = _Reader(_field(fields, "signature-input")).dictionary()
    signatures = _Reader(_field(fields, "signature")).dictionary()
    failures: list[SignatureError] = []
    for label, member in inputs.items():
        if not _is_candidate(member):
            continue
        try:
            return _verified(member, signatures.get(label), key, request, policy)
        except SignatureError as failure:
            failures.append(failure)
    raise failures[0] if failures else SignatureError(f"there is no {_ALGORITHM} signature")


class _Request(NamedTuple):
    """What a signature may cover: values by component name, and the body."""

    values: Mapping[str, str]
    body: bytes


class _Policy(NamedTuple):
    """What is asked of a signature besides being right."""

    required: frozenset[str]
    now: float
    max_skew: float


def _is_candidate(member: _Member) -> TypeGuard[_InnerList]:
    if not isinstance(member, _InnerList):
        return False
    # RFC 9421 2.3: `alg` is a string; a token of the same letters is not.
    return _serialized(member.params.get("alg", _ALGORITHM)) == f'"{_ALGORITHM}"'


def _verified(
    member: _InnerList, signature: _Member | None, key: bytes, request: _Request, policy: _Policy
) -> VerifiedSignature:
    if not isinstance(signature, _Item) or not isinstance(signature.value, bytes):
        raise SignatureError("the signature is missing, or is not a byte sequence")
    names = _covered(member)
    components = [(name, _field(request.values, name)) for name in names]
    base = signature_base(components, _serialized_list(member))
    if not hmac.compare_digest(hmac.digest(key, base, "sha256"), signature.value):
        raise SignatureError("the signature does not match the request")
    verified = _described(member.params, names)
    _check_policy(verified, policy)
    _check_digest(verified, request)
    return verified


def _covered(member: _InnerList) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for item in member.items:
        if type(item.value) is not str or item.params:
            raise SignatureError("only components without parameters are supported")
        # RFC 9421 2.5: an identifier occurs once.
        if item.value in names:
            raise SignatureError(f"{item.value!r} is covered twice")
        names[item.value] = None
    return tuple(names)


def _described(params: Mapping[str, _Bare], names: tuple[str, ...]) -> VerifiedSignature:
    return VerifiedSignature(
        key_id=_text(params, "keyid"),
        created=_seconds(params, "created"),
        expires=_seconds(params, "expires"),
        nonce=_text(params, "nonce"),
        tag=_text(params, "tag"),
        components=names,
    )


def _check_policy(signature: VerifiedSignature, policy: _Policy) -> None:
    if signature.created is not None and signature.created > policy.now + policy.max_skew:
        raise SignatureError("the signature was created in the future")
    if signature.expires is not None and signature.expires < policy.now - policy.max_skew:
        raise SignatureError("the signature has expired")
    missing = policy.required.difference(signature.components)
    if missing:
        raise SignatureError(f"the signature does not cover {', '.join(sorted(missing))}")


def _check_digest(signature: VerifiedSignature, request: _Request) -> None:
    header = request.values.get("content-digest")
    if header is None:
        return
    matches = digest_matches(header, request.body)
    # An unknown algorithm alone says nothing, but a signature over it would vouch for no body.
    if matches is False or (matches is None and "content-digest" in signature.components):
        raise SignatureError("the content digest does not match the body")


def _text(params: Mapping[str, _Bare], name: str) -> str | None:
    value = params.get(name)
    if value is not None and type(value) is not str:
        raise SignatureError(f"the parameter {name} is not a string")
    return value


def _seconds(params: Mapping[str, _Bare], name: str) -> int | None:
    value = params.get(name)
    if value is not None and type(value) is not int:
        raise SignatureError(f"the parameter {name} is not an integer")
    return value


def _key_bytes(secret: str | bytes, what: str) -> bytes:
    # Python's own UnicodeEncodeError would carry the secret.
    if isinstance(secret, str) and any("\ud800" <= character <= "\udfff" for character in secret):
        raise ValueError(f"the {what} is not UTF-8 text")
    key = secret.encode() if isinstance(secret, str) else secret
    if not key:
        raise ValueError(f"the {what} is empty")
    return key


def _derived(method: str, url: str) -> dict[str, str]:
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


def _fields(headers: Mapping[str, str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in headers.items():
        lower, line = name.lower(), _unfolded(value)
        # RFC 9421 2.1: several lines of one field are one value.
        fields[lower] = f"{fields[lower]}, {line}" if lower in fields else line
    return fields


def _unfolded(value: str) -> str:
    # RFC 9421 2.1: no blanks around a line, and a single one for each old line folding.
    if "\n" not in value and "\r" not in value:
        return value.strip(" \t")
    lines = (line.strip(" \t") for line in _NEWLINES.split(value))
    return " ".join(line for line in lines if line)


def _field(values: Mapping[str, str], name: str) -> str:
    if name not in values:
        raise SignatureError(f"the request has no {name!r}")
    return values[name]


# Structured fields (RFC 9651), as much of them as the two signature headers need. Decimals, dates
# and display strings are not part of that; they are refused like malformed text.


@final
class _Token(str):
    """A token, which is not a string to anyone who asks for one."""

    __slots__ = ()


_Bare = int | str | bytes


class _Item(NamedTuple):
    value: _Bare
    params: dict[str, _Bare]


class _InnerList(NamedTuple):
    items: list[_Item]
    params: dict[str, _Bare]


_Member = _Item | _InnerList

_BARE = re.compile(
    r"""
      -?[0-9]{1,15}
    | "(?:[\x20!\x23-\[\]-~]|\\["\\])*"
    | :[A-Za-z0-9+/]*={0,2}:
    | \?[01]
    | [A-Za-z*][!\x23$%&'*+.^_`|~0-9A-Za-z:/-]*
    """,
    re.VERBOSE,
)
_KEY = re.compile(r"[a-z*][a-z0-9_.*-]*")
_BLANKS = re.compile(r" *")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_END = re.compile(r" *\Z")
_EQUALS = re.compile(r"=")
_SEMICOLON = re.compile(r"; *")
_OPEN = re.compile(r"\( *")
_CLOSE = re.compile(r"\)")
_BETWEEN = re.compile(r" +|(?=\))")

# A comma inside quotes divides nothing; a quote that is never closed reaches to the end.
_MEMBERS = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_DIGEST = re.compile(
    r"[ \t]*(?P<algorithm>[a-z*][a-z0-9_.*-]*)=:(?P<digest>[A-Za-z0-9+/]*={0,2}):(?:;.*)?[ \t]*",
    re.DOTALL,
)


@final
class _Reader:
    """Reads a structured field from left to right (RFC 9651 4.2)."""

    __slots__ = ("_position", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def dictionary(self) -> dict[str, _Member]:
        """Return the members of the field; it must have one, and each only once."""
        members: dict[str, _Member] = {}
        self._skip(_BLANKS)
        while True:
            key = self._expect(_KEY)
            if key in members:
                raise SignatureError(f"the label {key} stands twice in one header")
            members[key] = self._member()
            if self._take(_END) is not None:
                return members
            self._skip(_COMMA)

    def _member(self) -> _Member:
        if self._take(_EQUALS) is None:
            return _Item(value=True, params=self._params())
        if self._take(_OPEN) is None:
            return self._item()
        items: list[_Item] = []
        while self._take(_CLOSE) is None:
            items.append(self._item())
            self._skip(_BETWEEN)
        return _InnerList(items, self._params())

    def _item(self) -> _Item:
        return _Item(self._bare(), self._params())

    def _params(self) -> dict[str, _Bare]:
        params: dict[str, _Bare] = {}
        while self._take(_SEMICOLON) is not None:
            key = self._expect(_KEY)
            params[key] = True if self._take(_EQUALS) is None else self._bare()
        return params

    def _bare(self) -> _Bare:
        text = self._expect(_BARE)
        if text[0] == '"':
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if text[0] == "?":
            return text == "?1"
        if text[0] != ":":
            return _Token(text) if text[0].isalpha() or text[0] == "*" else int(text)
        value = _unbinary(text[1:-1])
        if value is None:
            raise self._malformed()
        return value

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self._text, self._position)
        if match is None:
            return None
        self._position = match.end()
        return match.group()

    def _expect(self, pattern: re.Pattern[str]) -> str:
        found = self._take(pattern)
        if found is None:
            raise self._malformed()
        return found

    def _skip(self, pattern: re.Pattern[str]) -> None:
        _ = self._expect(pattern)

    def _malformed(self) -> SignatureError:
        return SignatureError(f"a signature header is malformed at character {self._position}")


def _serialized_list(member: _InnerList) -> str:
    items = (_serialized(item.value) + _serialized_params(item.params) for item in member.items)
    return f"({' '.join(items)}){_serialized_params(member.params)}"


def _serialized_params(params: Mapping[str, _Bare]) -> str:
    # RFC 9651 4.1.1.2: a parameter that is true is written without its value.
    return "".join(
        f";{key}" if value is True else f";{key}={_serialized(value)}"
        for key, value in params.items()
    )


def _serialized(value: _Bare) -> str:
    if isinstance(value, bytes):
        return _binary(value)
    if isinstance(value, bool):
        return f"?{value:d}"
    return _quoted(value) if type(value) is str else str(value)


def _quoted(text: str) -> str:
    # RFC 9651 4.1.6: printable ASCII.
    if not (text.isascii() and text.isprintable()):
        raise SignatureError("a text for a signature header is not printable ASCII")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _binary(value: bytes) -> str:
    return f":{binascii.b2a_base64(value, newline=False).decode('ascii')}:"


def _unbinary(text: str) -> bytes | None:
    # RFC 9651 4.2.7: padding may be missing.
    digits = text.rstrip("=")
    if len(digits) % 4 == 1:
        return None
    return binascii.a2b_base64(digits + "=" * (-len(digits) % 4))
