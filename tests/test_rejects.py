"""`Rejects`: a sequence without values, saved completely or not at all."""

from __future__ import annotations

import json
import os
import pickle
import stat
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import LocalStorageError, Reject, Rejects
from dcipher.rejects import Reason

if TYPE_CHECKING:
    from pathlib import Path

MISSING = Reason("score", "missing", "Field required")
WRONG = Reason("n", "int_type", "Input should be a valid integer")


def rejects(raw: Any = None) -> Rejects:
    found = Rejects()
    found._add(Reject(3, (WRONG,), raw), keep=True)
    found._add(Reject(5, (MISSING, MISSING), raw, 1), keep=True)
    found.read = 9
    return found


def test_it_is_a_sequence() -> None:
    """Rejects are counted, indexed, sliced and iterated as any sequence."""
    found = rejects()
    assert (len(found), found[-1].row, [r.row for r in found], found[:1]) == (
        2, 5, [3, 5], [Reject(3, (WRONG,))],
    )  # fmt: skip
    assert found == rejects()
    assert found != [*found]
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own bytes


def test_counts_begin_with_the_most_frequent() -> None:
    """Each type of error with its number."""
    assert list(rejects().counts().items()) == [("missing", 2), ("int_type", 1)]


def test_no_repr_has_a_value() -> None:
    """This also holds if the rows themselves are kept."""
    found = rejects({"n": "hunter2"})
    assert repr(found) == "<Rejects: 2 of 9 rows, missing: 2, int_type: 1>"
    assert "hunter2" not in repr(list(found))
    assert found[0].raw == {"n": "hunter2"}


def test_saved_as_ndjson(tmp_path: Path) -> None:
    """One object per line, equal to `to_list`. An existing file is replaced."""
    path = tmp_path / "rejects.ndjson"
    path.write_text("old")
    found = rejects({"n": "é\n\ud800", "price": Decimal("1.5")})
    assert found.save(path) == path
    lines = path.read_bytes().decode().splitlines()
    assert [json.loads(line)["row"] for line in lines] == [3, 5]
    assert json.loads(lines[1])["errors"] == [MISSING._asdict()] * 2
    assert json.loads(lines[0])["raw"]["price"] == "1.5"
    assert "raw" not in rejects().to_list()[0]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_saved_file_has_the_mode_of_a_plain_one(tmp_path: Path) -> None:
    """The umask applies to a new file, and an existing one keeps its mode."""
    path = tmp_path / "rejects.ndjson"
    before = os.umask(0o027)
    try:
        rejects().save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o600)
    rejects().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_unwritable_path(tmp_path: Path) -> None:
    """A folder, and a path in a missing one, are a `LocalStorageError`."""
    for place in (tmp_path, tmp_path / "no" / "rejects.ndjson"):
        with pytest.raises(LocalStorageError):
            rejects().save(place)


def test_a_failure_keeps_the_existing_file(tmp_path: Path) -> None:
    """A reject that cannot be written neither changes the old file nor leaves a new one."""

    class Stubborn:
        def __str__(self) -> str:
            raise OSError("disk")

    path = tmp_path / "rejects.ndjson"
    path.write_text("old")
    with pytest.raises(LocalStorageError):
        rejects(Stubborn()).save(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
