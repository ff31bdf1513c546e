"""`dcipher completion`."""
