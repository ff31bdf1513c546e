"""`dcipher emulator`."""
