"""HTTP message signatures (RFC 9421, `hmac-sha256`) and body digests (RFC 9530).

Everything here is pure: text and bytes in, text or an error out, the standard library and nothing
else. Whether the service checks signatures, and which, is unknown, so `Signer` is what the clients
ask for, and `HMACSigner` is one that follows the standard.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn, Protocol, TypeGuard

from .digests import content_digest, digest_matches, digests
from .signature_base import (
    SignatureError,
    component,
    derived_components,
    header_components,
    signature_base,
)
from .structured_fields import (
    Bare,
    InnerList,
    Item,
    Member,
    StructuredFieldError,
    Token,
    parse_dictionary,
    serialize,
    serialize_inner_list,
)

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

# RFC 9651 3.3.1: keeps `expires` within the 15 digits of an integer.
_MAX_LIFETIME = 1e12

# RFC 9110 9.3: the methods for which content has a meaning; an empty body of theirs is signed too.
_CONTENT_METHODS = frozenset({"PATCH", "POST", "PUT"})
_CONTENT_FIELDS = ("content-type", "content-digest", "idempotency-key")

_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")


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
        fields = header_components(headers)
        added: dict[str, str] = {}
        if body or method in _CONTENT_METHODS:
            names += _CONTENT_FIELDS
            added["Content-Digest"] = fields["content-digest"] = content_digest(body)
        values = fields | derived_components(method, url)
        components = [(name, values[name]) for name in names if name in values]
        params = self._params([name for name, _ in components])
        mac = self._mac.copy()
        mac.update(signature_base(components, params))
        added["Signature-Input"] = f"{_LABEL}={params}"
        added["Signature"] = f"{_LABEL}={serialize(mac.digest())}"
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
    fields = header_components(headers)
    request = _Request(fields | derived_components(method, url), body)
    policy = _Policy(frozenset(required), time.time() if now is None else now, max_skew)
    inputs = _dictionary(fields, "signature-input")
    signatures = _dictionary(fields, "signature")
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


def _is_candidate(member: Member) -> TypeGuard[InnerList]:
    if not isinstance(member, InnerList):
        return False
    algorithm = member.params.get("alg", _ALGORITHM)
    # RFC 9421 2.3: `alg` is a string; a token of the same letters is not.
    return algorithm == _ALGORITHM and not isinstance(algorithm, Token)


def _verified(
    member: InnerList, signature: Member | None, key: bytes, request: _Request, policy: _Policy
) -> VerifiedSignature:
    if not isinstance(signature, Item) or not isinstance(signature.value, bytes):
        raise SignatureError("the signature is missing, or is not a byte sequence")
    names = _covered(member)
    components = [(name, component(request.values, name)) for name in names]
    base = signature_base(components, serialize_inner_list(member))
    if not hmac.compare_digest(hmac.digest(key, base, "sha256"), signature.value):
        raise SignatureError("the signature does not match the request")
    verified = _described(member.params, names)
    _check_policy(verified, policy)
    _check_digest(verified, request)
    return verified


def _covered(member: InnerList) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for item in member.items:
        if type(item.value) is not str or item.params:
            raise SignatureError("only components without parameters are supported")
        # RFC 9421 2.5: an identifier occurs once.
        if item.value in names:
            raise SignatureError(f"{item.value!r} is covered twice")
        names[item.value] = None
    return tuple(names)


def _described(params: Mapping[str, Bare], names: tuple[str, ...]) -> VerifiedSignature:
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


def _text(params: Mapping[str, Bare], name: str) -> str | None:
    value = params.get(name)
    if value is not None and type(value) is not str:
        raise SignatureError(f"the parameter {name} is not a string")
    return value


def _seconds(params: Mapping[str, Bare], name: str) -> int | None:
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


def _dictionary(fields: Mapping[str, str], name: str) -> dict[str, Member]:
    try:
        return parse_dictionary(component(fields, name))
    except StructuredFieldError as error:
        raise SignatureError(f"{name}: {error}") from None


def _quoted(text: str) -> str:
    try:
        return serialize(text)
    except StructuredFieldError:
        raise SignatureError("a text for a signature header is not printable ASCII") from None
