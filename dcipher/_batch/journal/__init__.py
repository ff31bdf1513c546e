"""The journal: the state of each row, in SQLite. It survives the process and a power failure."""
