"""The outputs of a run: where they are and go, what a row may be, what goes wrong."""
