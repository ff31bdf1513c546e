"""Results as values and as rows, in any format."""
