"""The console: a page at `/_emulator/` that shows what the emulator does, and lets one start and break runs.

The page is static: what it shows comes from the control API, as for any other program.
"""

from __future__ import annotations
