"""Errors for code that was written for 0.3.5. Each names the replacement."""
