"""Commands that try to break coreprune: damaged files, killed processes, repeated runs."""
