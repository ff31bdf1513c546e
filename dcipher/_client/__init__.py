"""What the user holds: the clients, `client.flows` and `client.runs`."""
