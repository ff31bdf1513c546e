"""The generated sync twin matches its source, and the check detects every difference."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

pytest.importorskip("ruff", reason="the script formats with ruff, which only `dev` installs")

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "unasync.py"
HEADER = (
    "# Generated from dcipher/{} by scripts/unasync.py: edit that, not this.\n"
    "# ruff: noqa: C416, UP028\n"
)
ASYNC = {r"async (def|with|for)": r"\1", r"await ": ""}


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("unasync_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load()


class Repository:
    """A temporary repository, with one async file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = root / "dcipher"
        self.package.mkdir()
        (root / "pyproject.toml").write_text('[tool.ruff.lint]\nselect = ["F", "I"]\n')
        self.write("job_async.py", "async def job() -> int:\n    return await other()\n")

    def write(self, name: str, code: str) -> None:
        path = self.package / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(code), encoding="utf-8")

    def run(self, rules: dict[str, str] | None = None, *, check: bool = False) -> list[str]:
        wrong = script.unasync(self.root, ASYNC if rules is None else rules, check=check)
        assert isinstance(wrong, list)
        return wrong

    def printed(self, code: str, rules: dict[str, str] | None = None) -> str:
        """Returns the generated code for `code`, without the header."""
        self.write("job_async.py", code)
        self.run(script.RULES if rules is None else rules)
        text = (self.package / "job.py").read_text(encoding="utf-8")
        assert text.startswith(HEADER.format("job_async.py"))
        return text.removeprefix(HEADER.format("job_async.py")).lstrip("\n")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_generated_files_are_current(repository: Repository) -> None:
    """A file that was just generated is current, including its header."""
    assert repository.run() == []
    assert repository.run(check=True) == []
    code = (repository.package / "job.py").read_text()
    assert code == HEADER.format("job_async.py") + "def job() -> int:\n    return other()\n"


def test_lists_every_pair(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """Each pair is named, those in folders too, whether printed or checked."""
    repository.write("deep/part_async.py", "")
    repository.run()
    repository.run(check=True)
    lines = capsys.readouterr().out.splitlines()
    pairs = ["dcipher/deep/part_async.py -> part.py", "dcipher/job_async.py -> job.py"]
    assert lines == pairs * 2


@pytest.mark.parametrize(
    ("code", "twin"),
    [
        ("async with AsyncClient() as c:", "with Client() as c:"),
        ("async for line in r.aiter():", "for line in r.aiter():"),
        ("await (x)", "    (x)"),
        ("await\\\n    x", None),
        ("class AsyncDcipher: ...", "class Dcipher: ..."),
        ("class AsyncBody(httpx.AsyncByteStream): ...", "class Body(httpx.SyncByteStream): ..."),
        ("x.__aenter__, x.__aexit__", "x.__enter__, x.__exit__"),
        ("x.__aiter__, x.__anext__", "x.__iter__, x.__next__"),
        ("c.get_or_create_async_httpx_client()", "c.get_or_create_httpx_client()"),
        ("c.aclose()", "c.close()"),
        ("c.aread()", "c.read()"),
        ("with aclosing(rows):", "with closing(rows):"),
        ('"""Wraps `AsyncDcipher`."""', '"""Wraps `Dcipher`."""'),
        ("x = not_await_ing, myAsyncThing", "x = not_await_ing, myAsyncThing"),
    ],
)
def test_rules(repository: Repository, code: str, twin: str | None) -> None:
    """Each rule of the project replaces complete words, in docstrings, too."""
    body = "\n    pass" if code.endswith(":") else ""
    source = f"{code}{body}\n"
    if code.startswith(("async ", "await ")):
        source = "async def f():\n" + "".join(f"    {line}\n" for line in source.splitlines())
    if twin is None:
        with pytest.raises(SystemExit, match=r"job_async\.py.*not Python.*await"):
            repository.printed(source)
        return
    assert twin in repository.printed(source)


def test_removes_unused_imports(repository: Repository) -> None:
    """An import that is no longer used is removed."""
    code = "from abc import Awaitable, C\n\nx: Awaitable[C]\n"
    printed = repository.printed(code, {r"Awaitable\[(\w+)\]": r"\1"})
    assert printed == "from abc import C\n\nx: C\n"


def test_formats_and_sorts(repository: Repository) -> None:
    """A shorter name moves an import and joins a line, as ruff would have it."""
    code = "from zlib import (\n  AsyncB, A\n)\nfrom abc import C\n\nA, AsyncB, C\n"
    printed = repository.printed(code, {r"Async(\w+)": r"\1"})
    assert printed == "from abc import C\nfrom zlib import A, B\n\nA, B, C\n"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda old: old + "\n", id="a line appended"),
        pytest.param(lambda old: old.replace("\n", "\r\n"), id="line ends"),
        pytest.param(lambda old: old.partition("\n")[2], id="no header"),
        pytest.param(lambda _old: "", id="emptied"),
    ],
)
def test_stale(repository: Repository, change: object) -> None:
    """One byte of difference is enough, and the check leaves the file as it is."""
    repository.run()
    twin = repository.package / "job.py"
    assert callable(change)
    stale = change(twin.read_text()).encode()
    twin.write_bytes(stale)
    wrong = repository.run(check=True)
    assert wrong[0] == "dcipher/job.py is stale: run `make unasync`"
    assert twin.read_bytes() == stale


def test_shows_the_difference(repository: Repository) -> None:
    """A stale file has a unified diff, and a long one is truncated with a note."""
    repository.run()
    twin = repository.package / "job.py"
    twin.write_text(twin.read_text().replace("other", "another"))
    wrong = repository.run(check=True)
    assert "-    return another()" in wrong
    assert "+    return other()" in wrong
    twin.write_text("\n".join(f"x{number} = 1" for number in range(100)))
    wrong = repository.run(check=True)
    assert len(wrong) < 30
    assert "more lines" in wrong[-1]


def test_missing(repository: Repository) -> None:
    """A twin that was never printed is reported, and not made by the check."""
    assert repository.run(check=True) == [
        "dcipher/job.py is missing: run `make unasync`",
    ]
    assert not (repository.package / "job.py").exists()


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("name", ["gone.py", "deep/x.py"])
def test_orphan(repository: Repository, name: str, check: bool) -> None:
    """A generated file without its source is reported in both modes, and not changed."""
    source = name.replace(".py", "_async.py")
    repository.write(source, "")
    repository.run()
    (repository.package / source).unlink()
    complaint = "dcipher/{0} is an orphan, nothing prints it: run `git rm -f dcipher/{0}`"
    assert repository.run(check=check) == [complaint.format(name)]
    assert (repository.package / name).exists()


def test_a_file_written_by_hand_is_not_an_orphan(repository: Repository) -> None:
    """A file beside the generated ones without their header is ignored."""
    repository.write("hand.py", "x = 1\n")
    repository.run()
    assert repository.run(check=True) == []


@pytest.mark.parametrize("check", [False, True])
def test_unused_rule(repository: Repository, check: bool) -> None:
    """A rule that nothing used fails both modes, and is named."""
    repository.run()
    wrong = repository.run({**ASYNC, "aclose": "close"}, check=check)
    assert len(wrong) == 1
    assert "'aclose': 'close'" in wrong[0]


def test_unusable_source(repository: Repository) -> None:
    """A file that is not Python stops the run and is named."""
    repository.write("job_async.py", "async def (:\n")
    with pytest.raises(SystemExit, match=r"job_async\.py"):
        repository.run()


def test_an_error_of_ruff(repository: Repository) -> None:
    """An error of ruff ends the run, with its message."""
    (repository.root / "pyproject.toml").write_text("[tool.ruff]\nline-length = 'long'\n")
    with pytest.raises(SystemExit, match=r"(?s)dcipher/job\.py: ruff check failed.*line-length"):
        repository.run()


def test_exit_code(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command fails while a file is wrong, with a message on stderr, and fixes it."""
    monkeypatch.setattr(script, "ROOT", repository.root)
    monkeypatch.setattr(script, "RULES", ASYNC)
    assert script.main(["--check"]) == 1
    assert "dcipher/job.py is missing" in capsys.readouterr().err
    assert script.main([]) == 0
    assert script.main(["--check"]) == 0
    assert capsys.readouterr().err == ""


def test_same_on_every_run(repository: Repository) -> None:
    """Generating twice has the same bytes."""
    repository.run()
    first = (repository.package / "job.py").read_bytes()
    repository.run()
    assert (repository.package / "job.py").read_bytes() == first


def test_twins_are_current(tmp_path: Path) -> None:
    """The twins of this repository are current, checked from another folder as CI would."""
    words = [sys.executable, str(SCRIPT), "--check"]
    done = subprocess.run(  # noqa: S603 - our own script
        words, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
