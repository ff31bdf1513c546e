"""Hosts, origins and signed URLs; pure."""
