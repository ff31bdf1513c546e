"""Messages of Pydantic, without parts of the input."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, cast, get_args

from pydantic_core import PydanticKnownError
from pydantic_core.core_schema import ErrorType

from dcipher._masking.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic_core import ErrorDetails

__all__ = ["message_of"]

_LONG = 2000  # characters of a validator's message, or of a value, that are searched
_LEAVES = 200  # values of one input that are masked


# Facts about the type. Everything else in the context of an error may contain input: the tag of a
# union, a character of a UUID, a byte of a base64, the message of another library.
_OF_THE_TYPE = frozenset(
    {
        *("gt", "ge", "lt", "le", "multiple_of", "max_digits", "decimal_places", "whole_digits"),
        *("min_length", "max_length", "actual_length", "expected_plural", "field_type", "pattern"),
        *("expected", "expected_schemes", "expected_tags", "expected_version", "tz_expected"),
        *("class", "class_name", "method_name", "discriminator", "encoding"),
    }
)
_OWN_TYPES = frozenset(cast("tuple[str, ...]", get_args(ErrorType)))
_LEFT_OUT = re.compile(r"(?:, (?:error:|got)|[,:]) …\Z")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def message_of(error: ErrorDetails) -> str:
    """Returns Pydantic's message for an error, without parts of the input.

    The message of a validator is the user's own text: only quoted input is masked.
    """
    context = error.get("ctx", {})
    kind = error["type"]
    if kind not in _OWN_TYPES or kind in {"value_error", "assertion_error"}:
        return clean(_masked(error["msg"], cast("object", error["input"])))
    if context.keys() <= _OF_THE_TYPE:
        return clean(error["msg"])
    try:
        template = PydanticKnownError(cast("ErrorType", kind), context).message_template
    except (TypeError, ValueError):  # a context that Pydantic itself rejects
        return kind.replace("_", " ")
    known = {name: context[name] for name in context.keys() & _OF_THE_TYPE}
    filled = _PLACEHOLDER.sub(lambda found: str(known.get(found[1], "…")), template)
    return clean(_LEFT_OUT.sub("", filled))


# Quotations in a message: between quotes, or behind its last colon.
_QUOTED = (re.compile(r"(['\"`])(.+?)\1", re.DOTALL), re.compile(r"(: )([^:]*\S)\Z"))


def _masked(text: str, value: object) -> str:
    text = text[:_LONG]
    leaves = [*islice(_leaves(value), _LEAVES)]
    text = _without(text, {way for leaf in leaves for way in _ways(leaf)})
    everything = "\n".join(leaves)

    def unquoted(found: re.Match[str]) -> str:
        """Returns a part of the input, too: strptime names the remaining characters."""
        part = found[2]
        return found[0].replace(part, "…") if part in everything else found[0]

    for quoted in _QUOTED:
        text = quoted.sub(unquoted, text)
    return text


def _without(text: str, parts: Iterable[str]) -> str:
    """Returns a text with `…` for each part, in upper or lower case.

    It uses no regular expressions: compiling one for each cell takes longer than parsing the row.
    """
    folded = [*map(_folded, text)]
    owners = [index for index, fold in enumerate(folded) for _ in fold]
    text_folded, hidden = "".join(folded), bytearray(len(text))

    def is_word(index: int) -> bool:
        if not 0 <= index < len(text) or hidden[index]:
            return False
        return text[index].isalnum() or text[index] == "_"

    for part in sorted({*map(_folded, parts)} - {""}, key=len, reverse=True):
        at = text_folded.find(part)
        while at >= 0:
            end = at + len(part)
            first, last = owners[at], owners[end - 1]
            # A short one would match words of the message, unless it is a word of its own.
            if len(part) > 2 or not (is_word(first - 1) or is_word(last + 1)):
                hidden[first : last + 1] = b"\1" * (last + 1 - first)
            at = text_folded.find(part, end)
    visible = (
        ("…" if gone else "".join(one for one, _ in some))
        for gone, some in groupby(zip(text, hidden, strict=True), itemgetter(1))
    )
    return "".join(visible)


def _folded(text: str) -> str:
    # The same text for all that differs only in case: the Kelvin sign, dotted and dotless i, ß as SS.
    return text.upper().casefold().replace("\u0307", "")


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(cast("Mapping[object, object]", value).values())
    if isinstance(value, (list, tuple, set, frozenset)):
        for one in cast("Sequence[object]", value):
            yield from _leaves(one)
    elif value is not None and not isinstance(value, bool):
        yield str(value)[:_LONG]


def _ways(leaf: str) -> tuple[str, ...]:
    # A validator may strip its quotation, or write it as Python or JSON do.
    return leaf, leaf.strip(), repr(leaf)[1:-1], json.dumps(leaf)[1:-1]
