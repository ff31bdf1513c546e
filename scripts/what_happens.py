"""Write docs/concepts/what-happens.md from the catalogue and the table of the conformance tests.

python scripts/what_happens.py           writes it
python scripts/what_happens.py --check   exits with 1 where it is not up to date
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from printed import ROOT, run

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

One row for each thing that can go wrong, in both clients. Each row is held by tests that fail when it is wrong. The
rows with the columns *look*, *start* and *download* are printed from the table that the tests run through.

- *look* is `flows.get`, `runs.get` or `runs.refresh`; *start* is `flows.start`; *start once* is the same with
  `Resilience(resend_ambiguous=False)`; *download* is `runs.download`, `runs.read` or `runs.records`.
- *again*: the request is sent again, five times at most (`max_retries`); the error after *then* comes when the last
  attempt fails, too. *at once*: it is not sent again.
- In these rows, the run was started, or has ended, seconds ago: a 403 or 404 may mean "not yet". For
  older ones see [waiting](#waiting) and [signed URLs](#signed-urls).
- `ResultError` stands for itself and its subclasses. *-*: nobody could tell it from a result.

What is sent again, and why, has [a page of its own](retries.md). To see a fault happen, [play it](../guides/faults.md)
to your own application.
"""


def outcome(instruction: Instruction, operation: Operation) -> str:
    """What an instruction means for an operation, in words."""
    if operation in instruction.leaves_out:
        return "-"
    means, error = instruction.meaning(operation)
    if means is Means.FINE:
        return "fine"
    if means is Means.FINAL:
        return f"`{error.__name__}`, at once"
    if means is Means.AMBIGUOUS and operation == "start once":
        return "`SubmissionUnknownError`, at once"
    return f"again, then `{error.__name__}`"


def outcomes(fault: Fault) -> tuple[str, ...]:
    """The cells of a fault on the wire; `ValueError` where what it covers does not mean the same."""
    operations: tuple[Operation, ...] = ("flow", "status", "start", "start once", "result")
    found = {
        tuple(outcome(INSTRUCTIONS[name], operation) for operation in operations)
        for name in fault.covers
    }
    if len(found) != 1:
        raise ValueError(f"{fault.happens!r} covers what does not mean the same: {sorted(found)}")
    flow, status, *others = found.pop()
    look = flow if flow == status else f"flow: {flow}; run: {status}"
    return (look, *others)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield ""
    for cells in (titles, ["---"] * len(titles), *rows):
        yield f"| {' | '.join(cells)} |"


def case_table(cases: Sequence[Case]) -> Iterator[str]:
    """The table of what is said in words; what one does next only where that is said of any."""
    if any(case.then for case in cases):
        titles = ("what happens", "what dcipher does, and what you get", "what you do next")
        return table(titles, ((case.happens, case.does, case.then) for case in cases))
    return table(("what happens", "what dcipher does"), ((c.happens, c.does) for c in cases))


def section(part: Section) -> Iterator[str]:
    """The lines of a part of the page."""
    yield f"\n## {part.title}"
    if part.faults:
        titles = ("what happens", "look", "start", "start once", "download")
        yield from table(titles, ((fault.happens, *outcomes(fault)) for fault in part.faults))
    if part.cases:
        yield from case_table(part.cases)


def page() -> str:
    """The page as text, ending with a newline."""
    return HEAD + "".join(f"{line}\n" for part in SECTIONS for line in section(part))


def main() -> int:
    """Write or check; the exit code."""
    return run(__doc__, {TARGET: page()})


if __name__ == "__main__":
    sys.exit(main())
