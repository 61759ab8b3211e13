"""Import and export of many rows, as CSV or as JSON lines."""
