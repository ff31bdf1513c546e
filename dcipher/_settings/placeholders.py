"""Texts that stand in documentation for a key, and that nobody's key is."""

from __future__ import annotations

import re

__all__ = ["is_placeholder"]

_WORDS = r"(dcipher[-_ ]?)?(api[-_ ]?)?(key|token|secret|password)"
_PLACEHOLDERS = re.compile(
    r"(?i:"
    r".*….*|\.{3,}|x{3,}|\*{3,}|"  # what is left to the reader, or hidden from them
    r"<.*>|\[.*\]|\{.*\}|"
    r"\$\w+|\$[{(].*[)}]|%\w+%|"  # a variable that no shell has replaced, as in single quotes
    rf"(your|my|the|insert|put|paste)[-_ ]?(your|my|the)?[-_ ]?{_WORDS}([-_ ]?here)?|"
    rf"{_WORDS}[-_ ]?here|(dcipher[-_ ]?)?api[-_]key|dcipher[-_ ]?(api[-_ ]?)?(key|secret)|"
    r"change[-_ ]?me|replace[-_ ]?me|todo|none|null|undefined"
    r")"
)


def is_placeholder(text: str) -> bool:
    """Whether `text` was copied from an example as it stands there: `…`, `<key>`, `your-api-key`, `$KEY`."""
    # An accessory of quotation, where an example in quotes was pasted with them.
    return _PLACEHOLDERS.fullmatch(text.strip().strip("\"'`")) is not None
