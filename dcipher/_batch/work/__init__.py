"""Who does the work of a batch: workers, which take the steps that are due, and the writer of the journal."""
