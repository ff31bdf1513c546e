"""The state between two commands."""
