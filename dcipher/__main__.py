"""`python -m dcipher`: the command line."""

from __future__ import annotations

import sys

from dcipher.cli import main

if __name__ == "__main__":
    sys.exit(main())
