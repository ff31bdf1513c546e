"""Writes the contract: docs/openapi.json, and its copy in the package.

python scripts/openapi.py           writes both
python scripts/openapi.py --check   exits with 1 if one of them is not up to date
"""

from __future__ import annotations

import json
import sys

from generated_files import ROOT, run

TARGETS = (ROOT / "docs" / "openapi.json", ROOT / "dcipher" / "_wire" / "messages" / "openapi.json")


def contract() -> str:
    """Returns the document as text: sorted, indented, ending with a newline."""
    sys.path.insert(0, str(ROOT))
    from dcipher.emulator.app import build_app
    from dcipher.emulator.runs.pace import Pace
    from dcipher.emulator.runs.results import ResultURLs
    from dcipher.emulator.runs.runs import Runs
    from dcipher.emulator.runs.service import Service

    runs = Runs(Pace(), max_workers=1)
    app = build_app(Service(runs=runs, urls=ResultURLs(lifetime=0), pace=Pace()))
    return json.dumps(app.openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    """Writes or checks both. Returns the exit code."""
    return run(__doc__, dict.fromkeys(TARGETS, contract()))


if __name__ == "__main__":
    sys.exit(main())
