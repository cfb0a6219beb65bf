"""Hugging Face folders: read, cut and written as files; no code of theirs is run."""
