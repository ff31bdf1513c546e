"""Rows of JSON and NDJSON."""
