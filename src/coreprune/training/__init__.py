"""The training loop behind repair and fine-tuning."""
