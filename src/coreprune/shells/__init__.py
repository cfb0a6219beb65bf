"""One shell a model kind: lower it, stream its activations, apply edits, save."""
