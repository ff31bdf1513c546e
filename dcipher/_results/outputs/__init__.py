"""The outputs of a run: their targets, the policy for invalid rows, errors."""
