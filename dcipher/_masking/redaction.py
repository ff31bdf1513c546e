"""Finds secrets in untrusted text, in any encoding, and redacts them.

The text is normalized, without escapes and line breaks, so that a secret is a plain
substring. The time is linear in the length of any text.
"""

from __future__ import annotations

import base64
import re
from bisect import bisect_right
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    _Span: TypeAlias = "tuple[int, int]"

__all__ = ["MANY", "REDACTED", "redact", "relevant_secrets"]

REDACTED = "[redacted]"

MANY = 100
"""The largest number of secrets of one search, such as those of a run with many results."""
LONG = 65_536
"""Characters of the longest text that is searched for that many."""
MOST_ESCAPES = 65_536
"""The number of escapes that are decoded in a longer text."""
SHORTEST = 3
"""The shortest secret: one or two characters are in every text."""
LAYERS = 3
"""The number of layers of escapes that are decoded."""


def redact(text: str, secrets: Iterable[str], *, is_cut: bool = False, mask: str = REDACTED) -> str:
    """Returns `text` with all `secrets` masked, in any form.

    Services often repeat a wrong key in their response: as it is, percent-encoded, escaped for JSON
    or HTML, in base64, or broken into lines. `is_cut`: the text was truncated, so the beginning of a
    secret at its end is masked, too. A long text that consists of escapes is masked completely: decoding
    them would take seconds.
    """
    forms = [form for secret in secrets for form in _forms(secret)]
    if len(text) > LONG and sum(map(text.count, "%&\\")) > MOST_ESCAPES and forms:
        return mask
    found = list(_found(text, forms, _occurrences))
    if is_cut and forms:
        found += _cut(text, forms)
    return _masked(text, found, mask) if found else text


def _found(
    text: str, forms: Sequence[str], search: Callable[[str, str], Iterator[_Span]]
) -> Iterator[_Span]:
    """Yields the ranges of `text` with one of the forms, in any layer: an apparent escape may be none."""
    layers: list[_Layer] = []
    plain = text
    while True:
        for form in forms:
            for span in search(plain, form):
                yield _in_original(span, layers)
        if len(layers) == LAYERS or next(_escapes(plain), None) is None:
            return
        layers.append(_Layer(plain))
        plain = layers[-1].text


def _cut(text: str, forms: Sequence[str]) -> Iterator[_Span]:
    """Returns where a secret begins that is cut off by the end of the text, maybe within an escape."""
    first = max(0, len(text) - 8 * max(map(len, forms)) - 64)
    tail = text[first:]
    marks = [mark.start() for mark in _BEGINNING.finditer(tail, max(0, len(tail) - 16))]
    for end in (len(tail), *marks[-3:]):
        for start, _ in _found(tail[:end], forms, _beginning):
            yield first + start, len(text)


def relevant_secrets(secrets: Sequence[str], text: str) -> Sequence[str]:
    """Returns the secrets that `text` may contain, if there are very many; otherwise all.

    A search for all forms of thousands of secrets would take seconds.
    """
    if len(secrets) <= MANY:
        return secrets
    if len(text) > LONG:
        return tuple(secrets[:MANY])
    # Nearly every form of a secret has its letters and digits unchanged.
    found = (s for s in secrets if all(word in text for word in _WORD.findall(s)))
    return tuple(islice(found, MANY))


_WORD = re.compile("[A-Za-z0-9]+")

# Line breaks within a long secret (the NUL: UTF-16, decoded as another charset); percent-encoding,
# applied any number of times (each time, % becomes %25); the escapes of JSON and Python; the entities
# of HTML, in which & may have become &amp; before.
_ESCAPED = re.compile(
    "[\x00\r\n\u00ad\u200b-\u200d\u2060\ufeff]+"
    r"|(?:%(?:25)*[0-9A-Fa-f]{2})+"
    r"|(?:\\+u[0-9A-Fa-f]{4})+|(?:\\+x[0-9A-Fa-f]{2})+|\\+"
    r"|&(?:amp;)*(?:#[0-9]{1,8}|#[xX][0-9A-Fa-f]{1,8}|[A-Za-z]{2,8});"
)
# The beginning of one: a search for a set of characters is twenty times as fast.
_BEGINNING = re.compile("[\x00\r\n\u00ad\u200b-\u200d\u2060\ufeff%&\\\\]")
_MARK = re.compile(r"%(?:25)*(?=[0-9A-Fa-f]{2})|\\+[ux]")
_ENTITIES = (
    *("amp", "lt", "gt", "quot", "apos", "plus", "sol", "equals", "lowbar", "period", "colon"),
    *("dollar", "percnt", "num", "comma", "semi", "quest", "excl", "commat", "ast", "lpar", "rpar"),
    *("bsol", "vert", "hyphen"),
)
_NAMES = dict(zip(_ENTITIES, "&<>\"'+/=_.:$%#,;?!@*()\\|-", strict=True))


def _escapes(text: str) -> Iterator[re.Match[str]]:
    offset = 0
    while (beginning := _BEGINNING.search(text, offset)) is not None:
        escape = _ESCAPED.match(text, beginning.start())
        if escape is not None:
            yield escape
        offset = beginning.end() if escape is None else escape.end()


def _unescaped(escape: str) -> str:
    """Returns the characters of an escape, or of several in a row."""
    if escape[0] == "&":
        return _of_entity(escape)
    kind = escape[0] if escape[0] == "%" else escape.lstrip("\\")[:1]
    try:
        if kind in {"%", "x"}:
            return bytes.fromhex(_MARK.sub("", escape)).decode()
        if kind == "u":
            return bytes.fromhex(_MARK.sub("", escape)).decode("utf-16-be")
    except UnicodeDecodeError:  # not an escape
        return escape
    return ""  # a superfluous backslash, or a line break


def _of_entity(entity: str) -> str:
    name = entity[1:-1].rpartition(";")[2]
    if name[0] != "#":
        return _NAMES.get(name, entity)
    number = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
    return chr(number) if number <= 0x10FFFF else entity


class _Layer:
    """A text with one layer of escapes decoded, and the original position of each piece."""

    def __init__(self, text: str) -> None:
        pieces: list[str] = []
        # Lists of numbers: hundreds of thousands of tuples would keep the garbage collector busy.
        self._starts: list[int] = []
        """The positions in `text` where decoded escapes begin."""
        self._lengths: list[int] = []
        """The numbers of their decoded characters."""
        self._first: list[int] = []
        self._last: list[int] = []
        """Where they begin and end in the original text."""
        length, end = 0, 0
        for match in _escapes(text):
            decoded = _unescaped(match[0])
            if decoded == match[0]:
                continue
            length += match.start() - end
            self._starts.append(length)
            self._lengths.append(len(decoded))
            self._first.append(match.start())
            self._last.append(match.end())
            pieces += [text[end : match.start()], decoded]
            length += len(decoded)
            end = match.end()
        self.text: str = "".join([*pieces, text[end:]])

    def first(self, offset: int) -> int:
        """Returns where the character at `offset` begins in the original text."""
        return self._bounds(offset)[0]

    def last(self, offset: int) -> int:
        """Returns where it ends there."""
        return self._bounds(offset)[1]

    def _bounds(self, offset: int) -> tuple[int, int]:
        at = bisect_right(self._starts, offset) - 1
        if at < 0:
            return offset, offset + 1
        after = offset - self._starts[at] - self._lengths[at]
        if after < 0:
            return self._first[at], self._last[at]
        return (begins := self._last[at] + after), begins + 1


@lru_cache(maxsize=1024)
def _forms(secret: str) -> tuple[str, ...]:
    """Returns the forms of `secret` to search for in a text without escapes."""
    if len(secret) < SHORTEST:
        return ()
    plain = secret
    for _ in range(LAYERS):
        plain = _ESCAPED.sub(lambda escape: _unescaped(escape[0]), plain)
    found = {secret, plain, plain.replace(" ", "+")}
    for encoded in (secret.encode("utf-8", "replace"), plain.encode("utf-8", "replace")):
        if len(encoded) > 7:  # a shorter base64 may be in any text
            found.update(_base64(encoded))
    return tuple(sorted(form for form in found if len(form) >= SHORTEST))


def _base64(encoded: bytes) -> Iterator[str]:
    for before in range(3):
        text = base64.b64encode(b"\0" * before + encoded).decode().rstrip("=")
        # The characters that depend only on it, for each position among the other bytes.
        alone = text[-(-before * 8 // 6) : (before + len(encoded)) * 8 // 6]
        yield alone
        yield alone.replace("+", "-").replace("/", "_")


def _occurrences(text: str, form: str) -> Iterator[_Span]:
    at = text.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = text.find(form, at + len(form))


def _beginning(text: str, form: str) -> Iterator[_Span]:
    """Returns the longest beginning of `form` that `text` ends with."""
    at = text.find(form[:SHORTEST], max(0, len(text) - len(form) + 1))
    while at >= 0:
        if form.startswith(text[at:]):
            yield at, len(text)
            return
        at = text.find(form[:SHORTEST], at + 1)


def _masked(text: str, found: Iterable[_Span], mask: str) -> str:
    pieces: list[str] = []
    end = 0
    for start, stop in sorted(found):
        if start >= end:
            pieces += [text[end:start], mask]
        end = max(end, stop)
    return "".join([*pieces, text[end:]])


def _in_original(span: _Span, layers: Sequence[_Layer]) -> _Span:
    start, stop = span
    for layer in reversed(layers):
        start, stop = layer.first(start), layer.last(stop - 1)
    return start, stop
