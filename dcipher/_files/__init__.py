"""Paths, and files that appear complete or not at all."""
