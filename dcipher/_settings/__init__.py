"""Validation, precedence and sources of settings."""
