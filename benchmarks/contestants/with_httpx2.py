"""The same by httpx2."""

from __future__ import annotations

import httpx2

httpx2.alias_httpx()

from meter import run  # noqa: E402
from with_httpx import JOBS  # noqa: E402

if __name__ == "__main__":
    run(JOBS)
