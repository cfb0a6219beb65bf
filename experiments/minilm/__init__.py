"""A sentence transformer with three quarters and half of its inner neurons, without data."""
