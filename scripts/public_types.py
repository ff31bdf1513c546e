"""Checks that every public name has a complete type (basedpyright), but for bases that come from Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

# Not installed where types are checked: its classes are unknown, and so are those that extend them.
UNKNOWN_BASES = "dcipher.airflow."


def main() -> int:
    """Prints each public name without a complete type. Returns how many there are, at most 1."""
    environment = Path(sys.executable).parent
    # It uses the `python` on the PATH to find dcipher, and ignores --pythonpath.
    path = os.pathsep.join([str(environment), os.environ["PATH"]])
    checker = environment / "basedpyright"
    command = [str(checker), "--verifytypes", "dcipher", "--ignoreexternal", "--outputjson"]
    done = subprocess.run(  # noqa: S603 - a tool of this environment
        command, env={**os.environ, "PATH": path}, capture_output=True, check=False
    )
    report = json.loads(done.stdout)["typeCompleteness"]
    incomplete = [
        symbol["name"]
        for symbol in report["symbols"]
        if symbol["isExported"]
        and not (symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"])
        and not symbol["name"].startswith(UNKNOWN_BASES)
    ]
    for name in incomplete:
        print(f"no complete type: {name}")
    print(f"{len(report['symbols'])} names checked")
    return min(1, len(incomplete))


if __name__ == "__main__":
    raise SystemExit(main())
