"""The next download to the same path resumes an interrupted one, in this process or in another."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import stat
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from dcipher import AsyncDcipher, IntegrityError, LocalStorageError, ResultError, ResultExpiredError
from dcipher._results.downloads.files.part_file import PartFile
from dcipher._results.downloads.transfers.transfer import Transfer
from tests.conftest import KEY
from tests.faulty import Reply
from tests.results.downloads.stores import (
    BODY,
    MIB,
    ONCE,
    TWICE,
    assert_saved,
    assert_untouched,
    result_of,
    run_at,
    store,
)
from tests.waiting import at_work, no_hang, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Connect
    from tests.faulty import FaultyServer

PART = ".result.bin.dcipher.part"
NOTE = f"{PART}.json"


@pytest.fixture
def interrupted(connect: Connect, server: FaultyServer, target: Path) -> FaultyServer:
    """A server with the complete result, of which an interrupted download kept two megabytes."""
    server.on("/result", store(BODY, cut=2 * MIB))
    with pytest.raises(IntegrityError, match=f"{2 * MIB} bytes of it are kept"):
        connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_untouched(target, kept=True)
    server.on("/result", store(BODY))
    return server


def ranges(server: FaultyServer) -> list[str | None]:
    return [request.headers.get("range") for request in server.seen("/result")]


def note(target: Path) -> dict[str, Any]:
    return json.loads(target.with_name(NOTE).read_text())  # type: ignore[no-any-return]


def test_it_resumes(connect: Connect, interrupted: FaultyServer, target: Path) -> None:
    """The next download requests only the missing bytes, with the validator, and leaves only the file."""
    connect(interrupted).runs.download(result_of(interrupted), target)
    assert ranges(interrupted) == [None, f"bytes={2 * MIB}-"]
    assert interrupted.seen("/result")[-1].headers["if-match"] == '"1"'
    assert_saved(target, BODY)


def test_progress_includes_resumed_bytes(
    connect: Connect, interrupted: FaultyServer, target: Path
) -> None:
    """`on_progress` counts from the resumed bytes to the total."""
    seen: list[tuple[int, int | None]] = []
    connect(interrupted).runs.download(
        result_of(interrupted), target, on_progress=lambda done, total: seen.append((done, total))
    )
    assert all(done > 2 * MIB and total == len(BODY) for done, total in seen)
    assert seen[-1] == (len(BODY), len(BODY))


def test_the_sidecar(interrupted: FaultyServer, target: Path) -> None:
    """It is private, and has no URL, because a signed one is a secret."""
    path = target.with_name(NOTE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "canary" not in path.read_text()
    assert interrupted.url not in path.read_text()
    assert note(target)["received"] == 2 * MIB


def test_another_object_under_the_same_url(
    connect: Connect, interrupted: FaultyServer, target: Path
) -> None:
    """If the store has another object, it is fetched completely."""
    other = BODY[::-1]
    interrupted.on("/result", store(other, etag='"2"'))
    connect(interrupted, resilience=TWICE).runs.download(result_of(interrupted), target)
    assert_saved(target, other)


def test_a_store_without_ranges(connect: Connect, interrupted: FaultyServer, target: Path) -> None:
    """A store that ignores the range starts anew."""
    interrupted.on("/result", Reply(BODY, headers={"ETag": '"1"'}))
    connect(interrupted).runs.download(result_of(interrupted), target)
    assert_saved(target, BODY)


@pytest.mark.parametrize("status", [400, 403, 405, 501])
def test_a_store_that_rejects_ranges(
    connect: Connect, interrupted: FaultyServer, target: Path, status: int
) -> None:
    """If a store rejects a range, the complete file is requested at once."""
    whole = Reply(BODY, headers={"ETag": '"1"'})
    interrupted.on("/result", lambda r: Reply(b"", status) if "range" in r.headers else whole)
    connect(interrupted, resilience=ONCE).runs.download(result_of(interrupted), target)
    assert_saved(target, BODY)


def test_a_store_that_rejects_everything(
    connect: Connect, interrupted: FaultyServer, target: Path
) -> None:
    """The part is kept until it can be replaced."""
    interrupted.on("/result", Reply(b"", 403))
    with pytest.raises(ResultError, match="are kept"):
        connect(interrupted).runs.download(result_of(interrupted), target)
    assert_untouched(target, kept=True)


@pytest.mark.parametrize("etag", ['"\xe9"', '"a b"', '"a"b"', '"'])
def test_a_validator_that_cannot_be_sent_back(
    connect: Connect, server: FaultyServer, target: Path, etag: str
) -> None:
    """An ETag that a request header cannot contain is ignored: nothing is kept, and the next download works."""
    server.on("/result", store(BODY, etag=etag, cut=2 * MIB), store(BODY, etag=etag))
    connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert ranges(server) == [None, None]
    assert_saved(target, BODY)


def test_another_run(connect: Connect, interrupted: FaultyServer, target: Path) -> None:
    """The part of one run is not mixed with the result of another."""
    other = result_of(interrupted).model_copy(update={"task_id": "other"})
    connect(interrupted).runs.download(other, target)
    assert ranges(interrupted)[-1] is None
    assert_saved(target, BODY)


def test_another_signature(connect: Connect, interrupted: FaultyServer, target: Path) -> None:
    """The same result with a new signature is resumed."""
    again = run_at(f"{interrupted.url}/result?Signature=another")
    connect(interrupted).runs.download(again, target)
    assert ranges(interrupted)[-1] == f"bytes={2 * MIB}-"
    assert_saved(target, BODY)


def test_a_result_that_is_read_is_not_kept(connect: Connect, server: FaultyServer) -> None:
    """A result that is read, and not saved, is not kept, and no message says so."""
    server.on("/result", store(BODY, cut=2 * MIB))
    with pytest.raises(IntegrityError) as caught:
        connect(server, resilience=ONCE).runs.read(result_of(server), bytes)
    assert "kept" not in str(caught.value)


def test_the_digest_covers_resumed_bytes(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """A digest is checked over the complete file. A damaged part is detected, and fetched again."""
    digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    promised = {"Repr-Digest": f"sha-256=:{digest}:"}
    server.on("/result", store(BODY, cut=2 * MIB, **promised))
    with pytest.raises(IntegrityError):
        connect(server, resilience=ONCE).runs.download(result_of(server), target)
    with target.with_name(PART).open("r+b") as part:
        part.seek(12345)
        part.write(b"damage")
    server.on("/result", store(BODY, **promised))
    connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert ranges(server) == [None, f"bytes={2 * MIB}-", None]
    assert_saved(target, BODY)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"version": 2}'])
def test_a_damaged_sidecar(
    connect: Connect, interrupted: FaultyServer, target: Path, damage: bytes
) -> None:
    """A note that cannot be read is forgotten, and the result fetched anew."""
    target.with_name(NOTE).write_bytes(damage)
    connect(interrupted).runs.download(result_of(interrupted), target)
    assert ranges(interrupted)[-1] is None
    assert_saved(target, BODY)


def test_a_shorter_part(connect: Connect, interrupted: FaultyServer, target: Path) -> None:
    """A part with fewer bytes than in its sidecar is fetched again."""
    os.truncate(target.with_name(PART), MIB)
    connect(interrupted).runs.download(result_of(interrupted), target)
    assert ranges(interrupted)[-1] is None
    assert_saved(target, BODY)


def test_a_longer_part(connect: Connect, interrupted: FaultyServer, target: Path) -> None:
    """Bytes of the part beyond its sidecar are ignored."""
    with target.with_name(PART).open("ab") as part:
        part.write(b"never synced")
    connect(interrupted).runs.download(result_of(interrupted), target)
    assert ranges(interrupted)[-1] == f"bytes={2 * MIB}-"
    assert_saved(target, BODY)


def test_a_note_alone(connect: Connect, interrupted: FaultyServer, target: Path) -> None:
    """A note without its part is removed."""
    target.with_name(PART).unlink()
    connect(interrupted).runs.download(result_of(interrupted), target)
    assert ranges(interrupted)[-1] is None
    assert_saved(target, BODY)


def test_expired(connect: Connect, interrupted: FaultyServer, target: Path) -> None:
    """A part whose URL has expired is not kept."""
    interrupted.on("/result", Reply(b"Request has expired", 403))
    with pytest.raises(ResultExpiredError):
        connect(interrupted).runs.download(result_of(interrupted), target)
    assert_untouched(target)


def test_out_of_service(connect: Connect, interrupted: FaultyServer, target: Path) -> None:
    """A store that is unavailable does not affect the part."""
    interrupted.on("/result", Reply(b"", 503))
    with pytest.raises(ResultError, match="are kept"):
        connect(interrupted, resilience=TWICE).runs.download(result_of(interrupted), target)
    assert_untouched(target, kept=True)
    interrupted.on("/result", store(BODY))
    connect(interrupted).runs.download(result_of(interrupted), target)
    assert ranges(interrupted)[-1] == f"bytes={2 * MIB}-"
    assert_saved(target, BODY)


def test_a_callback_that_raises(connect: Connect, server: FaultyServer, target: Path) -> None:
    """A download that is ended by an error of `on_progress` can be resumed."""
    server.on("/result", store(BODY))

    class Enough(Exception):  # noqa: N818 - not an error
        pass

    def stop(done: int, total: int | None) -> None:
        if done > MIB:
            raise Enough

    with pytest.raises(Enough):
        connect(server).runs.download(result_of(server), target, on_progress=stop)
    kept = min(note(target)["received"], len(BODY) - 1)
    connect(server).runs.download(result_of(server), target)
    assert ranges(server)[-1] == f"bytes={kept}-"
    assert_saved(target, BODY)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled(server: FaultyServer, target: Path, backend: str) -> None:
    """A cancelled async download leaves a part at once, and the next one resumes there."""
    server.on("/result", store(BODY, cut=2 * MIB, after="stall"))
    part = target.with_name(PART)

    def arrived() -> bool:
        # Not by its size: the space for all of it was reserved.
        return part.exists() and part.read_bytes()[:MIB] == BODY[:MIB]

    async def main() -> None:
        async with AsyncDcipher(api_key=KEY, base_url=server.url) as client:
            async with anyio.create_task_group() as group:
                group.start_soon(client.runs.download, result_of(server), target)
                await anyio.to_thread.run_sync(until, arrived)
                group.cancel_scope.cancel()
            assert at_work() == []
            assert_untouched(target, kept=True)
            kept.append(note(target)["received"])
            server.on("/result", store(BODY))
            await client.runs.download(result_of(server), target)

    kept: list[int] = []
    anyio.run(main, backend=backend)
    assert MIB <= kept[0] <= 2 * MIB
    assert ranges(server)[-1] == f"bytes={kept[0]}-"
    assert_saved(target, BODY)


def test_cancelled_between_two_attempts(server: FaultyServer, target: Path) -> None:
    """A download that waits for its next attempt ends at once when it is cancelled."""
    server.on("/result", Reply(b"", 503, {"Retry-After": "100"}))

    async def main() -> None:
        async with AsyncDcipher(api_key=KEY, base_url=server.url) as client:
            async with anyio.create_task_group() as group:
                group.start_soon(client.runs.download, result_of(server), target)
                await anyio.to_thread.run_sync(server.arrived, "/result")
                group.cancel_scope.cancel()
            assert at_work() == []

    with no_hang():
        anyio.run(main)
    assert_untouched(target)


def test_two_at_a_time(connect: Connect, interrupted: FaultyServer, target: Path) -> None:
    """The part of another process is not used; this download has its own file."""
    with target.with_name(PART).open("r+b") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        connect(interrupted).runs.download(result_of(interrupted), target)
        assert ranges(interrupted)[-1] is None
        assert target.read_bytes() == BODY
        assert os.fstat(part.fileno()).st_size == 2 * MIB
    assert {path.name for path in target.parent.iterdir()} == {target.name, PART, NOTE}


def test_many_at_a_time(connect: Connect, server: FaultyServer, target: Path) -> None:
    """Twenty downloads to one path: each writes its own file, and none remains."""
    server.on("/result", store(BODY))
    client, errors = connect(server), []

    def download() -> None:
        try:
            client.runs.download(result_of(server), target)
        except Exception as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=download) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert_saved(target, BODY)


def test_files_of_killed_downloads(connect: Connect, server: FaultyServer, target: Path) -> None:
    """The next download removes them, but not those of running ones."""
    left = [target.with_name(f"{PART}.{number}") for number in (1, 3)]
    for path in left:
        path.write_bytes(b"left")
    alive = target.with_name(f"{PART}.2")
    server.on("/result", store(BODY))
    with alive.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        connect(server).runs.download(result_of(server), target)
    assert {path.name for path in target.parent.iterdir()} == {target.name, alive.name}


@pytest.mark.parametrize("what", ["link", "dangling", "folder", "pipe", "hard link"])
def test_other_files_at_the_path_of_the_part(
    connect: Connect, server: FaultyServer, target: Path, what: str
) -> None:
    """Nothing is written through or into another file at the path of the part."""
    part, other = target.with_name(PART), target.with_name("other")
    other.write_bytes(b"mine")
    if what == "folder":
        part.mkdir()
    elif what == "pipe":
        os.mkfifo(part)
    elif what == "hard link":
        part.hardlink_to(other)
    else:
        part.symlink_to(other if what == "link" else target.with_name("nowhere"))
    server.on("/result", store(BODY))
    connect(server).runs.download(result_of(server), target)
    assert target.read_bytes() == BODY
    assert other.read_bytes() == b"mine"
    assert not target.with_name("nowhere").exists()


@pytest.mark.parametrize("what", ["link", "pipe"])
def test_a_foreign_sidecar(
    connect: Connect, interrupted: FaultyServer, target: Path, what: str
) -> None:
    """A sidecar is read only if it is our own regular file."""
    path = target.with_name(NOTE)
    elsewhere = target.with_name("elsewhere")
    path.rename(elsewhere)
    if what == "link":
        path.symlink_to(elsewhere)
    else:
        os.mkfifo(path)
    connect(interrupted).runs.download(result_of(interrupted), target)
    assert ranges(interrupted)[-1] is None
    assert target.read_bytes() == BODY


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_part_of_another_user(
    connect: Connect, interrupted: FaultyServer, target: Path
) -> None:
    """It is not resumed."""
    part = target.with_name(PART)
    os.chown(part, 12345, 12345)
    connect(interrupted).runs.download(result_of(interrupted), target)
    assert ranges(interrupted)[-1] is None
    assert target.read_bytes() == BODY
    assert part.stat().st_size == 2 * MIB


def test_without_locks(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system without locks, each download has its own file, and none remains."""

    def flock(descriptor: int, how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", flock)
    server.on("/result", store(BODY, cut=2 * MIB), store(BODY))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    server.on("/result", store(BODY, cut=2 * MIB))
    target.write_bytes(b"old")
    with pytest.raises(IntegrityError):
        connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_untouched(target)


def test_without_a_module_for_locks(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows, each download has its own file, and none remains."""
    monkeypatch.setattr("dcipher._results.downloads.files.slots.HAS_LOCKS", False)
    server.on("/result", store(BODY, cut=2 * MIB))
    with pytest.raises(IntegrityError):
        connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_untouched(target)
    server.on("/result", store(BODY))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)


def test_long_names_have_different_parts(tmp_path: Path) -> None:
    """Two long names with the same beginning have different parts."""
    first, second = (tmp_path / f"{'x' * 240}{end}" for end in "ab")
    one, two = PartFile(first, "i"), PartFile(second, "i")
    try:
        assert len(list(tmp_path.iterdir())) == 2
    finally:
        one.close()
        two.close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sidecar that cannot be written is an error with the file. Nothing incomplete is resumed."""
    part = PartFile(tmp_path / "out", "i")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dcipher._results.downloads.files.part_file._sync_data", full)
    with pytest.raises(LocalStorageError, match="out"):
        part.persist(Transfer(received=5, etag='"1"'))
    part.discard()
    part.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("taken_up", [False, True])
@pytest.mark.parametrize("is_written", [False, True])
def test_another_one_begins_while_this_one_is_renamed(
    target: Path, monkeypatch: pytest.MonkeyPatch, taken_up: bool, is_written: bool
) -> None:
    """A download that takes the free name of the unfinished file keeps its own sidecar."""
    first = PartFile(target, "i")
    first.resume()
    first.writelines([b"1234567890"])
    first.persist(Transfer(received=10, etag='"1"'))
    if taken_up:
        first.close()
        first = PartFile(target, "i")
        assert first.resume().received == 10
    real, other, being_written = os.replace, list[PartFile](), target.with_name(f"{NOTE}.new")

    def replace(source: Any, destination: Any) -> None:
        real(source, destination)
        if destination == target and not other:
            other.append(PartFile(target, "i"))
            assert other[0].resume().received == 0
            other[0].writelines([b"12345"])
            if is_written:
                other[0].persist(Transfer(received=5, etag='"1"'))
            else:
                being_written.write_bytes(b"half of a note")

    monkeypatch.setattr(os, "replace", replace)
    first.prepare()
    first.commit()
    assert target.read_bytes() == b"1234567890"
    if not is_written:
        assert being_written.exists()
        other[0].persist(Transfer(received=5, etag='"1"'))
    other[0].close()
    third = PartFile(target, "i")
    assert third.resume().received == 5
    third.commit()
    assert {path.name for path in target.parent.iterdir()} == {target.name}
