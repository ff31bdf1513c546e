"""One large result by several connections."""
