"""What every request passes: access, journal, exchanges."""
