"""What plugins offer: a factory of each kind, and the protocol of what it builds."""
