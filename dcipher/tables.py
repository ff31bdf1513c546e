"""`Table`: the results of a run as columns, for whatever reads Arrow."""

from __future__ import annotations

from ._results.tables.table import Table

__all__ = ["Table"]
