"""`dcipher flows` and `dcipher runs`."""
