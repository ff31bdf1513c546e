"""A complete result replaces a file: by a rename, or in place if the file system requires that."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import LocalStorageError
from dcipher._files.replacement import followed, replacing
from dcipher._files.storage_errors import storage_errors
from dcipher._results.downloads.files.part_file import PartFile
from dcipher._results.downloads.transfers.transfer import Transfer
from dcipher._results.outputs.targets import check_targets
from tests.faulty import Reply
from tests.results.downloads.stores import SMALL, result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Connect
    from tests.faulty import FaultyServer

pytestmark = pytest.mark.skipif(os.name != "posix", reason="files as POSIX has them")
root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root mounts, and gives files away"
)
MIB = 1024 * 1024


def saved(target: Path, *, overwrite: bool = True, data: bytes = b"new") -> None:
    """Save a small result there, as a download does."""
    part = PartFile(target, "identity", overwrite=overwrite)
    try:
        part.resume()
        part.writelines([data])
        part.prepare()
        part.commit()
    finally:
        part.close()


def refuse(monkeypatch: pytest.MonkeyPatch, number: int, *names: str) -> None:
    """Let functions of `os` fail, as they do on a file system that lacks them."""

    def cannot(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    for name in names:
        monkeypatch.setattr(os, name, cannot)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file that another one is mounted at, as a container's is."""
    outside, target = tmp_path / "outside", tmp_path / "out.json"
    outside.write_bytes(b"old, and longer than what is new")
    target.touch()
    done = subprocess.run(["mount", "--bind", outside, target], check=False, capture_output=True)  # noqa: S603, S607
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    yield target
    subprocess.run(["umount", target], check=False)  # noqa: S603, S607


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]
    if subprocess.run(words, check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("nothing can be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=False)  # noqa: S603, S607


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder in which everybody may create files, as in /tmp; those of pytest are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o1777)
        yield Path(folder)


@pytest.fixture(params=["part", "replacing"])
def save(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """The two ways to replace a file."""
    if request.param == "part":
        return saved

    def replaced(target: Path) -> None:
        with replacing(target) as file:
            file.write(b"new")

    return replaced


@root
def test_a_mounted_file_is_written_in_place(
    mounted: Path, save: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """A mounted file cannot be replaced by a rename: it is written completely, with a warning."""
    check_targets(mounted, overwrite=True)
    save(mounted)
    assert (mounted.parent / "outside").read_bytes() == b"new"
    assert "written in place" in caplog.text
    assert {path.name for path in mounted.parent.iterdir()} == {"outside", "out.json"}


@root
def test_an_unwritable_mounted_file_is_noticed_before(
    mounted: Path, connect: Connect, server: FaultyServer
) -> None:
    """Nothing is requested if the result could be saved neither by a rename nor in place."""
    subprocess.run(["mount", "-o", "remount,bind,ro", mounted], check=True)  # noqa: S603, S607
    with pytest.raises(LocalStorageError, match=r"cannot be written|Read-only"):
        check_targets(mounted, overwrite=True)
    with pytest.raises(LocalStorageError):
        connect(server).flows.run("f", save_path=mounted)
    assert server.requests == []


@pytest.fixture(params=["+a", "+i"])
def fixed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """Makes a file or a folder append-only or immutable."""
    made: list[Path] = []

    def fix(path: Path) -> Path:
        done = subprocess.run(["chattr", request.param, path], check=False, capture_output=True)  # noqa: S603, S607
        if done.returncode:
            pytest.skip("the file system knows no such attributes")
        made.append(path)
        return path

    if shutil.which("chattr") is None:
        pytest.skip("there is no chattr here")
    yield fix
    for path in made:
        subprocess.run(["chattr", "-ai", path], check=True)  # noqa: S603, S607


@root
@pytest.mark.parametrize("which", ["file", "folder"])
@pytest.mark.parametrize("exists", [True, False])
def test_an_immutable_target_is_noticed_before(
    tmp_path: Path,
    fixed: Callable[[Path], Path],
    which: str,
    exists: bool,
    connect: Connect,
    server: FaultyServer,
) -> None:
    """No run is started for an append-only or immutable file or folder."""
    target = tmp_path / "out.json"
    if exists or which == "file":
        target.write_bytes(b"old")
    fixed(target if which == "file" else tmp_path)
    with pytest.raises(LocalStorageError, match="not permitted") as caught:
        connect(server).flows.run("f", save_path=target)
    assert ("The existing file is intact" in str(caught.value)) is target.exists()
    assert server.requests == []


@root
def test_a_full_disk_is_noticed_before(small: Path, connect: Connect, server: FaultyServer) -> None:
    """No run is started if not one byte of its result could be written."""
    with suppress(OSError), (small / "full").open("wb", 0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(LocalStorageError, match="Free disk space"):
        connect(server).flows.run("f", save_path=small / "out.json")
    assert server.requests == []
    assert [path.name for path in small.iterdir()] == ["full"]


@root
def test_a_partly_written_file_is_not_intact(tmp_path: Path, small: Path) -> None:
    """If a file was not completely written in place, the error does not say that it is intact."""
    (small / "file").write_bytes(b"old")
    target = tmp_path / "out.json"
    target.touch()
    subprocess.run(["mount", "--bind", small / "file", target], check=True)  # noqa: S603, S607
    try:
        with (
            pytest.raises(LocalStorageError, match="is incomplete now") as caught,
            storage_errors(target),
            replacing(target) as file,
        ):
            file.write(bytes(MIB))
    finally:
        subprocess.run(["umount", target], check=True)  # noqa: S603, S607
    assert "intact" not in str(caught.value)
    assert caught.value.errno == errno.ENOSPC


@root
@pytest.mark.parametrize("mode", [0o644, 0o666])
def test_a_file_of_another_user_in_a_sticky_folder(shared: Path, mode: int) -> None:
    """It is written in place if that is permitted, and else rejected before anything is requested."""
    target = shared / "out.json"
    target.write_bytes(b"old")
    target.chmod(mode)
    pid = os.fork()
    if pid == 0:  # as somebody else
        code = 3
        try:
            os.setgid(4242)
            os.setuid(4242)
            try:
                check_targets(target, overwrite=True)
                saved(target)
                code = 0
            except LocalStorageError as error:
                code = 1 if error.errno == errno.EPERM and "another user" in str(error) else 2
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert (code, target.read_bytes()) == ((1, b"old") if mode == 0o644 else (0, b"new"))
    assert [path.name for path in shared.iterdir()] == ["out.json"]


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES])
def test_a_rename_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, save: Callable[[Path], None]
) -> None:
    """For any reason of the kernel, the file is overwritten, and has the length of the new one."""
    target = tmp_path / "out.json"
    target.write_bytes(b"old, and longer than what is new")
    refuse(monkeypatch, number, "replace")
    save(target)
    assert target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_a_complete_result_is_kept(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the target cannot be written, the error names the file with the result. The next download works."""
    server.on("/result", Reply(SMALL, headers={"ETag": '"1"'}))
    client, replace = connect(server), os.replace

    def refused(source: Any, file: Any) -> None:
        if file == target:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        replace(source, file)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refused)
        with pytest.raises(LocalStorageError, match="The whole result is in ") as caught:
            client.runs.download(result_of(server), target)
    (whole,) = set(target.parent.iterdir()) - {target}
    assert str(whole) in str(caught.value)
    assert whole.suffix == target.suffix
    assert (whole.read_bytes(), target.read_bytes()) == (SMALL, b"old")
    client.runs.download(result_of(server), target)
    assert (whole.read_bytes(), target.read_bytes()) == (SMALL, SMALL)


@pytest.mark.parametrize(
    "number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES]
)
def test_a_file_system_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """`overwrite=False` works without them, and still replaces nothing that others have made meanwhile."""
    refuse(monkeypatch, number, "link")
    saved(tmp_path / "out.json", overwrite=False)
    assert (tmp_path / "out.json").read_bytes() == b"new"
    part = PartFile(tmp_path / "late", "identity", overwrite=False)
    part.resume()
    part.writelines([b"new"])
    part.prepare()
    (tmp_path / "late").write_bytes(b"another's")
    with pytest.raises(LocalStorageError) as caught:
        part.commit()
    part.close()
    assert caught.value.errno == errno.EEXIST
    assert (tmp_path / "late").read_bytes() == b"another's"
    assert {path.name for path in tmp_path.iterdir()} == {"out.json", "late"}


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_that_lacks_nearly_everything(
    connect: Connect,
    server: FaultyServer,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without permissions, owners, locks and syncing, a result is saved all the same, with one warning of each."""
    import fcntl

    target.chmod(0o604)
    refuse(monkeypatch, number, "fsync", "fdatasync", "fchmod", "fchown", "link")
    monkeypatch.setattr("dcipher._results.downloads.files.part_file._sync_data", os.fdatasync)
    monkeypatch.setattr("dcipher._files.replacement._warned", set())
    monkeypatch.setattr(fcntl, "flock", os.fsync)
    server.on("/result", Reply(SMALL, headers={"ETag": '"1"'}))
    for _ in range(2):
        connect(server).runs.download(result_of(server), target)
    assert target.read_bytes() == SMALL
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert caplog.text.count("does not support syncing") == 1
    assert caplog.text.count("does not support permissions") == 1


def test_a_disk_that_fails_to_sync_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO at the end means that bytes are lost: only a missing feature of the file system is ignored."""
    refuse(monkeypatch, errno.EIO, "fsync")
    with pytest.raises(LocalStorageError):
        saved(tmp_path / "out.json")


@root
@pytest.mark.parametrize("mode", [0o640, 0o755, 0o4755, 0o2755, 0o6711])
def test_owner_group_and_mode_are_kept(
    tmp_path: Path, save: Callable[[Path], None], mode: int
) -> None:
    """A file that root replaces keeps its owner, but not setuid."""
    target = tmp_path / "out.json"
    target.write_bytes(b"old")
    os.chown(target, 1001, 1002)
    target.chmod(mode)
    save(target)
    known = target.stat()
    assert (target.read_bytes(), known.st_uid, known.st_gid) == (b"new", 1001, 1002)
    assert stat.S_IMODE(known.st_mode) == mode & 0o777


@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_is_followed(
    tmp_path: Path, save: Callable[[Path], None], exists: bool
) -> None:
    """The link remains, and its target is replaced by a rename in the same folder."""
    behind, link = tmp_path / "elsewhere" / "behind.json", tmp_path / "out.json"
    behind.parent.mkdir()
    if exists:
        behind.write_bytes(b"old")
    (tmp_path / "middle").symlink_to("elsewhere/behind.json")
    link.symlink_to("middle")
    check_targets(link, overwrite=True)
    save(link)
    assert link.is_symlink()
    assert behind.read_bytes() == b"new"
    assert [path.name for path in behind.parent.iterdir()] == ["behind.json"]


def test_a_link_into_no_folder_is_noticed_before(tmp_path: Path) -> None:
    """A link that leads into a folder that is not there is an error before a run is started."""
    (tmp_path / "out.json").symlink_to(tmp_path / "nowhere" / "x")
    with pytest.raises(LocalStorageError, match="the folder does not exist"):
        check_targets(tmp_path / "out.json", overwrite=True)


@root
def test_a_link_of_another_user_in_a_shared_folder_is_rejected(
    tmp_path: Path, shared: Path
) -> None:
    """Another user cannot have a result written over any file by a link in /tmp."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (shared / "out.json").symlink_to(victim)
    os.lchown(shared / "out.json", 1001, 1001)
    with pytest.raises(PermissionError):
        followed(shared / "out.json")
    with pytest.raises(LocalStorageError, match=r"another user|Permission denied"):
        check_targets(shared / "out.json", overwrite=True)
    assert victim.read_bytes() == b"precious"


def test_missing_bytes_take_no_space(tmp_path: Path) -> None:
    """If a store announces two gigabytes, an aborted download occupies only the received bytes."""
    part = PartFile(tmp_path / "out.bin", "identity")
    part.resume()
    assert part.reserve(1024 * MIB)
    part.writelines([b"x" * 2 * MIB])
    part.write_at(512 * MIB, b"y" * MIB)
    assert part.persist(
        Transfer(received=2 * MIB, parts=((512 * MIB, 513 * MIB),), total=1024 * MIB, etag='"1"')
    )
    part.close()
    (kept,) = [path for path in tmp_path.iterdir() if path.suffix == ".part"]
    assert kept.stat().st_blocks * 512 <= 4 * MIB


@root
def test_a_disk_that_is_too_small_fails_at_once(tmp_path: Path) -> None:
    """The space is checked on the disk itself, and released."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(  # noqa: S603
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk],  # noqa: S607
        check=False,
        capture_output=True,
    )
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        part = PartFile(disk / "out.bin", "identity")
        part.resume()
        with pytest.raises(LocalStorageError, match="Free disk space") as caught:
            part.reserve(3 * MIB)
        assert "intact" not in str(caught.value)  # nothing was there
        assert part.reserve(MIB)
        assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize > MIB
        part.close()
    finally:
        subprocess.run(["umount", disk], check=False)  # noqa: S603, S607


@pytest.mark.parametrize("exists", [True, False])
def test_an_error_says_what_is_intact(tmp_path: Path, exists: bool) -> None:
    """An existing file is reported as intact."""
    target = tmp_path / "out.json"
    if exists:
        target.touch()
    with pytest.raises(LocalStorageError) as caught, storage_errors(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert ("The existing file is intact" in str(caught.value)) is exists
    assert "Free disk space" in str(caught.value)
