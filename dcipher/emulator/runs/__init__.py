"""Flows, runs, results, and what outlives the process."""
