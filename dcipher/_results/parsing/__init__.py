"""The parsers of each format, and the errors that they raise."""
