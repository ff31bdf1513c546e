"""Write the contract: docs/openapi.json, and the copy that the package ships.

python scripts/openapi.py           writes both
python scripts/openapi.py --check   exits with 1 where one of them is not up to date
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGETS = (ROOT / "docs" / "openapi.json", ROOT / "dcipher" / "_core" / "openapi.json")


def contract() -> str:
    """The document as text: sorted, indented, ending with a newline."""
    sys.path.insert(0, str(ROOT))
    from dcipher.emulator.app import build_app
    from dcipher.emulator.pace import Pace
    from dcipher.emulator.results import ResultURLs
    from dcipher.emulator.runs import Runs
    from dcipher.emulator.service import Service

    runs = Runs(Pace(), max_workers=1)
    app = build_app(Service(runs=runs, urls=ResultURLs(lifetime=0), pace=Pace()))
    return json.dumps(app.openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    """Write or check; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check: bool = parser.parse_args().check
    text = contract()
    stale = [path for path in TARGETS if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        name = path.relative_to(ROOT)
        if check:
            print(f"{name} is not up to date: run python scripts/openapi.py", file=sys.stderr)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8", newline="\n")
            print(f"wrote {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
