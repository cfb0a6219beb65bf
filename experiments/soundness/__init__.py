"""Whether any query beats a certificate."""
