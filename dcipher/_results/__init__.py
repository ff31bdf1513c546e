"""The results of a run: as files, values, rows and tables."""
