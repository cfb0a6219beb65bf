"""Time and memory of pruning a folder of a Llama's shape, whatever its depth."""
