"""The declaration of commands, and their common parts."""
