"""Zensical builds the same site as MkDocs from the same `mkdocs.yml`, page by page."""

from __future__ import annotations

import difflib
import shutil
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

pytest.importorskip("zensical", reason="Zensical, of the group `zensical`, is not installed")

from tests.docs.examples import ROOT, python
from tests.docs.test_site import HERE, dead_links, doubled_anchors, foreign_loads, pages_of

if TYPE_CHECKING:
    from pathlib import Path

VOID = {"br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
HIDDEN = {"headerlink", "md-clipboard", "md-skip", "md-source-file"}  # of the theme
NO_CONTENT = {"button", "nav", "script", "style"}


class Content(HTMLParser):
    """The content of the article of a page, in order, and of its navigation."""

    def __init__(self, address: str, html: str) -> None:
        super().__init__()
        self.title = ""
        self.navigation: list[str] = []
        self.found: list[str] = []
        """Elements with their anchor or target, and words; in blocks of code, the lines."""
        self._address = address
        self._open: list[tuple[str, set[str]]] = []
        self.feed(html)

    def _is_in(self, names: set[str]) -> bool:
        return any(tag in names or classes & names for tag, classes in self._open)

    @property
    def _is_content(self) -> bool:
        return self._is_in({"md-content__inner"}) and not self._is_in(HIDDEN | NO_CONTENT)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        classes = set(given.get("class", "").split())
        if tag not in VOID:
            self._open.append((tag, classes))
        # `./#x`, as Zensical writes it, and `#x` are the same.
        target = urljoin(self._address, given["href"]) if "href" in given else given.get("src", "")
        if tag == "a" and "md-nav__link" in classes:
            self.navigation.append(target)
        anchor = given.get("id", "")
        if self._is_content and anchor != "__skip":  # of Zensical's theme
            self.found.append(f"<{tag} {target} {'' if anchor.startswith('__') else anchor}>")

    def handle_endtag(self, tag: str) -> None:
        names = [name for name, _ in self._open]
        if tag in names:  # else it closes nothing
            del self._open[len(names) - 1 - names[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        if self._is_in({"title"}) and not self._is_in({"body"}):
            self.title += data
        if self._is_content:
            self.found += data.splitlines() if self._is_in({"pre"}) else data.split()


def contents_of(site: Path) -> dict[str, Content]:
    """Return each page by its address."""
    found = {}
    for page in sorted(site.rglob("index.html")):
        address = urljoin(HERE, page.parent.relative_to(site).as_posix() + "/")
        found[address] = Content(address, page.read_text(encoding="utf-8"))
    return found


@pytest.mark.long
@pytest.mark.thorough
def test_both_build_the_same_site(tmp_path: Path) -> None:
    """Titles, navigation, headings, anchors, links, code and every word are the same; no link of it is dead."""
    checkout, expected = tmp_path / "checkout", tmp_path / "mkdocs"
    ignored = shutil.ignore_patterns(".*", "site", "dist", "__pycache__")
    shutil.copytree(ROOT, checkout, ignore=ignored)  # Zensical has no option for its folder
    python(
        *("-W", "default", "-m", "mkdocs", "build", "--strict", "--site-dir", str(expected)),
        cwd=checkout, NO_MKDOCS_2_WARNING="1",
    )  # fmt: skip
    python("-W", "default", "-m", "zensical", "build", "--strict", "--clean", cwd=checkout)
    site = checkout / "site"
    pages = pages_of(site)
    wrong = [*dead_links(site, pages), *doubled_anchors(pages), *foreign_loads(site, pages)]
    assert wrong == []

    ours, theirs = contents_of(expected), contents_of(site)
    assert set(theirs) == set(ours)
    assert len(ours) > 30
    for address, page in ours.items():
        other = theirs[address]
        # Material leaves the name of the home page out.
        title = f"Home - {page.title}" if address == urljoin(HERE, "./") else page.title
        assert (address, other.title) == (address, title)
        assert (address, other.navigation) == (address, page.navigation)
        assert len(page.found) > 100
        different = difflib.unified_diff(page.found, other.found, lineterm="", n=1)
        assert (address, list(different)) == (address, [])
    for file in ("objects.inv", "extra.css", "openapi.json", "images/logo.svg", "sitemap.xml"):
        assert (site / file).is_file()
