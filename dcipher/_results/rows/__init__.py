"""Results as values and as rows, whatever their format."""
