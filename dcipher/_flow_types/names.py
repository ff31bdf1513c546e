"""Python names for the names of flows, params and columns; pure."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from typing import TYPE_CHECKING

from dcipher.calls import FlowCall

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["class_name", "field_names"]

# A field of that name would hide an attribute of the class; Pydantic rejects it or warns.
_TAKEN = frozenset(dir(FlowCall))
_USED = frozenset({"Any", "FlowCall", "BaseModel", "Field", "date", "datetime", "time", "Decimal"})


def class_name(text: str, fallback: str, taken: Iterable[str] = ()) -> str:
    """Returns the name of a class: the words of a title, capitalized."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text))
    name = "".join(word[:1].upper() + word[1:] for word in words if not word.startswith("_"))
    name = name if name.isidentifier() else f"{fallback}{name}"
    if not name.isidentifier() or keyword.iskeyword(name):
        name = fallback
    used = {*taken, *_USED, *dir(builtins)}
    return _free(f"{name}_" if name in used and name not in taken else name, used, separator="")


def field_names(names: Iterable[str]) -> dict[str, str]:
    """Returns an identifier for each name: the name itself, if it is one."""
    wanted = list(names)
    found = {name: name for name in wanted if _is_field(name)}
    for name in wanted:
        if name not in found:
            found[name] = _free(_identifier(name), found.values())
    return {name: found[name] for name in wanted}


def _is_field(name: str) -> bool:
    return (
        name.isidentifier()
        and not keyword.iskeyword(name)
        and not name.startswith(("_", "model_"))
        and name not in _TAKEN
        and name not in _ANNOTATING
        and unicodedata.normalize("NFKC", name) == name  # Python normalizes identifiers
    )


# Within the class, a later annotation would refer to the field.
_ANNOTATING = frozenset({"str", "int", "float", "bool", "list", "dict", *_USED})


def _identifier(name: str) -> str:
    text = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", name)).strip("_").lower()
    if not text or not f"a{text}".isidentifier():
        text = "param"
    text = text if text.isidentifier() else f"param_{text}"
    return text if _is_field(text) else f"{text.removeprefix('model_')}_"


def _free(name: str, taken: Iterable[str], separator: str = "_") -> str:
    used, number, free = set(taken), 2, name
    while free in used:
        free, number = f"{name.rstrip('_')}{separator}{number}", number + 1
    return free
