"""What is said of a batch: while it runs, and at its end."""
