"""Files that others trained and exported, pruned without data and judged on real inputs."""
