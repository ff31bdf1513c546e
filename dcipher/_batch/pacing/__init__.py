"""When the next request is sent, and which one; pure: the time is an argument."""
