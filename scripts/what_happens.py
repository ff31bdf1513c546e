"""Writes docs/concepts/what-happens.md from the catalogue and the table of the conformance tests.

python scripts/what_happens.py           writes it
python scripts/what_happens.py --check   exits with 1 if it is not up to date
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from generated_files import ROOT, run

TARGET = ROOT / "docs" / "concepts" / "what-happens.md"
sys.path.append(str(ROOT))  # an installed dcipher still comes before the source

from tests.conformance.catalogue import SECTIONS  # noqa: E402 - found only from here on
from tests.conformance.instructions import INSTRUCTIONS, Means  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.conformance.catalogue import Case, Fault, Section
    from tests.conformance.instructions import Instruction, Operation

HEAD = """\
<!-- Printed by scripts/what_happens.py from tests/conformance/catalogue.py: edit that, not this. -->

# What happens when…

This page lists what can go wrong, and what both clients do then. Each row is verified by tests. The rows with the
columns *get*, *start* and *download* are generated from the table that the tests use.

- *get* is `flows.get`, `runs.get` or `runs.refresh`. *start* is `flows.start`, and *start once* is the same with
  `Resilience(resend_ambiguous=False)`. *download* is `runs.download`, `runs.read` or `runs.records`.
- *retried, then* an error: the request is retried, up to five times (`max_retries`). The error is raised if the last
  attempt fails, too. *at once*: the request is not retried.
- In these rows, the run was started or has ended seconds ago, so a 403 or 404 may mean "not yet". For older runs, see
  [waiting](#waiting) and [signed URLs](#signed-urls).
- `ResultError` includes its subclasses. *-*: the fault cannot be distinguished from a result.

See also [why a request is retried](retries.md), and how to [test your application against faults](../guides/faults.md).
"""


def outcome(instruction: Instruction, operation: Operation) -> str:
    """Returns the text of a cell: what an instruction means for an operation."""
    if operation in instruction.leaves_out:
        return "-"
    means, error = instruction.meaning(operation)
    if means is Means.FINE:
        return "success"
    if means is Means.FINAL:
        return f"`{error.__name__}`, at once"
    if means is Means.AMBIGUOUS and operation == "start once":
        return "`SubmissionUnknownError`, at once"
    return f"retried, then `{error.__name__}`"


def outcomes(fault: Fault) -> tuple[str, ...]:
    """Returns the cells of a fault. Raises `ValueError` if its instructions mean different things."""
    operations: tuple[Operation, ...] = ("flow", "status", "start", "start once", "result")
    found = {
        tuple(outcome(INSTRUCTIONS[name], operation) for operation in operations)
        for name in fault.covers
    }
    if len(found) != 1:
        raise ValueError(f"{fault.happens!r} covers what does not mean the same: {sorted(found)}")
    flow, status, *others = found.pop()
    get = flow if flow == status else f"flow: {flow}; run: {status}"
    return (get, *others)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a table."""
    yield ""
    for cells in (titles, ["---"] * len(titles), *rows):
        yield f"| {' | '.join(cells)} |"


def case_table(cases: Sequence[Case]) -> Iterator[str]:
    """Returns the lines of a table of cases; the last column only if a case has advice."""
    if any(case.then for case in cases):
        titles = ("what happens", "what dcipher does", "what you can do")
        return table(titles, ((case.happens, case.does, case.then) for case in cases))
    return table(("what happens", "what dcipher does"), ((c.happens, c.does) for c in cases))


def section(part: Section) -> Iterator[str]:
    """Yields the lines of a section of the page."""
    yield f"\n## {part.title}"
    if part.faults:
        titles = ("what happens", "get", "start", "start once", "download")
        yield from table(titles, ((fault.happens, *outcomes(fault)) for fault in part.faults))
    if part.cases:
        yield from case_table(part.cases)


def page() -> str:
    """Returns the page as text, ending with a newline."""
    return HEAD + "".join(f"{line}\n" for part in SECTIONS for line in section(part))


def main() -> int:
    """Writes or checks the page. Returns the exit code."""
    return run(__doc__, {TARGET: page()})


if __name__ == "__main__":
    sys.exit(main())
