"""The evidence: what the papers claim, measured again on this machine."""
