"""Results as columns of Arrow."""
