"""The built site: its links resolve, it loads nothing from elsewhere, and programs find its content."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

import pytest

pytest.importorskip("mkdocs", reason="MkDocs, which builds the site, is not installed")
pytest.importorskip("material", reason="Material for MkDocs is not installed")
pytest.importorskip("mkdocstrings", reason="mkdocstrings is not installed")

from tests.docs.examples import ROOT, python

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
HERE = "http://site/"


class Page(HTMLParser):
    """The content of a page, its links, and the files that it loads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.anchors: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        if "id" in given:
            self.anchors.append(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADED and LOADED[tag] in given and given.get("rel") not in {"prev", "next"}:
            self.loads.append(given[LOADED[tag]])


def test_the_logo_is_that_of_the_console() -> None:
    """The site and the emulator's console have the same logo."""
    logo = (ROOT / "docs" / "images" / "logo.svg").read_bytes()
    assert logo == (ROOT / "dcipher" / "emulator" / "console" / "favicon.svg").read_bytes()


def pages_of(site: Path) -> Mapping[str, Page]:
    """Each page by its address."""
    return {
        urljoin(HERE, file.parent.relative_to(site).as_posix() + "/"): Page(
            file.read_text(encoding="utf-8")
        )
        for file in sorted(site.rglob("index.html"))
    }


def dead_links(site: Path, pages: Mapping[str, Page]) -> Iterator[str]:
    for address, page in pages.items():
        for link in page.links:
            target, _, anchor = urljoin(address, link).partition("#")
            if not target.startswith(HERE):
                continue
            if target in pages:
                if anchor and unquote(anchor) not in pages[target].anchors:
                    yield f"{address}: there is no {link}"
            elif not (site / unquote(urlsplit(target).path).lstrip("/")).is_file():
                yield f"{address}: there is no {link}"


def doubled_anchors(pages: Mapping[str, Page]) -> Iterator[str]:
    for address, page in pages.items():
        for name in {name for name in page.anchors if page.anchors.count(name) > 1}:
            yield f"{address}: two places are #{name}"


def foreign_loads(site: Path, pages: Mapping[str, Page]) -> Iterator[str]:
    for address, page in pages.items():
        for load in page.loads:
            if not urljoin(address, load).startswith((HERE, "data:")):
                yield f"{address}: loads {load}"
    for style in site.rglob("*.css"):
        for load in re.findall(r"url\(['\"]?(https?:[^)]*)", style.read_text(encoding="utf-8")):
            yield f"{style.name}: loads {load}"


def missing_from_llms(site: Path, pages: Mapping[str, Page]) -> Iterator[str]:
    listing = (site / "llms.txt").read_text(encoding="utf-8")
    links = re.findall(r"^- \[[^\]]+\]\(([^)]+)\): .+$", listing, re.MULTILINE)
    for address in set(pages) ^ {urljoin(HERE, link) for link in links}:
        yield f"llms.txt: {address}"


@pytest.mark.long
@pytest.mark.thorough
def test_the_site_is_consistent(tmp_path: Path) -> None:
    """No link is dead, no anchor is ambiguous, nothing is loaded from elsewhere, llms.txt has every page."""
    command = ("-W", "default", "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path))
    python(*command, cwd=ROOT, NO_MKDOCS_2_WARNING="1")
    pages = pages_of(tmp_path)
    assert len(pages) > 30
    wrong = [*dead_links(tmp_path, pages), *doubled_anchors(pages), *foreign_loads(tmp_path, pages)]
    assert [*wrong, *missing_from_llms(tmp_path, pages)] == []
    whole = (tmp_path / "llms-full.txt").read_text(encoding="utf-8")
    assert "## [Unreleased]" in whole
    assert "```python\nfrom dcipher import Dcipher" in whole
    assert not re.search(r"^:::|^--8<--|<!-- generated: ", whole, re.MULTILINE)


def test_each_error_of_a_site_is_found(tmp_path: Path) -> None:
    """Each check above finds its error."""
    (tmp_path / "there.txt").touch()
    (tmp_path / "style.css").write_text("a { src: url(https://elsewhere.example/font) }")
    (tmp_path / "llms.txt").write_text("- [Home](./): It is.\n- [Gone](gone/): It was.\n")
    (tmp_path / "index.html").write_text(
        '<p id="one"><p id="one"><script src="//elsewhere.example/x.js"></script>'
        '<a href="#one"></a><a href="#two"></a><a href="three/"></a><a href="there.txt"></a>'
    )
    pages = pages_of(tmp_path)
    assert list(dead_links(tmp_path, pages)) == [
        f"{HERE}: there is no #two",
        f"{HERE}: there is no three/",
    ]
    assert list(doubled_anchors(pages)) == [f"{HERE}: two places are #one"]
    assert list(foreign_loads(tmp_path, pages)) == [
        f"{HERE}: loads //elsewhere.example/x.js",
        "style.css: loads https://elsewhere.example/font",
    ]
    assert list(missing_from_llms(tmp_path, pages)) == [f"llms.txt: {HERE}gone/"]
