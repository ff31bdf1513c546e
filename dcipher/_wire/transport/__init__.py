"""How requests travel: connections, proxies, deadlines, retries."""
