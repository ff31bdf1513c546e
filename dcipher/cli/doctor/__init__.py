"""`dcipher doctor`, `whoami` and `config`."""
