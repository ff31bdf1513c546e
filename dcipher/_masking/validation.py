"""What Pydantic says of an error, without what may be a part of the input."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, cast, get_args

from pydantic_core import PydanticKnownError
from pydantic_core.core_schema import ErrorType

from dcipher._masking.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

__all__ = ["message_of"]

_LONG = 2000  # characters of a validator's message, or of a value, that are looked at
_LEAVES = 200  # values of one input that are masked


# What the type says of itself. Everything else in the context of an error may be made of the input:
# the tag of a union, a character of a UUID, a byte of a base64, another library's own message.
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
    """What Pydantic says of an error, without what may be a part of the input.

    The message of a validator is the user's own text: only what it quotes of the input is masked.
    """
    context = error.get("ctx", {})
    kind = error["type"]
    if kind not in _OWN_TYPES or kind in {"value_error", "assertion_error"}:
        return clean(_masked(error["msg"], cast("object", error["input"])))
    if context.keys() <= _OF_THE_TYPE:
        return clean(error["msg"])
    try:
        template = PydanticKnownError(cast("ErrorType", kind), context).message_template
    except (TypeError, ValueError):  # a context that Pydantic itself does not take
        return kind.replace("_", " ")
    known = {name: context[name] for name in context.keys() & _OF_THE_TYPE}
    filled = _PLACEHOLDER.sub(lambda found: str(known.get(found[1], "…")), template)
    return clean(_LEFT_OUT.sub("", filled))


# What a message quotes: between marks, or behind its last colon.
_QUOTED = (re.compile(r"(['\"`])(.+?)\1", re.DOTALL), re.compile(r"(: )([^:]*\S)\Z"))


def _masked(text: str, value: object) -> str:
    text = text[:_LONG]
    leaves = [*islice(_leaves(value), _LEAVES)]
    shown = {way for leaf in leaves for way in _ways(leaf) if way}
    for way in sorted(shown, key=len, reverse=True):  # one may begin with another
        # A short one would hit the message's own words, unless it stands alone.
        pattern = re.escape(way) if len(way) > 2 else rf"(?<!\w){re.escape(way)}(?!\w)"
        text = re.sub(pattern, "…", text, flags=re.IGNORECASE)

    def unquoted(found: re.Match[str]) -> str:
        """A part of the input, too: strptime says which characters remain."""
        part = found[2]
        return found[0].replace(part, "…") if any(part in leaf for leaf in leaves) else found[0]

    for quoted in _QUOTED:
        text = quoted.sub(unquoted, text)
    return text


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(cast("Mapping[object, object]", value).values())
    if isinstance(value, (list, tuple, set, frozenset)):
        for one in cast("Sequence[object]", value):
            yield from _leaves(one)
    elif value is not None and not isinstance(value, bool):
        yield str(value)[:_LONG]


def _ways(leaf: str) -> tuple[str, ...]:
    # A validator may strip what it quotes, or show it as Python or JSON writes it.
    return leaf, leaf.strip(), repr(leaf)[1:-1], json.dumps(leaf)[1:-1]
