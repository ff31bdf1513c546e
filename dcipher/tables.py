"""`Table`: the results of a run in columns, for any library that reads Arrow."""

from __future__ import annotations

from ._results.tables.table import Table

__all__ = ["Table"]
