"""HTML representations for notebooks."""
