"""Writes the table of docs/reference/settings.md from the fields of `Settings` and their docstrings.

python scripts/settings.py           writes it
python scripts/settings.py --check   exits with 1 if it is not up to date
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING

from generated_tables import ROOT, run, table

sys.path.append(str(ROOT))  # an installed dcipher still comes before the source

from dcipher import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TARGET: Path = ROOT / "docs" / "reference" / "settings.md"
TYPES = {"SecretStr": "a secret", "str": "text", "float": "seconds", "int": "a number"}


def meanings() -> Mapping[str, str]:
    """Returns the docstring of each field."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(Settings))).body
    lines = body.body if isinstance(body, ast.ClassDef) else []
    return {
        field.target.id: inspect.cleandoc(text.value.value).replace("\n", " ")
        for field, text in pairwise(lines)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(text.value.value, str)
    }


def rows() -> Iterator[tuple[str, ...]]:
    """Yields a row for each setting. Raises `KeyError` for a missing docstring or an unknown type."""
    meaning = meanings()
    prefix = Settings.model_config.get("env_prefix", "")
    for name, field in Settings.model_fields.items():
        kinds = [kind.strip() for kind in _annotation(name).split("|")]
        (kind,) = (TYPES[kind] for kind in kinds if kind != "None")
        default = "none" if field.default is None else f"`{field.default}`"
        yield f"`{name}` `{prefix}{name.upper()}`", kind, default, meaning[name]


def _annotation(name: str) -> str:
    return str(inspect.get_annotations(Settings)[name])


def main() -> int:
    """Writes or checks the table. Returns the exit code."""
    titles = ("setting, variable", "type", "default", "meaning")
    return run(__doc__, TARGET, {"settings": table(titles, rows())})


if __name__ == "__main__":
    sys.exit(main())
