"""The persisted state of an emulator: runs, results, keys and URLs."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import sys
import threading
import time
import traceback
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from dcipher import Dcipher, InternalServerError, NotFoundError, Run, RunFailedError
from dcipher.emulator import Emulator, Result
from dcipher.emulator.faults import ChangeContent, ExpireURL
from tests.emulator.emulated import Emulated
from tests.waiting import HANG, no_hang, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeAlias

    ClientOf: TypeAlias = Callable[[Emulator | Emulated], Dcipher]

BIG = 9 * 1024 * 1024  # three pieces


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def emulator_on(folder: Path, port: int = 0, **arguments: object) -> Emulator:
    made = Emulator(state_dir=folder, port=port, queue_time=0, **arguments)  # type: ignore[arg-type]
    made.flow("quick")(lambda text: text.upper())
    made.flow("pair", outputs=2)(lambda: (Result(b"a,b\n", "text/csv"), b""))
    return made


@pytest.fixture
def client_of() -> Iterator[ClientOf]:
    clients: list[Dcipher] = []

    def make(emulator: Emulator | Emulated) -> Dcipher:
        key = emulator.api_key if isinstance(emulator, Emulator) else emulator.key
        clients.append(Dcipher(key, base_url=emulator.url, max_retries=1))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_the_state_after_a_restart(folder: Path, client_of: ClientOf) -> None:
    """Key, runs, results with their types, URLs and idempotency keys are the same."""
    with emulator_on(folder) as one:
        client = client_of(one)
        first = client.flows.start("quick", {"text": "river"}, idempotency_key="k")
        pair = client.runs.wait(client.flows.start("pair"))
        client.runs.wait(first)
        before = one.runs
        key, port = one.api_key, port_of(one.url)
    with emulator_on(folder, port) as two:
        assert two.api_key == key
        assert two.runs == before
        client = client_of(two)
        assert client.runs.read(client.runs.wait(first)) == b"RIVER"
        assert client.runs.read(pair, bytes, output_index=0) == b"a,b\n"
        assert client.runs.read(pair, bytes, output_index=1) == b""
        url = pair.outputs[0].url.get_secret_value()
        assert httpx.get(url).headers["content-type"] == "text/csv"
        again = client.flows.start("quick", {"text": "river"}, idempotency_key="k")
        assert again.task_id == first.task_id
        assert len(two.runs) == 2


def test_the_answer_to_an_idempotent_start_has_the_new_address(
    folder: Path, client_of: ClientOf
) -> None:
    """On another port the same start is answered with URLs of that port, which work."""
    with emulator_on(folder) as one:
        client_of(one).flows.start("quick", {"text": "a"}, idempotency_key="k")
    with emulator_on(folder) as two:
        client = client_of(two)
        run = client.flows.start("quick", {"text": "a"}, idempotency_key="k")
        assert run.outputs[0].url.get_secret_value().startswith(two.url)
        assert client.runs.read(client.runs.wait(run)) == b"A"


def test_a_run_survives_kill_9_at_each_moment(
    folder: Path, client_of: ClientOf, tmp_path: Path
) -> None:
    """Killed before a run ends, and after: the same `Run` is waited for, and downloaded."""
    with Emulated(folder, "slow", "quick") as process:
        client = client_of(process)
        done = client.runs.wait(client.flows.start("quick", {"text": "river"}))
        begun = client.flows.start("slow", {"text": "lake"})
        stored = Run.from_json(begun.to_json(reveal=True))
        process.kill()
    with Emulated(folder, "slow", "quick", port=process.port) as again:
        assert again.key == process.key
        client = client_of(again)
        assert client.runs.get("quick", done.task_id).succeeded
        assert client.runs.read(done) == b"RIVER"
        finished = client.runs.wait(stored, timeout=HANG)
        (path,) = client.runs.download(finished, tmp_path / "lake.txt")
        assert path.read_text() == "slow lake"
        assert again.end() == ""


@pytest.mark.thorough
def test_a_start_with_a_response_is_never_lost(folder: Path) -> None:
    """After a kill during starts and results, every run with a response is known, and ends."""
    known: list[str] = []
    with Emulated(folder, "bytes", "quick") as process:
        headers = {"Authorization": f"Api-Key {process.key}"}
        stop = threading.Timer(0.4, process.kill)
        with httpx.Client(base_url=process.url, headers=headers) as client:
            try:
                while True:
                    size = 1024 if len(known) % 3 else BIG
                    body = {"pipelineParams": {"size": size}}
                    response = client.post("/flows/bytes/run", json=body)
                    known.append(response.json()["signedResponseURL"])
                    if len(known) == 1:
                        stop.start()
            except httpx.TransportError:
                pass
        stop.join()
    assert known
    with Emulated(folder, "bytes", "quick", port=process.port):
        deadline = time.monotonic() + HANG
        with httpx.Client() as client:
            for number, url in enumerate(known):
                while (response := client.get(url)).status_code == 404:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
                size = 1024 if number % 3 else BIG
                assert response.content == bytes(range(256)) * (size // 256)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A folder whose emulator was killed in the midst of a run, and that run."""
    folder = tmp_path_factory.mktemp("killed") / "state"
    with Emulated(folder, "stuck") as process, Dcipher(process.key, base_url=process.url) as client:
        run = client.flows.start("slow", {"text": "lake"})
        process.kill()
    return folder, run


@pytest.fixture
def unfinished(killed: tuple[Path, Run], folder: Path) -> Run:
    """Such a run, in `folder`."""
    shutil.copytree(killed[0], folder)
    return killed[1]


def test_an_unfinished_run_without_its_flow_fails(
    folder: Path, unfinished: Run, client_of: ClientOf
) -> None:
    """It is FAILED with the reason, also after another restart with the flow."""
    for flows in ((), ("slow",)):
        emulator = emulator_on(folder)
        for flow_id in flows:
            emulator.flow(flow_id)(lambda text: text)
        with emulator:
            client = client_of(emulator)
            with pytest.raises(RunFailedError, match="'slow' is no longer registered"):
                client.runs.wait(unfinished, timeout=HANG)
            if not flows:
                with pytest.raises(NotFoundError, match="no flow"):
                    client.flows.start("slow", {"text": "x"})


def test_a_flow_may_be_registered_after_the_start(
    folder: Path, unfinished: Run, client_of: ClientOf
) -> None:
    """A flow that is registered within the `with` block is in time for a waiting run."""
    with emulator_on(folder) as emulator:
        client = client_of(emulator)
        assert client.runs.get("slow", unfinished.task_id).status == "PENDING"
        emulator.flow("slow")(lambda text: text)
        client.runs.wait(unfinished, timeout=HANG)
    with emulator_on(folder) as again:
        assert [run.status for run in again.runs] == ["SUCCEEDED"]


@pytest.mark.parametrize(
    ("outputs", "flow", "words"),
    [
        (2, lambda text: ("a", "b"), "but its flow now has 2"),
        (1, lambda other: other, "params are invalid"),
    ],
    ids=["outputs", "params"],
)
def test_a_changed_flow_fails_an_old_run(
    folder: Path,
    unfinished: Run,
    client_of: ClientOf,
    outputs: int,
    flow: Callable[..., object],
    words: str,
) -> None:
    """Invalid params, or another number of outputs, fail the old run."""
    emulator = emulator_on(folder)
    emulator.flow("slow", outputs=outputs)(flow)
    with emulator, pytest.raises(RunFailedError, match=words):
        client_of(emulator).runs.wait(unfinished, timeout=HANG)


def test_a_folder_belongs_to_one_emulator(folder: Path) -> None:
    """A second one is rejected at once, in this process and in another, without an effect."""
    with emulator_on(folder) as one:
        with no_hang(), pytest.raises(OSError, match="another emulator uses it"):
            emulator_on(folder).start()
        with pytest.raises(AssertionError, match="another emulator uses it"):
            Emulated(folder)
        assert httpx.get(f"{one.url}/openapi.json").status_code == 200
    emulator = emulator_on(folder)
    emulator.start()
    emulator.stop()


def test_a_failed_start_releases_the_folder(folder: Path) -> None:
    """If the port is in use, the next emulator can use the folder."""
    with emulator_on(folder) as one:
        port = port_of(one.url)
        with pytest.raises(OSError, match=f"port {port}"):
            Emulator(state_dir=folder / "other", port=port).start()
        with Emulator(state_dir=folder / "other"):
            pass


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_state_of_another_version_is_rejected(folder: Path) -> None:
    """The message has both versions, and the file is unchanged."""
    with emulator_on(folder):
        pass
    path = folder / "emulator.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    before = contents(folder)
    with pytest.raises(OSError, match=r"version 7, but this emulator needs 1"):
        emulator_on(folder).start()
    assert contents(folder) == before


def another_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()


def broken_page(path: Path) -> None:
    with emulator_on(path.parent):
        pass
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


@pytest.mark.parametrize(
    "spoil",
    [lambda path: path.write_bytes(b"not a database " * 500), another_database, broken_page],
    ids=["text", "another's", "a page"],
)
def test_a_damaged_or_foreign_file_is_rejected(
    folder: Path, spoil: Callable[[Path], object]
) -> None:
    """The message names the folder, and the file is unchanged."""
    folder.mkdir()
    spoil(folder / "emulator.sqlite3")
    before = contents(folder)
    with pytest.raises(OSError, match="state' is damaged, or does not belong to an emulator"):
        emulator_on(folder).start()
    assert contents(folder) == before


def test_an_impossible_folder_is_an_error(tmp_path: Path) -> None:
    """A file at its path, or at its parent's, is reported with the reason of the system."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(OSError, match="cannot be opened"):
            emulator_on(path).start()


def test_only_the_owner_may_read(folder: Path) -> None:
    """The folder is 0700, every file in it 0600, while it serves and afterwards."""
    with emulator_on(folder) as emulator:
        httpx.get(f"{emulator.url}/openapi.json")
        modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        assert (stat.S_IMODE(folder.stat().st_mode), modes) == (0o700, {0o600})
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_given_key_replaces_the_stored_one(folder: Path) -> None:
    """`api_key` takes precedence over the stored one. Before the start, no key is known."""
    with Emulator(state_dir=folder, api_key="emu_mine") as one:
        assert one.api_key == "emu_mine"
    two = Emulator(state_dir=folder)
    with pytest.raises(RuntimeError, match="when it is started"):
        _ = two.api_key
    with two:
        assert two.api_key == "emu_mine"


def test_effects_of_faults_persist(folder: Path, client_of: ClientOf) -> None:
    """An expired URL and a changed file persist over a restart."""
    with emulator_on(folder) as one:
        client = client_of(one)
        urls = []
        for text in ("a", "b"):
            run = client.runs.wait(client.flows.start("quick", {"text": text}))
            urls.append(run.outputs[0].url.get_secret_value())
        one.fault("result", ChangeContent())
        changed = httpx.get(urls[0])
        one.fault("result", ExpireURL())
        assert httpx.get(urls[1]).status_code == 403
        port = port_of(one.url)
    with emulator_on(folder, port):
        after = httpx.get(urls[0])
        assert (after.content, after.headers["etag"]) == (b"B", changed.headers["etag"])
        assert httpx.get(urls[1]).status_code == 403


def test_a_reset_removes_the_state(folder: Path, client_of: ClientOf) -> None:
    """Runs and idempotency keys are removed also after a restart. The API key remains."""
    with emulator_on(folder) as one:
        client_of(one).flows.run("quick", {"text": "a"}, idempotency_key="k")
        one.reset()
        client_of(one).flows.run("quick", {"text": "b"}, idempotency_key="k")
        key = one.api_key
    one.reset()
    with emulator_on(folder) as two:
        assert [run.params for run in two.runs] == [{"text": "b"}]
        assert two.api_key == key


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is POSIX")
def test_a_full_disk_damages_no_state(folder: Path, client_of: ClientOf) -> None:
    """A start is rejected with the reason. A result is served and persisted later; old runs are intact."""
    with Emulated(folder, "bytes", "slow", "quick") as process:
        client = client_of(process)
        first = client.runs.wait(client.flows.start("quick", {"text": "river"}))
        slow = client.flows.start("slow", {"text": "lake"})
        process.limit(1)
        with pytest.raises(InternalServerError, match=r"not started.*state' could not be written"):
            client.flows.start("quick", {"text": "sea"})
        assert client.runs.read(client.runs.wait(slow)) == b"slow lake"
        process.limit(0)
        client.runs.wait(client.flows.start("quick", {"text": "rain"}))
        time.sleep(1.2)  # it is tried again once a second
        process.limit(1024 * 1024)
        large = client.runs.wait(client.flows.start("bytes", {"size": 2 * 1024 * 1024}))
        assert len(client.runs.read(large, bytes)) == 2 * 1024 * 1024
        process.kill()
        assert f"Run {slow.task_id} cannot be persisted" in process.errors
        assert f"Run {large.task_id} cannot be persisted" in process.errors
        assert process.errors.count("Traceback") == 0
    emulator = emulator_on(folder, process.port)
    emulator.flow("bytes")(lambda size: bytes(size))
    with emulator:
        client = client_of(emulator)
        for run, text in ((first, b"RIVER"), (slow, b"slow lake")):
            assert client.runs.read(run) == text
        assert (
            len(client.runs.read(client.runs.wait(large, timeout=HANG), bytes)) == 2 * 1024 * 1024
        )


@contextmanager
def read_only(emulator: Emulator) -> Iterator[None]:
    """SQLite writes nothing meanwhile, as on a disk that became read-only."""
    connection = emulator._state._database._connection
    connection.execute("PRAGMA query_only = 1")
    yield
    connection.execute("PRAGMA query_only = 0")


def test_an_unwritable_disk_fails_no_run(
    folder: Path,
    client_of: ClientOf,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Starts and resets are rejected, results served, faults logged. Later, everything is persisted."""
    monkeypatch.setattr("dcipher.emulator.runs.runs._RETRY_DELAY", 0.05)
    with emulator_on(folder) as one:
        one.flow("slow", duration=1)(lambda: bytes(range(256)) * (BIG // 256))
        client = client_of(one)
        first = client.flows.run("quick", {"text": "a"})
        slow = client.flows.start("slow")
        with read_only(one):
            with pytest.raises(InternalServerError, match="run was not started"):
                client.flows.start("quick", {"text": "b"})
            with pytest.raises(OSError, match="could not be written to"):
                one.reset()
            control = {"X-Dcipher-Emulator": "1"}
            response = httpx.post(f"{one.url}/_emulator/reset", headers=control)
            assert (response.status_code, "Nothing was removed" in response.text) == (500, True)
            assert len(one.runs) == 2
            one.fault("result", ChangeContent())
            assert client.runs.read(first) == b"B"
            assert len(client.runs.read(client.runs.wait(slow), bytes)) == BIG
        assert f"Run {slow.task_id} cannot be persisted" in caplog.text
        assert until(lambda: not one._service.runs._tasks)  # it is tried again
    with emulator_on(folder) as two:
        assert [run.status for run in two.runs] == ["SUCCEEDED"] * 2
        assert len(client_of(two).runs.read(slow_at(two, slow), bytes)) == BIG


def slow_at(emulator: Emulator, run: Run) -> Run:
    """The same run, whose URLs have the emulator's present port."""
    text = run.to_json(reveal=True)
    old = run.outputs[0].url.get_secret_value().partition("/results/")[0]
    return Run.from_json(text.replace(old, emulator.url))


def test_task_ids_are_unique(folder: Path, client_of: ClientOf) -> None:
    """A rejected start does not count. Each run has its own id, over restarts and seeds."""
    known: list[str] = []

    def start(emulator: Emulator) -> None:
        run = client_of(emulator).flows.start("quick", {"text": "a"})
        known.append(client_of(emulator).runs.wait(run).task_id)

    def refuse(emulator: Emulator) -> None:
        with read_only(emulator), pytest.raises(InternalServerError):
            client_of(emulator).flows.start("quick", {"text": "a"})

    with emulator_on(folder, seed=7) as one:
        start(one)
        refuse(one)
        start(one)
        refuse(one)
    with emulator_on(folder, seed=7) as two:
        start(two)
        assert [run.task_id for run in two.runs] == known
    with emulator_on(folder, seed=8) as three:
        refuse(three)
        start(three)
    with emulator_on(folder) as four:
        start(four)
    with emulator_on(folder, seed=7) as five:
        start(five)
        assert [run.task_id for run in five.runs] == known
    assert len(set(known)) == 6
    other = emulator_on(folder.parent / "other", seed=7)
    with other:
        for number in range(3):
            start(other)
            assert known.pop() == known[number]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run that has a key, and an unfinished one."""
    folder = tmp_path_factory.mktemp("kept") / "state"
    with (
        emulator_on(folder) as emulator,
        Dcipher(emulator.api_key, base_url=emulator.url) as client,
    ):
        emulator.flow("long", duration=3600)(lambda: None)
        client.flows.run("quick", {"text": "canary"}, idempotency_key="k")
        client.flows.start("long")
    return folder


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE secrets SET value = 'emu_text' WHERE name = 'api_key'", "secrets has a bad value"),
        ("UPDATE secrets SET value = x'6c697665' WHERE name = 'api_key'", "must begin with emu_"),
        ("UPDATE secrets SET value = x'' WHERE name = 'url_secret'", "secrets has a bad value"),
        ("UPDATE runs SET task_id = x'00' WHERE number = 2", "row 2 of its table runs has a bad task_id"),
        ("UPDATE runs SET status = 'canary'", "row 1 of its table runs has a bad status"),
        ("UPDATE runs SET params = '[\"canary\"]'", "runs has a bad params"),
        ("UPDATE runs SET params = 'canary'", "runs has a bad params"),
        ("UPDATE runs SET created_at = 1e300", "a bad created_at"),
        ("UPDATE runs SET created_at = 'canary'", "a bad created_at"),
        ("UPDATE runs SET identity = 'canary'", "a bad identity"),
        ("UPDATE runs SET outputs = 0", "a bad outputs"),
        ("UPDATE runs SET outputs = 2", "its table results lacks a row"),
        ("UPDATE runs SET flow_id = CAST(x'ff' AS TEXT)", "not UTF-8"),
        ("UPDATE pieces SET content = 'canary'", "pieces has a bad content"),
        ("DELETE FROM pieces", "pieces has a bad content"),
        ("DELETE FROM results", "its table results lacks a row"),
        ("UPDATE results SET sha256 = x'00'", "a bad sha256"),
        ("UPDATE results SET content_type = x'00'", "a bad content_type"),
        ("UPDATE starts SET paths = '{}'", "starts has a bad paths"),
        ("UPDATE starts SET digest = 'canary'", "a bad digest"),
        ("DROP TABLE starts", "no such table"),
        ("ALTER TABLE runs RENAME COLUMN message TO said", "no such column"),
    ],
)  # fmt: skip
def test_a_damaged_value_is_named(kept: Path, folder: Path, change: str, words: str) -> None:
    """Table, row and column, and advice. The file is unchanged, and the folder is released."""
    shutil.copytree(kept, folder)
    with closing(sqlite3.connect(folder / "emulator.sqlite3")) as connection:
        connection.execute(change)
        connection.commit()
    before = contents(folder)
    for _ in range(2):
        with pytest.raises(OSError, match="is damaged, or does not belong to an") as caught:
            emulator_on(folder).start()
        assert words in str(caught.value)
        assert "use another folder" in str(caught.value)
        assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert contents(folder) == before


@pytest.mark.parametrize("size", [0, 50, 4096, 5000, -4096])
def test_a_truncated_file_is_not_a_new_one(kept: Path, folder: Path, size: int) -> None:
    """At any length, the state is not replaced silently."""
    shutil.copytree(kept, folder)
    path = folder / "emulator.sqlite3"
    path.write_bytes(path.read_bytes()[:size])
    before = contents(folder)
    with pytest.raises(OSError, match="is damaged, or does not belong to an emulator"):
        emulator_on(folder).start()
    assert contents(folder) == before


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_a_readable_file_becomes_private(
    kept: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A copy may have any mode. The file with the key becomes private, with one warning."""
    shutil.copytree(kept, folder)
    path = folder / "emulator.sqlite3"
    path.chmod(0o644)
    for _ in range(2):
        with emulator_on(folder):
            assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    messages = [one.getMessage() for one in caplog.records if one.name == "dcipher.emulator"]
    assert len(messages) == 1
    assert "Other users could read" in messages[0]


def test_a_damaged_row_is_rejected(folder: Path) -> None:
    """A row that is valid for SQLite, but not for the emulator, is an error. The folder is released."""
    with emulator_on(folder):
        pass
    path = folder / "emulator.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO runs (task_id, flow_id, params, identity, outputs, created_at, status,"
        " urls_expired) VALUES ('t', 'f', '{', 'i', 1, 0, 'PENDING', 0)"
    )
    connection.commit()
    connection.close()
    for _ in range(2):
        with pytest.raises(OSError, match="is damaged, or does not belong to an emulator"):
            emulator_on(folder).start()


def test_equal_starts_have_equal_ids_with_a_seed(folder: Path, client_of: ClientOf) -> None:
    """In any order. Another seed has other ids, and no id occurs twice."""

    def ids(seed: int | None, texts: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        emulator = Emulator(queue_time=0, seed=seed)
        emulator.flow("quick")(lambda text: text)
        with emulator:
            for text in texts:
                run = client_of(emulator).flows.start("quick", {"text": text})
                found.setdefault(text, []).append(run.task_id)
        return found

    assert ids(7, "aab") == ids(7, "baa")
    assert ids(7, "ab") != ids(8, "ab")
    assert ids(None, "ab") != ids(None, "ab")
    with emulator_on(folder, seed=7) as one:
        client_of(one).flows.start("quick", {"text": "a"})
    with emulator_on(folder, seed=7) as two:
        client_of(two).flows.start("quick", {"text": "a"})
        assert [run.task_id for run in two.runs] == ids(7, "aa")["a"]
