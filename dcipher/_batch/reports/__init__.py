"""Outcomes, progress and reports of a batch."""
