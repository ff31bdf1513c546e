"""Connection pools: their limit, idle connections, and the routes of requests."""
