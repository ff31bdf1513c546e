"""Batches: one run of a flow for each row; `client.flows.map`."""
