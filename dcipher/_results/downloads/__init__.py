"""Fetches results into files."""
