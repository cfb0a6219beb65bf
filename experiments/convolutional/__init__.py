"""Convolutional networks right after pruning, and after repair without data."""
