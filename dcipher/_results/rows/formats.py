"""Describes a file of an unsupported format, by its first bytes."""

from __future__ import annotations

import codecs

from dcipher._results.parsing.text_reader import foreign_encoding

__all__ = ["advice_for", "kind_of"]

_KINDS = {
    b"ARROW1": "an Arrow file",
    b"PARE": "an encrypted Parquet file",
    b"Obj\x01": "an Avro file",
    b"ORC": "an ORC file",
    b"PK\x03\x04": "a ZIP archive, such as an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"\x1f\x8b": "a gzip file that holds neither JSON, NDJSON nor CSV",
    b"\x28\xb5\x2f\xfd": "a Zstandard file; if it holds JSON, NDJSON or CSV, install zstandard",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"SQLite format 3": "an SQLite database",
    b"%PDF": "a PDF",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"<": "HTML or XML",
}


def advice_for(kind: str) -> str:
    """Returns advice for reading such a file."""
    return "read it as str" if kind.startswith("text") else "read it as bytes"


def _is_text(head: bytes) -> bool:
    try:  # the last character may be cut
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)


def kind_of(body: bytes | bytearray | memoryview) -> str:
    """Returns the description of a file of an unsupported format, by its first bytes."""
    head = bytes(body[:32])
    for magic, kind in _KINDS.items():
        if head.startswith(magic):
            return kind
    if encoding := foreign_encoding(head):
        return f"{encoding} text, not UTF-8"
    if head and _is_text(head):
        return "text that is neither JSON, NDJSON, CSV nor Parquet"
    return "neither JSON, NDJSON, CSV nor Parquet"
