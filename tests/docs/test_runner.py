"""The runner of the examples: a wrong example fails, with its line."""

from __future__ import annotations

from textwrap import dedent, indent
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("fastapi", reason="examples run against the emulator")
pytest.importorskip("sybil", reason="sybil finds the examples of the documents")

from sybil.example import SybilFailure

from tests.docs import examples as runner

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher.emulator import Emulator

TABS = """\
    === "Blocking"

        ```python
        from dcipher import Dcipher

        with Dcipher() as client:
            client.flows.get("65cf2f3e")

            client.flows.get("keywords")
        ```

    === "Async"

        ```python
        import asyncio

        from dcipher import AsyncDcipher


        async def main() -> None:
            async with AsyncDcipher() as client:
                await client.flows.get("topics")


        asyncio.run(main())
        ```
    """


SERVER = """\
import signal; signal.signal(signal.SIGINT, lambda *_: exit(0)); \
print("ready", flush=True); signal.pause()"""


def run(text: str, folder: Path) -> None:
    document = folder / "document.md"
    document.write_text(dedent(text), encoding="utf-8")
    for example in runner.examples(document):
        example.evaluate()


def block(language: str, code: str) -> str:
    return f"Some text.\n\n```{language}\n{code}\n```\n"


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "assert 1 + 1 == 3"),
        ("python", "from dcipher import NoSuchName"),
        ("python", "def test_it() -> None:\n    assert 1 + 1 == 3"),
        ("diff", "-old()\n+client.no_such_method()"),
        ("sh", "true\nfalse\ntrue"),
        ("sh", "no-such-command --help"),
        ("sh", "curl $DCIPHER_BASE_URL/no/such/path"),
        ("sh", "make no-such-target"),
        ("sh", "pip install '.[no-such-extra]'"),
        ("sh", "python -m pip install 'dcipher[arrow,no-such-extra]'"),
        ("sh", "uv sync --group no-such-group"),
        ("sh", "export DCIPHER_NO_SUCH_SETTING=…"),
        ("sh", "cat …"),
        ("console", "$ false\n"),
        ("ini", "DCIPHER_NO_SUCH_SETTING=1"),
        ("json", "{"),
        ("toml", "a ="),
        ("no-such-language", "x"),
        ("", "a block that does not say what it is"),
    ],
)
def test_a_wrong_example_fails(language: str, code: str, hosted: Emulator, tmp_path: Path) -> None:
    """An error in an example of any language fails."""
    with pytest.raises((AssertionError, ImportError, AttributeError, ValueError)):
        run(block(language, code), tmp_path)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("sh", "pip install 'dcipher[arrow,cli]' pytest   # and more\nmake demo"),
        ("sh", "export DCIPHER_API_KEY=…\n# a comment\nFOO=1 make \\\n  lint"),
        ("sh", 'test -n "$DCIPHER_API_KEY"\necho one > file\ntest "$(cat file)" = one'),
        ("sh", "curl -H 'X-Dcipher-Emulator: 1' $DCIPHER_BASE_URL/_emulator/runs | grep '\\['"),
        ("console", "$ echo one\none"),
        ("ini", "# the key\nDCIPHER_API_KEY=emu_x"),
        ("toml", '[tool]\na = "b"'),
        ("json", "{}"),
        ("text", "x ──► y"),
    ],
)
def test_a_right_example_passes(language: str, code: str, hosted: Emulator, tmp_path: Path) -> None:
    """A correct example passes, in each language."""
    run(block(language, code), tmp_path)


def test_both_tabs_run(hosted: Emulator, tmp_path: Path) -> None:
    """A block within a tab runs as any other, blank lines and all: the service sees both."""
    run(TABS, tmp_path)
    paths = [request.path for request in hosted.requests]
    assert paths == ["/flows/65cf2f3e", "/flows/keywords", "/flows/topics"]


def test_a_failure_names_the_line(hosted: Emulator, tmp_path: Path) -> None:
    """The traceback of an example has the numbers of the document's lines."""
    document = "One.\n\n" + indent(block("python", "x = 1\nassert x == 2"), "    ")
    with pytest.raises(AssertionError) as caught:
        run(document, tmp_path)
    last = caught.traceback[-1]
    assert (last.path.name, last.lineno + 1) == ("document.md", 7)
    with pytest.raises(SybilFailure, match=r"document\.md, line 3"):
        run(block("sh", "exit 7"), tmp_path)


def test_blocks_share_a_folder_and_no_names(hosted: Emulator, tmp_path: Path) -> None:
    """A file that a block writes is there in the next one; a name is not."""
    run(
        block("python", "from pathlib import Path\nPath('a').touch()") + block("sh", "test -f a"),
        tmp_path,
    )
    with pytest.raises(NameError):
        run(block("python", "x = 1") + block("python", "x"), tmp_path)


def test_a_server_is_started_and_ended(
    hosted: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server is waited for until it is ready. One that ends before fails."""
    monkeypatch.setattr(runner, "_can_be_run", lambda command: True)
    monkeypatch.setattr(runner.commands, "starts_server", lambda command: "--port" in command)
    run(block("sh", f"python -c '{SERVER}' --port 1"), tmp_path)
    with pytest.raises(SybilFailure, match="no flows"):
        run(block("sh", "sh -c 'echo no flows >&2; exit 1' --port 1"), tmp_path)
