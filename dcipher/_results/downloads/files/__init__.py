"""The unfinished file of a download."""
