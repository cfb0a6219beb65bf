"""Whether pruned networks take eight bits as well as whole ones."""
