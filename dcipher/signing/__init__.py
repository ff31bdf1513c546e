"""HTTP message signatures (RFC 9421, `hmac-sha256`) and body digests (RFC 9530).

This package is pure: text and bytes in, text or an error out. It needs only the standard library.
It is not known whether the service checks signatures. So the clients accept any `Signer`, and
`HMACSigner` is one that follows the standard.
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
from typing import NamedTuple, NoReturn, Protocol, TypeGuard, runtime_checkable

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


@runtime_checkable
class Signer(Protocol):
    """Any object that signs requests. The scheme of the service is unknown, so it is pluggable."""

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """Returns the headers to add to this attempt of the request, or to replace in it.

        Args:
            method: The HTTP method.
            url: The absolute URL, spelled as it is sent.
            headers: The headers of the request, with names in any case.
            body: The exact bytes of the body; `b""` if there is none.
        """
        ...


def _random_nonce() -> str:
    return secrets.token_urlsafe(16)


@dataclass(frozen=True, slots=True, init=False, eq=False)
class HMACSigner:
    """Signs requests with a shared secret (RFC 9421). Immutable, and safe to share.

    A signature covers the method, authority, path, query, and the header with the API key. For a
    request with content, it also covers the content type, the digest and the idempotency key. A
    header that the request does not have is not covered. Every attempt is signed with a new nonce.

    Args:
        secret: The secret shared with the service. Text is encoded as UTF-8.
        key_id: Tells the service which secret to use. It is sent in plain text, so it must not be
            the API key; `dcipher.signing.key_id` derives one from the key.
        key_header: The header that contains the API key, in any case.
        lifetime: Seconds from `created` to `expires`, rounded up.
        tag: The name of the application, so that its signatures are not valid for another one.
        clock: Returns the seconds since the epoch.
        nonce: Returns a text that never repeats. Default: 16 random bytes in Base64.

    Raises:
        ValueError: The secret is empty, the lifetime is not positive and finite, or a text cannot
            be sent in a header.
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
        """Returns `Signature-Input`, `Signature` and, for a request with content, `Content-Digest`.

        Args:
            method: The HTTP method.
            url: The absolute URL, spelled as it is sent.
            headers: The headers of the request, with names in any case.
            body: The exact bytes of the body; `b""` if there is none.

        Raises:
            SignatureError: The URL is not absolute, or a covered value is not printable ASCII.
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
    """Returns an identifier that does not reveal the API key: 16 hex digits of its SHA-256.

    Raises:
        ValueError: The key is empty, or cannot be encoded as UTF-8.
    """
    return hashlib.sha256(_key_bytes(api_key, "API key")).hexdigest()[:16]


@dataclass(frozen=True)
class VerifiedSignature:
    """The parameters of a valid signature; `None` for each that it does not have."""

    key_id: str | None
    """Which secret was used."""
    created: int | None
    """When the signature was created, in seconds since the epoch."""
    expires: int | None
    """When the signature expires, in seconds since the epoch."""
    nonce: str | None
    """A text that the signer uses once."""
    tag: str | None
    """The application of the signer."""
    components: tuple[str, ...]
    """The names of the covered components. The rest of the request is not authenticated."""


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
    """Returns the first valid `hmac-sha256` signature of a request (RFC 9421).

    A signature without `alg` counts as `hmac-sha256`. If the request has a `Content-Digest`, it is
    checked against the body. The caller has to look up the secret by `keyid`, to reject a repeated
    nonce, and to limit the age of a signature without `expires`.

    Args:
        method: The HTTP method, as sent.
        url: The absolute URL that the signer used. Behind a proxy, this is the outer URL.
        headers: The headers of the request, with names in any case. Repeated names are joined.
        body: The exact bytes of the body, before any decoding.
        secret: The secret shared with the signer. Text is encoded as UTF-8.
        required: The names of components that the signature must cover. Without `content-digest`,
            the body is not authenticated.
        now: The current time, in seconds since the epoch. Default: the clock of this machine.
        max_skew: The largest difference between the two clocks, in seconds.

    Returns:
        The parameters of the signature.

    Raises:
        SignatureError: There is no valid signature. The message is about the first candidate.
        ValueError: The secret is empty.
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
    """The values that a signature may cover, by component name, and the body."""

    values: Mapping[str, str]
    body: bytes


class _Policy(NamedTuple):
    """The requirements that a correct signature must also meet."""

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
    # An unknown algorithm alone is no failure, but a signature over it would authenticate no body.
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
    # Python's own UnicodeEncodeError would contain the secret.
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
