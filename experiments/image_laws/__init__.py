"""Which law of the inputs suits networks of images that remember nothing of them."""
