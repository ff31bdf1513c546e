"""Compressed results: complete, verified, bounded, and read as their content."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from dcipher._results.parsing import compression
from dcipher._results.parsing.row_errors import ResultSyntaxError
from dcipher._results.rows.documents import detect_format, parse_document
from dcipher._results.rows.reading import Format, iter_rows
from tests.results.rows.reading import Topic, read

if TYPE_CHECKING:
    from collections.abc import Callable

TOPICS = [Topic(name=f"n{i}", score=i) for i in range(5000)]
BODIES = {
    Format.JSON: json.dumps([topic.model_dump() for topic in TOPICS]).encode(),
    Format.NDJSON: b"\n".join(topic.model_dump_json().encode() for topic in TOPICS),
    Format.CSV: b"name,score\n" + b"".join(f"{t.name},{t.score}\n".encode() for t in TOPICS),
}
SPACES = 40 << 20


def zstd(body: bytes) -> bytes:
    library = pytest.importorskip("zstandard", reason="Zstandard needs a library before 3.14")
    return library.compress(body)  # type: ignore[no-any-return]


packings = pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])


@packings
@pytest.mark.parametrize("format_", BODIES)
@pytest.mark.parametrize("parts", [1, 2])
def test_a_compressed_file_is_decompressed(
    pack: Callable[[bytes], bytes], format_: Format, parts: int
) -> None:
    """As a value or row by row, of one or several members, detected by its bytes alone."""
    body = BODIES[format_]
    cut = len(body) // parts
    packed = b"".join(pack(body[at : at + cut + 1]) for at in range(0, len(body), cut + 1))
    assert detect_format("application/gzip", "result", packed[: 1 << 16]) is format_
    assert list(iter_rows(io.BytesIO(packed), Topic, format_)) == TOPICS
    assert parse_document(packed, list[Topic], format_) == TOPICS
    assert parse_document(packed, bytes, format_) == packed
    if format_ is not Format.JSON:
        assert parse_document(packed, str, format_) == body.decode()


@packings
def test_a_compressed_file_that_is_cut_or_broken(pack: Callable[[bytes], bytes]) -> None:
    """A file that lacks its end, or whose bytes changed, is an error and no shorter result."""
    packed = pack(BODIES[Format.NDJSON])
    for body, why in [
        (packed[:-3], "truncated"),
        (packed[: len(packed) // 2], "truncated"),
        (packed[:4] + b"\xff" * 20 + packed[24:], "broken"),
        (packed + b"more", "broken"),
    ]:
        with pytest.raises(ResultSyntaxError, match=why):
            list(iter_rows(io.BytesIO(body), Topic, Format.NDJSON))
        with pytest.raises(ResultSyntaxError, match=why):
            parse_document(body, list[Topic], Format.NDJSON)
        assert parse_document(body, bytes, Format.NDJSON) == body


@packings
def test_a_bomb_is_rejected(pack: Callable[[bytes], bytes]) -> None:
    """A file that expands to more than 250 times its size, beyond 16 MiB, is rejected before it is complete."""
    bomb = pack(b"[" + b" " * SPACES + b"]")
    for call in (read, parse_document):
        with pytest.raises(ResultSyntaxError, match="expand to more than"):
            call(bomb, list[int], Format.JSON)  # type: ignore[operator]
    assert parse_document(pack(b" " * (15 << 20) + b"[1]"), Any, Format.JSON) == [1]


def test_detection_ignores_a_damaged_beginning() -> None:
    """Detecting the format of a damaged file is no error: reading it is."""
    assert compression.beginning(b"\x1f\x8b\x08" + b"\xff" * 20) == b""
    assert compression.beginning(b"plain") == b"plain"
    assert detect_format(None, None, b"\x1f\x8b\x08" + b"\xff" * 20) is Format.BINARY


def test_a_wrong_suffix_is_ignored() -> None:
    """A decompressed `.json.gz`, or a `.json` that is gzip, is read nevertheless."""
    assert detect_format(None, "r.json.gz", b"[1]") is Format.JSON
    assert parse_document(b"[1]", Any, Format.JSON) == [1]
    assert parse_document(gzip.compress(b"[1]"), Any, Format.JSON) == [1]


def test_an_empty_gzip_is_an_empty_document() -> None:
    """It has no rows if the format permits that, and is an error otherwise."""
    assert read(gzip.compress(b""), Topic, Format.NDJSON) == []
    with pytest.raises(ResultSyntaxError, match="is empty"):
        read(gzip.compress(b""), Topic)


def test_zstandard_without_a_library() -> None:
    """The error names a library, and the bytes can still be read."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['zstandard', 'backports.zstd', 'compression.zstd']))\n"
        "from dcipher._results.rows.documents import *; from dcipher._results.rows.reading import Format\n"
        "body = b'\\x28\\xb5\\x2f\\xfd1234'\n"
        "assert parse_document(body, bytes, Format.JSON) == body\n"
        "assert detect_format(None, None, body) is Format.BINARY\n"
        "for format_ in (Format.JSON, Format.BINARY):\n"
        "    try: parse_document(body, list, format_)\n"
        "    except ResultSyntaxError as error: print(error)\n"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("install zstandard") == 2


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"PK\x03\x04", "ZIP"),
        (b"%PDF-1.7", "PDF"),
        (b"<html>", "HTML"),
        ("é,é".encode("utf-16"), "UTF-16"),
        (b"\x00\x01", "neither JSON"),
    ],
)
def test_a_file_of_another_kind_is_named(head: bytes, kind: str) -> None:
    """The error for a file without rows has its kind, if its first bytes show it."""
    format_ = detect_format(None, None, head)
    assert format_ is Format.BINARY
    with pytest.raises(ResultSyntaxError, match=f"{kind}.*read it as bytes"):
        parse_document(head, list[int], format_)
    assert parse_document(head, Any, format_) == head
