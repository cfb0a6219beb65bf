"""Edges chosen with data, against neurons chosen without."""
