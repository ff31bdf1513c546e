"""Rows as they are given: what is sent for each, and by which key it is known."""
