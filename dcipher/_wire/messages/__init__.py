"""Requests and responses as values; pure."""
