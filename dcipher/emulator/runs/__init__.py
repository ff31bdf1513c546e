"""Flows, runs, results, and the persisted state."""
