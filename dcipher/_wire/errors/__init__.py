"""What a failure means: whether to retry, and the error that the user gets; pure."""
