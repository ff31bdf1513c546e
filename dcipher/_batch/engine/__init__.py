"""Runs a batch."""
