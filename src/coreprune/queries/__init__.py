"""Query spaces: the inputs that a guarantee speaks of, one a file."""
