"""Several functions at the same time, in tasks or in threads."""
