"""Which neurons stay: one method a file."""
