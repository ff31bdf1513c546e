"""The output of commands, and the properties of the terminal."""
