"""Which requests go by a proxy."""
