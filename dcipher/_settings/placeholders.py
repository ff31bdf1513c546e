"""Detects placeholders for a key, as in documentation."""

from __future__ import annotations

import re

__all__ = ["is_placeholder"]

_WORDS = r"(dcipher[-_ ]?)?(api[-_ ]?)?(key|token|secret|password)"
_PLACEHOLDERS = re.compile(
    r"(?i:"
    r".*….*|\.{3,}|x{3,}|\*{3,}|"  # to be filled in, or hidden
    r"<.*>|\[.*\]|\{.*\}|"
    r"\$\w+|\$[{(].*[)}]|%\w+%|"  # a variable that the shell has not expanded, as in single quotes
    rf"(your|my|the|insert|put|paste)[-_ ]?(your|my|the)?[-_ ]?{_WORDS}([-_ ]?here)?|"
    rf"{_WORDS}[-_ ]?here|(dcipher[-_ ]?)?api[-_]key|dcipher[-_ ]?(api[-_ ]?)?(key|secret)|"
    r"change[-_ ]?me|replace[-_ ]?me|todo|none|null|undefined"
    r")"
)


def is_placeholder(text: str) -> bool:
    """Returns whether `text` was copied from an example: `…`, `<key>`, `your-api-key`, `$KEY`."""
    # With quotes, if the example was pasted with them.
    return _PLACEHOLDERS.fullmatch(text.strip().strip("\"'`")) is not None
