"""Other pruners on the same networks: error without data, time, memory and latency."""
