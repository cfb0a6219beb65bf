"""The small graph language that every model kind is lowered to, and what is found in it."""
