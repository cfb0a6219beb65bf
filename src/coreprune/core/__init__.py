"""The mathematics: tensors in, tensors out, no framework objects and no files."""
