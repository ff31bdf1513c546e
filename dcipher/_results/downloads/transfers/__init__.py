"""The bytes of one result on their way."""
