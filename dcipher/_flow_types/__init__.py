"""The declarations of flows as Python types: generated classes, and their differences; pure."""
