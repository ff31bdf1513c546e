"""`dcipher flows map` and `dcipher journal`: many runs from the shell."""
