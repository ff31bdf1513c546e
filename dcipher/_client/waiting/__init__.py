"""Waiting for runs: when to poll, what the outcome means, which runs are recent."""
