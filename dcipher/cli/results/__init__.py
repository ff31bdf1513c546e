"""`dcipher results`."""
