"""Whether the size of a coreset depends on the size of the layer."""
