"""The sample flows."""
