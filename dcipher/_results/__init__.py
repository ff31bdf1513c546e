"""What a run gives: its results, saved, read, as rows and as tables."""
