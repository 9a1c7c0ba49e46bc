"""What plugins offer for the choice of the next token."""
