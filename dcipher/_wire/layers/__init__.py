"""What lies around a connection: retries, signatures, where credentials go, statuses that are refused."""
