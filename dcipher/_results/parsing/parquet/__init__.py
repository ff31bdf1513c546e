"""Rows of Parquet."""
