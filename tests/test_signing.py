"""Signatures of RFC 9421: its vectors, tables, and agreement with another library."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import pickle
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    algorithms,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from dcipher import signing
from dcipher.signing import (
    HMACSigner,
    SignatureError,
    VerifiedSignature,
    content_digest,
    key_id,
    signature_base,
    verify_request,
)

SECRET = "a-shared-secret-of-the-test"
API_KEY = "made-up-key-1"
NOW = 1_700_000_000
URL = "https://api.example.com/flows/65cf2f3e/run?b=2&a=%20"
BODY = b'{"pipelineParams":{}}'
POST_HEADERS = {
    "Authorization": f"Api-Key {API_KEY}",
    "Content-Type": "application/json",
    "Idempotency-Key": "5f0c",
    "User-Agent": "test",
}


def make_signer(**options) -> HMACSigner:
    defaults = {"key_id": "k1", "clock": lambda: NOW + 0.75, "nonce": lambda: "n-1"}
    return HMACSigner(SECRET, **(defaults | options))


def signed(method="POST", url=URL, headers=POST_HEADERS, body=BODY, **options) -> dict[str, str]:
    return {**headers, **make_signer(**options).sign(method, url, headers, body)}


def verify(headers, method="POST", url=URL, body=BODY, **options) -> VerifiedSignature:
    return verify_request(method, url, headers, body, **({"secret": SECRET, "now": NOW} | options))


def by_hand(lines: list[str], params: str, *, label="sig1", secret=SECRET) -> dict[str, str]:
    """Returns the headers of another signer, which does not use this module."""
    base = "\n".join([*lines, f'"@signature-params": {params}'])
    mac = base64.b64encode(hmac.digest(secret.encode(), base.encode(), "sha256")).decode()
    return {"Signature-Input": f"{label}={params}", "Signature": f"{label}=:{mac}:"}


# The published vectors


RFC_SECRET = base64.b64decode(
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
)
RFC_REQUEST = ("POST", "https://example.com/foo?param=Value&Pet=dog")
RFC_BODY = b'{"hello": "world"}'
RFC_PARAMS = '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
RFC_HEADERS = {
    "Host": "example.com",
    "Date": "Tue, 20 Apr 2021 02:07:55 GMT",
    "Content-Type": "application/json",
    "Content-Digest": "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNN"
    "yealdVLvRwEmTHWXvJwew==:",
    "Content-Length": "18",
    "Signature-Input": f"sig-b25={RFC_PARAMS}",
    "Signature": "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
}


def test_the_hmac_vector_of_rfc_9421_verifies():
    """The signature in RFC 9421 B.2.5 is valid for the request there."""
    verified = verify_request(*RFC_REQUEST, RFC_HEADERS, RFC_BODY, secret=RFC_SECRET)
    assert verified == VerifiedSignature(
        key_id="test-shared-secret",
        created=1618884473,
        expires=None,
        nonce=None,
        tag=None,
        components=("date", "@authority", "content-type"),
    )


def test_the_signature_base_of_rfc_9421_is_reproduced():
    """The base of RFC 9421 B.2.5 is reproduced byte for byte, and has the signature of the RFC."""
    base = signature_base(
        [
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("@authority", "example.com"),
            ("content-type", "application/json"),
        ],
        RFC_PARAMS,
    )
    assert base == (
        b'"date": Tue, 20 Apr 2021 02:07:55 GMT\n'
        b'"@authority": example.com\n'
        b'"content-type": application/json\n'
        b'"@signature-params": ("date" "@authority" "content-type")'
        b';created=1618884473;keyid="test-shared-secret"'
    )
    assert base64.b64encode(hmac.digest(RFC_SECRET, base, "sha256")) == (
        b"pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="
    )


# What the signer writes


def test_a_post_is_signed_over_these_lines_in_this_order():
    """A POST covers method, authority, path, query, key, type, digest and idempotency key."""
    digest = "sha-256=:" + base64.b64encode(hashlib.sha256(BODY).digest()).decode() + ":"
    expected = by_hand(
        [
            '"@method": POST',
            '"@authority": api.example.com',
            '"@path": /flows/65cf2f3e/run',
            '"@query": ?b=2&a=%20',
            f'"authorization": Api-Key {API_KEY}',
            '"content-type": application/json',
            f'"content-digest": {digest}',
            '"idempotency-key": 5f0c',
        ],
        '("@method" "@authority" "@path" "@query" "authorization" "content-type" "content-digest"'
        f' "idempotency-key");created={NOW};expires={NOW + 300};keyid="k1";alg="hmac-sha256"'
        ';nonce="n-1";tag="dcipher"',
    )
    added = make_signer().sign("POST", URL, POST_HEADERS, BODY)
    assert added == {"Content-Digest": digest, **expected}


def test_a_get_is_signed_without_the_headers_of_a_body():
    """A GET covers method, authority, path, query and key, and gets no digest."""
    expected = by_hand(
        [
            '"@method": GET',
            '"@authority": api.example.com',
            '"@path": /flows/65cf2f3e/run',
            '"@query": ?b=2&a=%20',
            '"api-key": k',
        ],
        f'("@method" "@authority" "@path" "@query" "api-key");created={NOW};expires={NOW + 11}'
        ';keyid="a\\"b\\\\c";alg="hmac-sha256";nonce="n-1";tag="t"',
    )
    signer = make_signer(key_id='a"b\\c', key_header="API-Key", lifetime=10.2, tag="t")
    headers = {"API-Key": "k", "Content-Type": "text/plain", "Idempotency-Key": "x"}
    assert signer.sign("GET", URL, headers, b"") == expected


@pytest.mark.parametrize(
    ("method", "headers", "body", "components"),
    [
        ("POST", {}, b"x", ["content-digest"]),
        ("POST", {"content-type": "a/b"}, b"", ["content-type", "content-digest"]),
        ("PUT", {"IDEMPOTENCY-KEY": "i"}, b"", ["content-digest", "idempotency-key"]),
        ("GET", {"authorization": "a"}, b"x", ["authorization", "content-digest"]),
        ("DELETE", {"authorization": "a"}, b"", ["authorization"]),
    ],
)
def test_a_header_that_is_absent_is_not_covered(method, headers, body, components):
    """Missing headers are left out. If there is content, its digest is always covered."""
    verified = verify(signed(method, URL, headers, body), method=method, body=body)
    assert list(verified.components) == ["@method", "@authority", "@path", "@query", *components]


def test_a_digest_of_the_caller_is_replaced_by_the_right_one():
    """The digest is computed from the signed body, whatever a header contains."""
    headers = {**POST_HEADERS, "content-digest": content_digest(b"something else")}
    added = make_signer().sign("POST", URL, headers, BODY)
    assert added["Content-Digest"] == content_digest(BODY)
    assert verify({**POST_HEADERS, **added}).key_id == "k1"


def test_every_attempt_has_its_own_nonce_and_the_present_time():
    """By default the nonce is 16 random bytes in base64url, and the clock is the machine's."""
    signer = HMACSigner(SECRET.encode(), key_id="k1")
    seen = [
        verify({**POST_HEADERS, **signer.sign("POST", URL, POST_HEADERS, BODY)}, now=None)
        for _ in range(3)
    ]
    assert len({signature.nonce for signature in seen}) == 3
    for signature in seen:
        assert signature.nonce is not None
        assert len(base64.urlsafe_b64decode(signature.nonce + "==")) == 16
        assert signature.created is not None
        assert signature.expires == signature.created + 300
        assert abs(signature.created - time.time()) < 60


@pytest.mark.parametrize(
    ("url", "authority", "path", "query"),
    [
        ("https://example.com", "example.com", "/", "?"),
        ("https://example.com/", "example.com", "/", "?"),
        ("https://example.com?", "example.com", "/", "?"),
        ("https://example.com?x", "example.com", "/", "?x"),
        ("HTTPS://EXAMPLE.Com:443/A", "example.com", "/A", "?"),
        ("http://example.com:80/a", "example.com", "/a", "?"),
        ("http://example.com:443/a", "example.com:443", "/a", "?"),
        ("https://example.com:80/a", "example.com:80", "/a", "?"),
        ("https://example.com:/a", "example.com", "/a", "?"),
        ("https://example.com:00443/a", "example.com", "/a", "?"),
        ("http://localhost:8000/a//b", "localhost:8000", "/a//b", "?"),
        ("https://[2001:DB8::1]/a", "[2001:db8::1]", "/a", "?"),
        ("https://[2001:db8::1]:443/a", "[2001:db8::1]", "/a", "?"),
        ("http://[::1]:8000/a", "[::1]:8000", "/a", "?"),
        ("https://user:pw@example.com/a", "example.com", "/a", "?"),
        ("https://example.com/%7Ea%2fb/../c%20d", "example.com", "/%7Ea%2fb/../c%20d", "?"),
        ("https://example.com/a?b=%2F+c&d=e?f/g", "example.com", "/a", "?b=%2F+c&d=e?f/g"),
        ("https://example.com/a?#frag?ment", "example.com", "/a", "?"),
        ("https://example.com/a@b:c?d@e:f#g", "example.com", "/a@b:c", "?d@e:f"),
    ],
)
def test_the_url_is_split_by_rfc_9421(url, authority, path, query):
    """Authority in lower case without a default port; path and query as on the wire."""
    covered = '("@authority" "@path" "@query")'
    lines = [f'"@authority": {authority}', f'"@path": {path}', f'"@query": {query}']
    assert verify(by_hand(lines, covered), url=url).components == ("@authority", "@path", "@query")
    scheme = url.partition(":")[0]
    assert verify(signed(url=url), url=f"{scheme}://{authority}{path}{query}").key_id == "k1"


@pytest.mark.parametrize(
    ("url", "target", "scheme", "request_target"),
    [
        ("https://a.example/p?q=1#f", "https://a.example/p?q=1", "https", "/p?q=1"),
        ("http://a.example", "http://a.example/", "http", "/"),
        ("https://u@a.example:8443/p?", "https://a.example:8443/p?", "https", "/p?"),
    ],
)
def test_other_signers_may_cover_the_complete_target(url, target, scheme, request_target):
    """`@target-uri`, `@scheme` and `@request-target` are supported in signatures of others."""
    lines = [
        f'"@target-uri": {target}',
        f'"@scheme": {scheme}',
        f'"@request-target": {request_target}',
    ]
    params = '("@target-uri" "@scheme" "@request-target")'
    assert len(verify(by_hand(lines, params), url=url).components) == 3


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/flows/1",
        "//example.com/a",
        "https://",
        "https:///a",
        "https://example.com/a b",
        "https://exämple.com/",
        "https://example.com/a\n",
        "https://a@b@example.com/",
        "https://example.com:port/",
        "https://example.com:" + "1" * 5000 + "/",
        "https://[::1/a",
    ],
)
def test_a_relative_or_unquoted_url_is_rejected(url):
    """Neither signing nor verifying guesses the meaning of an invalid URL."""
    with pytest.raises(SignatureError, match="URL"):
        make_signer().sign("GET", url, {}, b"")
    with pytest.raises(SignatureError, match="URL"):
        verify(signed(), url=url)


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ({"X-A": "  a, b\t"}, "a, b"),
        ({"X-A": "a \r\n\t b"}, "a b"),
        ({"X-A": "a\n\r\n b\r\n"}, "a b"),
        ({"X-A": " one", "x-a": "two "}, "one, two"),
        ({"x-a": "a  b\tc"}, "a  b\tc"),
        ({"x-a": ""}, ""),
    ],
)
def test_header_values_are_brought_into_their_canonical_form(headers, value):
    """Outer blanks go, a folded line becomes one, several lines are joined (RFC 9421 2.1)."""
    params = '("x-a")'
    assert verify(headers | by_hand([f'"x-a": {value}'], params)).components == ("x-a",)


@pytest.mark.parametrize("value", ["ä", "a\x00b", "a\x1b[31m", "a\x7f"])
def test_an_unsignable_value_is_rejected(value):
    """A covered value beyond printable ASCII is an error with the header, but without the value."""
    with pytest.raises(SignatureError, match="'authorization'") as caught:
        make_signer().sign("GET", URL, {"Authorization": f"Api-Key {value}"}, b"")
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("components", "params"),
    [
        ([("X-A", "upper case")], "()"),
        ([('a"b', "quote")], "()"),
        ([("@", "nothing")], "()"),
        ([("x-a", "one\ntwo")], "()"),
        ([("x-a", "ok")], "()\n"),
        ([("x-a", "ok")], "()é"),
    ],
)
def test_nothing_can_forge_a_line_of_the_base(components, params):
    """Names, values and parameters with line breaks are rejected."""
    with pytest.raises(SignatureError):
        signature_base(components, params)


# Secrets and settings of the signer


@pytest.mark.parametrize(
    "options",
    [
        {"lifetime": 0.0},
        {"lifetime": -1.0},
        {"lifetime": float("nan")},
        {"lifetime": float("inf")},
        {"key_header": ""},
        {"key_header": "a b"},
        {"key_id": "ü"},
        {"tag": "a\nb"},
    ],
)
def test_an_invalid_setting_is_rejected_at_once(options):
    """A lifetime, name or text that no verifier accepts is a ValueError of the constructor."""
    with pytest.raises(ValueError, match=r"lifetime|key_header|ASCII"):
        make_signer(**options)


def test_an_invalid_nonce_is_rejected():
    """A nonce of the caller is checked when it is used."""
    with pytest.raises(SignatureError, match="ASCII"):
        make_signer(nonce=lambda: "é").sign("GET", URL, {}, b"")


@pytest.mark.parametrize("secret", ["", b""])
def test_an_empty_secret_is_rejected(secret):
    """An empty secret neither signs nor verifies."""
    with pytest.raises(ValueError, match="the secret is empty"):
        HMACSigner(secret, key_id="k1")
    with pytest.raises(ValueError, match="the secret is empty"):
        verify(signed(), secret=secret)


def test_an_invalid_secret_is_rejected():
    """The error for a lone surrogate in the secret or key does not contain it."""
    for make in (lambda text: HMACSigner(text, key_id="k1"), key_id):
        with pytest.raises(ValueError, match="is not UTF-8 text") as caught:
            make("hidden-\udc80")
        error = caught.value
        assert type(error) is ValueError
        assert error.__context__ is None
        assert "hidden" not in "".join(traceback.format_exception_only(error))


def test_text_and_its_utf_8_bytes_are_the_same_secret():
    """A secret of text signs as its UTF-8 bytes do."""
    for secret in ("pässword", "pässword".encode()):
        added = HMACSigner(secret, key_id="k1").sign("GET", URL, {}, b"")
        assert verify(added, method="GET", body=b"", secret="pässword", now=None).key_id == "k1"


def test_the_repr_of_a_signer_has_no_secret():
    """The repr has the settings, and no attribute has the secret."""
    signer = make_signer()
    assert repr(signer) == (
        "HMACSigner(key_id='k1', key_header='authorization', lifetime=300.0, tag='dcipher')"
    )
    kept = [getattr(signer, name) for name in HMACSigner.__slots__]
    assert "k1" in kept
    assert SECRET not in kept
    assert SECRET.encode() not in kept


@pytest.mark.parametrize(
    "keep", [pickle.dumps, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"]
)
def test_the_signer_is_not_written_out(keep):
    """Pickling or copying a signer is a TypeError without the secret."""
    with pytest.raises(TypeError, match="holds a secret") as caught:
        keep(make_signer())
    assert SECRET not in str(caught.value)


def test_the_signer_cannot_be_changed():
    """A signer that is shared is the same for everyone who shares it."""
    signer = make_signer()
    for name in ("tag", "_mac", "new"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(signer, name, "x")
    with pytest.raises(AttributeError):
        del signer.tag
    assert not hasattr(signer, "__dict__")


def test_a_key_id_is_a_short_hash_of_the_key():
    """The id of a key is stable, and does not contain the key."""
    assert key_id("abc") == "ba7816bf8f01cfea"
    assert key_id("abd") != key_id("abc")
    with pytest.raises(ValueError, match="the API key is empty"):
        key_id("")


def test_the_module_needs_the_standard_library_only():
    """Nothing else is imported, so that importing it is cheap, and it works anywhere."""
    folder = Path(signing.__file__).parents[2]
    program = (
        f"import sys; sys.path.append({str(folder)!r}); import dcipher.signing; "
        "found = {name.partition('.')[0] for name in sys.modules}; "
        "print(*found - {*sys.stdlib_module_names, '__main__'})"
    )
    command = [sys.executable, "-I", "-S", "-c", program]
    done = subprocess.run(command, capture_output=True, check=True, text=True)  # noqa: S603
    assert done.stdout.split() == ["dcipher"]


# What the verifier refuses


TAMPERED = {
    "method": {"method": "PUT"},
    "authority": {"url": URL.replace("api.", "evil.")},
    "port": {"url": URL.replace(".com/", ".com:8443/")},
    "path": {"url": URL.replace("65cf2f3e", "65cf2f3f")},
    "query": {"url": URL.replace("b=2", "b=3")},
    "quoting": {"url": URL.replace("%20", "+")},
    "body": {"body": BODY + b" "},
    "secret": {"secret": SECRET + "x"},
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED)
def test_a_changed_request_is_rejected(change):
    """Every signed part must be unchanged."""
    headers = signed()
    assert verify(headers).tag == "dcipher"
    with pytest.raises(SignatureError, match="does not match"):
        verify(headers, **change)


@pytest.mark.parametrize(
    "name", ["Authorization", "Content-Type", "Idempotency-Key", "Content-Digest"]
)
def test_a_covered_header_can_neither_be_changed_nor_dropped(name):
    """Every covered header is part of the signature."""
    headers = signed()
    with pytest.raises(SignatureError, match="does not match"):
        verify(headers | {name: headers[name] + "x"})
    with pytest.raises(SignatureError, match="has no"):
        verify({key: value for key, value in headers.items() if key != name})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"created={NOW}", f"created={NOW - 1}"),
        (f"expires={NOW + 300}", f"expires={NOW + 3000}"),
        ('keyid="k1"', 'keyid="k2"'),
        ('nonce="n-1"', 'nonce="n-2"'),
        ('tag="dcipher"', 'tag="other"'),
        (' "idempotency-key"', ""),
        ("@path", "@query"),
    ],
)
def test_the_parameters_are_signed_too(old, new):
    """Lifetime, name and components of a signature cannot be changed."""
    headers = signed()
    changed = headers["Signature-Input"].replace(old, new, 1)
    assert changed != headers["Signature-Input"]
    with pytest.raises(SignatureError):
        verify(headers | {"Signature-Input": changed})


def test_an_uncovered_header_may_change():
    """Headers that a proxy adds or changes do not invalidate it."""
    assert verify(signed() | {"User-Agent": "proxy", "Via": "1.1 x"}).nonce == "n-1"


@pytest.mark.parametrize(
    ("now", "refusal"),
    [
        (NOW - 61, "created in the future"),
        (NOW - 60, None),
        (NOW + 360, None),
        (NOW + 361, "has expired"),
    ],
)
def test_a_signature_is_valid_from_created_to_expires(now, refusal):
    """By default, the clocks of both sides may differ by a minute."""
    if refusal is None:
        assert verify(signed(), now=now).expires == NOW + 300
    else:
        with pytest.raises(SignatureError, match=refusal):
            verify(signed(), now=now)


def test_the_skew_is_the_callers_choice():
    """Without tolerance the second after `expires` is too late."""
    assert verify(signed(), now=NOW + 300, max_skew=0).expires == NOW + 300
    with pytest.raises(SignatureError, match="expired"):
        verify(signed(), now=NOW + 300.5, max_skew=0)


def test_required_components_must_be_covered():
    """A signature over fewer components than required is rejected, with their names."""
    assert verify(signed(), required={"@method", "content-digest"}).key_id == "k1"
    with pytest.raises(SignatureError, match="does not cover host, x-a"):
        verify(signed(), required=["x-a", "@method", "host"])


def test_a_digest_is_checked_although_it_is_not_covered():
    """A wrong digest is always rejected, an unknown one only if it is covered."""
    plain = by_hand(['"@method": POST'], '("@method")')
    unknown = {"Content-Digest": "md5=:AAAA:"}
    covered = by_hand(['"content-digest": md5=:AAAA:'], '("content-digest")')
    assert verify(plain | {"Content-Digest": content_digest(BODY)}).components == ("@method",)
    assert verify(plain | unknown).components == ("@method",)
    for headers in (plain | {"Content-Digest": content_digest(b"x")}, covered | unknown):
        with pytest.raises(SignatureError, match="digest does not match"):
            verify(headers)


@pytest.mark.parametrize(
    "params",
    [
        '("@method");alg="hmac-sha256"',
        '("@method")',
        '("@method");created=-1;custom=tok/en:*;flag;off=?0;raw=:AAA=:;n=-5;s="a\\"\\\\b"',
    ],
)
def test_other_signers_may_add_or_omit_parameters(params):
    """`alg` may be missing, and unknown parameters are signed like the others."""
    assert verify(by_hand(['"@method": POST'], params)).components == ("@method",)


@pytest.mark.parametrize(
    "spelled",
    [
        '(  "@method"  "@path"  );  created=1;flag',
        '("@method" "@path");created=01;flag=?1',
        '("@method" "@path");created=2;created=1;flag',
    ],
)
def test_another_spelling_of_the_parameters_is_the_same_signature(spelled):
    """The base has the canonical form of RFC 9421 2.3, for any form of the header."""
    lines = ['"@method": POST', '"@path": /flows/65cf2f3e/run']
    headers = by_hand(lines, '("@method" "@path");created=1;flag')
    headers["Signature-Input"] = f"  sig1={spelled} "
    assert verify(headers).created == 1


def joined(*parts: dict[str, str]) -> dict[str, str]:
    """Several signatures in one pair of headers."""
    names = ("Signature-Input", "Signature")
    return {name: " ,\t".join(part[name] for part in parts) for name in names}


def test_the_first_valid_label_is_used():
    """Signatures of other algorithms, and invalid ones, do not hide a valid one."""
    other = {"Signature-Input": 'a=();alg="ed25519"', "Signature": "a=:AAAA:"}
    missing = {"Signature-Input": 'b=("@path")', "Signature": "x"}
    wrong = by_hand(['"@method": POST'], '("@method");keyid="w"', label="c", secret="other")
    good = by_hand(['"@method": POST'], '("@method");keyid="good"', label="d")
    later = by_hand(['"@method": POST'], '("@method");keyid="later"', label="e")
    assert verify(joined(other, missing, wrong, good, later)).key_id == "good"
    with pytest.raises(SignatureError, match="is missing"):
        verify(joined(other, missing, wrong))
    with pytest.raises(SignatureError, match="does not match the request"):
        verify(joined(other, wrong, missing))


def test_a_header_cannot_replace_a_derived_component():
    """Components of the request line come from there, whatever the name of a header is."""
    with pytest.raises(SignatureError, match="does not match the request"):
        verify({"@path": "/signed"} | by_hand(['"@path": /signed'], '("@path")'))


@pytest.mark.parametrize(
    ("params", "refusal"),
    [
        ('("@method");alg="ed25519"', "no hmac-sha256 signature"),
        ('("@method");alg=hmac-sha256', "no hmac-sha256 signature"),
        ('"@method"', "no hmac-sha256 signature"),
        ("?1", "no hmac-sha256 signature"),
        ('("@method";req)', "without parameters"),
        ('("@query-param";name="b")', "without parameters"),
        ("(method)", "without parameters"),
        ('("@method" "@method")', "covered twice"),
        ('("@status")', "has no '@status'"),
        ('("@signature-params")', "has no '@signature-params'"),
        ('("Content-Type")', "has no 'Content-Type'"),
        ('("@method");created="1"', "created is not an integer"),
        ('("@method");created', "created is not an integer"),
        ('("@method");expires=x', "expires is not an integer"),
        ('("@method");keyid=k', "keyid is not a string"),
        ('("@method");nonce=:AAAA:', "nonce is not a string"),
        ('("@method");tag=1', "tag is not a string"),
        ('("@method");created=1.5', "malformed"),
        ('("@method");created=1234567890123456', "malformed"),
        ('("@method");created=@1', "malformed"),
        ('("@method");created=', "malformed"),
        ('("@method");created=--1', "malformed"),
        ('("@method");Created=1', "malformed"),
        ('("@method");raw=:A:', "malformed"),
        ('("@method");', "malformed"),
        ('("@method""@path")', "malformed"),
        ('("@method"', "malformed"),
        ('("@method\\x")', "malformed"),
        ('("@method")x', "malformed"),
        ('("@method"),', "malformed"),
        ('("@method"), sig1=()', "is repeated"),
        ("(())", "malformed"),
        ("", "malformed"),
    ],
)
def test_an_unsupported_signature_input_is_rejected(params, refusal):
    """Malformed or unsupported input is a SignatureError that names it, even if it is signed."""
    headers = {"Content-Type": "x"} | by_hand(['"@method": POST'], params)
    with pytest.raises(SignatureError, match=refusal):
        verify(headers)


@pytest.mark.parametrize(
    "signature", ["sig1", "sig1=?1", 'sig1="AAAA"', "sig1=(:AAAA:)", "sig2=:AAAA:", "sig1=AAAA"]
)
def test_a_signature_that_is_not_bytes_is_rejected(signature):
    """The signature of the label must be a byte sequence."""
    with pytest.raises(SignatureError, match="is missing, or is not a byte sequence"):
        verify(signed() | {"Signature": signature})


@pytest.mark.parametrize("name", ["Signature", "Signature-Input"])
def test_a_request_without_signature_is_rejected(name):
    """Both headers are required."""
    headers = {key: value for key, value in signed().items() if key != name}
    with pytest.raises(SignatureError, match=f"has no '{name.lower()}'"):
        verify(headers)


def test_the_error_has_its_public_module():
    """The error names the public module, and can be pickled."""
    error = pickle.loads(pickle.dumps(SignatureError("text")))  # noqa: S301 - our own bytes
    assert (type(error), error.args) == (SignatureError, ("text",))
    assert SignatureError.__module__ == "dcipher.signing"


def test_the_error_for_a_malformed_header_names_it():
    """The text has the header and the position."""
    with pytest.raises(SignatureError, match=r"^signature-input: malformed at character 4$"):
        verify(signed() | {"Signature-Input": "sig1!"})
    with pytest.raises(SignatureError, match=r"^signature: malformed at character 0$"):
        verify(signed() | {"Signature": ""})


def test_no_error_has_a_secret():
    """Neither the shared secret nor the API key is in the text or the chain of an error."""
    headers = signed() | {"Signature": "sig1=:AAAA:"}
    with pytest.raises(SignatureError) as caught:
        verify(headers)
    text = "".join(traceback.format_exception(caught.value))
    assert SECRET not in text
    assert API_KEY not in text


FRAGMENTS = st.sampled_from(
    [
        "sig1",
        "=",
        "(",
        ")",
        '"@method"',
        '"x"',
        ";",
        "created",
        "1",
        ":",
        "AA==",
        ",",
        " ",
        "?1",
        '"',
    ]
)
HEADER_TEXT = st.text() | st.lists(FRAGMENTS, max_size=20).map("".join)


@given(HEADER_TEXT, HEADER_TEXT, st.text(max_size=20))
def test_any_invalid_header_is_one_error(signature_input, signature, digest):
    """Any headers raise only SignatureError."""
    headers = {
        "Signature-Input": signature_input,
        "Signature": signature,
        "Content-Digest": digest,
    }
    with pytest.raises(SignatureError):
        verify(headers)


# Agreement with other implementations


@dataclass
class Message:
    """A request as `http_message_signatures` wants it."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes = field(default=b"")


class OneKey(HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id: str) -> bytes:
        return SECRET.encode()

    resolve_private_key = resolve_public_key


HOSTS = st.sampled_from(["example.com", "API.Example.COM", "127.0.0.1", "[::1]", "[2001:DB8::a]"])
PORTS = st.sampled_from(["", ":80", ":443", ":8000"])
PATHS = st.from_regex(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2}){0,6}){0,3}", fullmatch=True)
QUERIES = st.just("") | st.from_regex(r"\?([a-z0-9=&+/?:@-]|%[0-9A-F]{2}){0,9}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
LINES = VALUES | st.builds("x{}\r\n {}y".format, VALUES, VALUES)
MESSAGES = st.builds(
    Message,
    st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    st.builds(
        "{}://{}{}{}{}".format, st.sampled_from(["http", "https"]), HOSTS, PORTS, PATHS, QUERIES
    ),
    st.fixed_dictionaries(
        {"Authorization": LINES}, optional={"Content-Type": LINES, "Idempotency-Key": VALUES}
    ),
    st.binary(max_size=20),
)


@settings(max_examples=150)
@given(MESSAGES)
def test_another_library_verifies_our_signatures(message):
    """`http_message_signatures` accepts every request signed here, with its digest."""
    signer = HMACSigner(SECRET, key_id="k1")
    message.headers |= signer.sign(message.method, message.url, message.headers, message.body)
    verifier = HTTPMessageVerifier(
        signature_algorithm=algorithms.HMAC_SHA256, key_resolver=OneKey()
    )
    (result,) = verifier.verify(message, expect_tag="dcipher", body=message.body)
    assert result.label == "sig1"
    assert {'"@method"', '"@path"', '"authorization"'} <= set(result.covered_components)


DERIVED = ("@method", "@authority", "@path", "@query", "@target-uri", "@scheme", "@request-target")
COMPONENTS = st.lists(st.sampled_from([*DERIVED, "authorization"]), unique=True)


@settings(max_examples=150)
@given(MESSAGES, COMPONENTS, st.booleans())
def test_signatures_of_another_library_are_verified(message, components, include_alg):
    """Every request signed by `http_message_signatures` is accepted here, with any components."""
    signer = HTTPMessageSigner(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=OneKey())
    signer.sign(
        message,
        key_id='their "key"',
        nonce="n",
        tag="t",
        label="theirs",
        include_alg=include_alg,
        covered_component_ids=components,
        body=message.body,
    )
    verified = verify_request(
        message.method, message.url, message.headers, message.body, secret=SECRET
    )
    assert verified.components == (*components, "content-digest")
    assert (verified.key_id, verified.nonce, verified.tag) == ('their "key"', "n", "t")
