"""The file name of a row: unique for each key, on every file system; pure."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from dcipher.models import Output

__all__ = ["stem_of", "suffix_of"]

LONGEST: Final = 150
"""Bytes of a stem: most file systems permit 255, with the suffixes of downloads."""

_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)", re.IGNORECASE)
_NUMBERED = re.compile(r"_(?=[0-9]+\Z)")
_SUFFIX = re.compile(r"(?:\.[A-Za-z0-9]{1,8}){1,2}\Z")


def stem_of(key: str) -> str:
    """Returns the stem: the key, with characters that a name cannot have as percent escapes.

    Different keys have different stems; those that differ only in case are one file on some systems.
    """
    stem = quote(key, safe=" ").replace("~", "%7E")
    # `a_0` is the first of several results of `a`.
    stem = _NUMBERED.sub("%5F", stem)
    if stem.startswith(".") or _RESERVED.match(stem):
        stem = f"%{ord(stem[0]):02X}{stem[1:]}"
    if stem.endswith((".", " ")):  # Windows drops them
        stem = f"{stem[:-1]}%{ord(stem[-1]):02X}"
    if len(stem) > LONGEST:
        stem = (
            f"{stem[: LONGEST - 42].rstrip('. %')}%~{hashlib.sha256(key.encode()).hexdigest()[:40]}"
        )
    return stem


def suffix_of(output: Output) -> str:
    """Returns the suffix of the name in the URL of a result, such as `.json` or `.csv.gz`."""
    if output.url is None:
        return ""
    name = PurePosixPath(urlsplit(output.url.get_secret_value()).path).name
    found = _SUFFIX.search("".join(PurePosixPath(name).suffixes[-2:]))
    return "" if found is None else found[0]
