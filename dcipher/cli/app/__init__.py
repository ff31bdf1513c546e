"""How commands are declared, and what they have in common."""
