"""Writes llms.txt and llms-full.txt into the built site: its content, for programs.

python scripts/llms.py FOLDER

llms.txt lists the pages of the navigation, each with its first sentence. llms-full.txt has the text
of all pages, without the parts that are generated from docstrings.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mkdocs.config import load_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
_SNIPPET = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---\n.*?^---\n", re.DOTALL | re.MULTILINE)
_HIDDEN = re.compile(r"<!--(?:.|\n)*?-->\n?|^::: .*\n(?: {4}.*\n)*", re.MULTILINE)
_BLOCKS = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\](?:\([^)]*\)|\[[^\]]*\])")
_SENTENCE = re.compile(r".+?[.?!](?=\s|$)", re.DOTALL)
_NO_PROSE = ("#", "|", "- ", "===", "!!!", "1.", "<")


class Page(NamedTuple):
    """A page of the navigation: its section, title, and file within docs/."""

    section: str
    title: str
    path: str

    @property
    def url(self) -> str:
        """The relative URL."""
        name = self.path.removesuffix(".md")
        return "./" if name == "index" else f"{name.removesuffix('/index')}/"

    def text(self) -> str:
        """Returns its Markdown, with included files, without comments."""
        text = (ROOT / "docs" / self.path).read_text("utf-8")
        text = _SNIPPET.sub(lambda match: (ROOT / match[1]).read_text("utf-8"), text)
        return _HIDDEN.sub("", _FRONT_MATTER.sub("", text))

    def first_sentence(self) -> str:
        """Returns the first sentence below the title, without links; empty if there is none."""
        paragraphs = _BLOCKS.sub("", self.text()).split("\n\n")
        prose = (
            p.strip() for p in paragraphs if p.strip() and not p.lstrip().startswith(_NO_PROSE)
        )
        paragraph = _LINK.sub(r"\1", next(prose, ""))
        found = _SENTENCE.match(paragraph)
        return " ".join((found[0] if found else paragraph).split()).removesuffix(":")


def pages(nav: Sequence[Mapping[str, object]], section: str = "") -> Iterator[Page]:
    """Yields the pages of a navigation, in order."""
    for entry in nav:
        for title, target in entry.items():
            if isinstance(target, list):
                yield from pages(target, title)
            else:
                yield Page(section, title, str(target))


def listing(config: Mapping[str, Any], found: Sequence[Page]) -> Iterator[str]:
    """Yields the lines of llms.txt."""
    yield f"# {config['site_name']}"
    yield f"\n> {config['site_description']}"
    yield "\nThe text of all pages is in [llms-full.txt](llms-full.txt).\n"
    section = ""
    for page in found:
        if page.section != section:
            section = page.section
            yield f"\n## {section}\n"
        sentence = page.first_sentence()
        yield f"- [{page.title}]({page.url}){': ' if sentence else ''}{sentence}"


def on_post_build(config: Mapping[str, Any]) -> None:
    """Writes both into the site. MkDocs calls this after a build (`hooks` in mkdocs.yml)."""
    site = Path(config["site_dir"])
    found = list(pages(config["nav"]))
    (site / "llms.txt").write_text("\n".join([*listing(config, found), ""]), "utf-8")
    whole = (f"<!-- {page.url} -->\n\n{page.text().strip()}\n" for page in found)
    (site / "llms-full.txt").write_text("\n\n".join(whole), "utf-8")


def main() -> int:
    """Writes into the folder of the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("site", help="the folder of the built site")
    site: str = parser.parse_args().site
    on_post_build(load_config(str(ROOT / "mkdocs.yml"), site_dir=site))
    return 0


if __name__ == "__main__":
    sys.exit(main())
