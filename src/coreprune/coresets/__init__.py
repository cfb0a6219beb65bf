"""One group of the network: what its readers see, what its neurons are worth, its coreset."""
