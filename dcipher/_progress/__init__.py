"""Displays of progress: on a terminal, in a notebook, in a log."""
