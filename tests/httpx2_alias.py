"""A pytest plugin (`-p tests.httpx2_alias`): every `import httpx` of the run imports httpx2.

pytest loads it before the tests and their conftest, so before anything imports httpx.
"""

from __future__ import annotations

import httpx2

httpx2.alias_httpx()


def pytest_report_header() -> str:
    """Returns the line that names the library of the tests."""
    import httpx

    if httpx is not httpx2:
        raise RuntimeError("something imported httpx before this plugin")
    return f"httpx: httpx2 {httpx2.__version__}"
