"""Annotations: analyzed, and resolved with modules that are imported at their first use."""
