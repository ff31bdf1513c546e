"""The rows of the input, their params and keys."""
