"""Smaller ordinary networks from trained ones, without data, with a proven error."""

__version__ = "0.1.0"
