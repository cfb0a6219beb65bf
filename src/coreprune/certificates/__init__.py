"""Certificates of networks: what of them is a chain of layers, and bounds in their units."""
