"""Writes the tables of docs/reference/wire.md from docs/openapi.json.

python scripts/wire.py           writes them
python scripts/wire.py --check   exits with 1 if they are not up to date
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from generated_tables import ROOT, run, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

TARGET: Path = ROOT / "docs" / "reference" / "wire.md"
CONTRACT: Path = ROOT / "docs" / "openapi.json"
SOURCE = "x-dcipher-source"


def operations(contract: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the method and path of each operation, and the operation."""
    for path, item in contract["paths"].items():
        for verb, operation in item.items():
            yield f"{verb.upper()} {path}", operation


def operation_rows(contract: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yields a row for each operation."""
    for request, operation in operations(contract):
        name, summary = operation["operationId"], operation["summary"]
        yield f"`{name}`", f"`{request}`", summary, operation[SOURCE]


def parameter_rows(contract: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    """Returns a row for each parameter; operations in which it means the same share one."""
    return _grouped(
        (
            (f"`{p['name']}`", p["in"], p["description"], p[SOURCE]),
            operation["operationId"],
        )
        for _, operation in operations(contract)
        for p in operation["parameters"]
    )


def status_rows(contract: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    """Returns a row for each status; operations in which it means the same share one."""
    found = _grouped(
        ((status, answer["description"], answer[SOURCE]), operation["operationId"])
        for _, operation in operations(contract)
        for status, answer in operation["responses"].items()
    )
    return sorted(found, key=lambda row: row[0])


def header_rows(contract: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    """Returns a row for each header of a response."""
    found = _grouped(
        ((f"`{name}`", header["description"], header[SOURCE]), status)
        for _, operation in operations(contract)
        for status, answer in operation["responses"].items()
        for name, header in answer.get("headers", {}).items()
    )
    return sorted(found)


def field_rows(contract: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yields a row for each field of a body."""
    for name, schema in contract["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            always = "always" if field in schema.get("required", ()) else "may be missing"
            yield f"`{name}`", f"`{field}`", described["description"], always, described[SOURCE]


def _grouped(facts: Iterable[tuple[tuple[str, ...], str]]) -> Iterable[tuple[str, ...]]:
    """Returns each fact once: its name, everything that it applies to, and the rest of it."""
    found: dict[tuple[str, ...], dict[str, None]] = {}
    for fact, of in facts:
        found.setdefault(fact, {})[of] = None
    return [(fact[0], ", ".join(sorted(of)), *fact[1:]) for fact, of in found.items()]


def main() -> int:
    """Writes or checks the tables. Returns the exit code."""
    contract = json.loads(CONTRACT.read_bytes())
    how = "source"
    tables = {
        "operations": table(("operation", "request", "does", how), operation_rows(contract)),
        "parameters": table(("name", "operations", "in", "meaning", how), parameter_rows(contract)),
        "statuses": table(("status", "operations", "meaning", how), status_rows(contract)),
        "headers": table(("header", "statuses", "meaning", how), header_rows(contract)),
        "fields": table(("body", "field", "meaning", "present", how), field_rows(contract)),
    }
    return run(__doc__, TARGET, tables)


if __name__ == "__main__":
    sys.exit(main())
