"""Transfers of one result: requests, responses, bytes."""
