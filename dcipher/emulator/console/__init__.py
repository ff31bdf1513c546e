"""The console: a page at `/_emulator/` that shows runs and requests, starts runs, and injects faults.

The page is static. Its data comes from the control API, which any other program can use, too.
"""

from __future__ import annotations
