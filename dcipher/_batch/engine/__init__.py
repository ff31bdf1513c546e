"""Runs a batch: plan, feed, steps and results of its rows."""
