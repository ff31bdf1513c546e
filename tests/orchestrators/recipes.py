"""The recipes of the guide, word for word, as modules of their own."""

from __future__ import annotations

from pathlib import Path

from tests.docs.examples import examples, file_name

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "orchestrators.md"


def write_recipe(name: str, folder: Path) -> Path:
    """Write a block of the guide to its file."""
    (source,) = [one.parsed for one in examples(GUIDE) if file_name(one) == name]
    path = folder / name
    path.write_text(source, encoding="utf-8")
    return path


def everything(folder: Path) -> str:
    """Return all files of a folder and below as text, but the results."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".json"]
    return "\n".join(p.read_bytes().decode("utf-8", "replace") for p in files)
