"""What the program costs, as ratios to a named reference in the same run."""
