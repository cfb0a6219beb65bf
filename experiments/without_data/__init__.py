"""Accuracy right after pruning, without data and without fine-tuning."""
