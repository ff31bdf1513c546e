"""What a flow declares, as Python types: classes that are written from it, and what differs from it. Pure."""
