"""What a command prints, and what a terminal is asked."""
