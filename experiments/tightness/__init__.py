"""How far certificates are from attacks, and from a CROWN relaxation."""
