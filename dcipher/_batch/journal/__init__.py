"""What is known of each row, in SQLite: it outlives the process, and a loss of power."""
