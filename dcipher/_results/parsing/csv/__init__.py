"""Rows of CSV (RFC 4180)."""
