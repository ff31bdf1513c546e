"""Access, journal and exchanges of every request."""
