"""What data-free repair and fine-tuning make of a network with a tenth of its parameters."""
