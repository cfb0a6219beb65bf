"""How well a coreset of n neurons speaks for one neuron of the next layer."""
